"""Ramp-up and duplicates as people turn them on: the owner's routes, the command line, and what a restart keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_cloud.apis.cloud_tasks.state import State
from local_cloud.cloud import Cloud
from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT
from tests.local_cloud.conftest import Rest
from tests.local_cloud.receiver import receiver

RAMP, TWICE = "/_sluice/tasks/ramp-up", "/_sluice/tasks/duplicates"
QUEUE = f"{PARENT}/queues/q"


async def queue(rest: Rest, queue_id: str = "q") -> None:
    await rest.ok("POST", f"/v2/{PARENT}/queues", {"name": f"{PARENT}/queues/{queue_id}"})


async def send(rest: Rest, url: str, task_id: str, queue_id: str = "q") -> None:
    name = f"{PARENT}/queues/{queue_id}"
    task = {"name": f"{name}/tasks/{task_id}", "httpRequest": {"url": url}}
    await rest.ok("POST", f"/v2/{name}/tasks", {"task": task})


@pins(
    "cloud_tasks",
    "Dispatch",
    "Ramp-up and duplicates that the owner's routes set outlive a restart, and weigh more than the command line then",
    ours=True,
)
async def test_what_the_routes_set_outlives_a_restart(tmp_path: Path, session: Any) -> None:
    async with Running(Settings(state=tmp_path)) as running:
        rest = Rest(session, running.cloud.rest_url)
        await queue(rest)
        assert await rest.ok("GET", RAMP) == {"start": 0}
        assert await rest.ok("GET", TWICE) == {"seed": 0, "shares": {}}
        law = {"start": 2.0, "growth": 1.0, "every": 60.0, "idle": 120.0}
        assert await rest.ok("POST", RAMP, law) == law
        assert await rest.ok("POST", RAMP, {"start": 3}) == {"start": 3, "growth": 0.5, "every": 300, "idle": 300}
        shares = await rest.ok("POST", TWICE, {"queue": "q", "share": 0.5, "seed": 4})
        assert shares == {"seed": 4, "shares": {QUEUE: 0.5}}
    async with Running(Settings(state=tmp_path, tasks_ramp_up=9, tasks_duplicates=0.9)) as running:
        rest = Rest(session, running.cloud.rest_url)
        assert (await rest.ok("GET", RAMP))["start"] == 3
        assert await rest.ok("GET", TWICE) == shares
        assert running.cloud.use(State).dispatcher.queues[QUEUE].bucket.rate == 3
        assert await rest.ok("POST", RAMP, {"start": 0}) == {"start": 0}
        assert running.cloud.use(State).dispatcher.queues[QUEUE].bucket.rate == 500
        await rest.ok("POST", TWICE, {"share": 0.25})
        assert await rest.ok("POST", TWICE, {"share": 0}) == {"seed": 4, "shares": {}}


async def test_the_command_line_turns_them_on(tmp_path: Path, session: Any) -> None:
    async with Running(Settings(state=tmp_path, tasks_ramp_up=2, tasks_duplicates=1.0)) as running:
        rest = Rest(session, running.cloud.rest_url)
        assert await rest.ok("GET", RAMP) == {"start": 2, "growth": 0.5, "every": 300, "idle": 300}
        assert await rest.ok("GET", TWICE) == {"seed": 0, "shares": {"*": 1.0}}
        await queue(rest)
        assert running.cloud.use(State).dispatcher.queues[QUEUE].bucket.rate == 2


async def test_a_duplicate_is_the_same_request_again(rest: Rest, cloud: Cloud) -> None:
    async with receiver(cloud.now) as there:
        await queue(rest)
        await queue(rest, "calm")
        await rest.ok("POST", TWICE, {"queue": QUEUE, "share": 1})
        await send(rest, f"{there.url}/twice", "one")
        await send(rest, f"{there.url}/once", "two", "calm")
        await there.arrived(3)
        await cloud.clock.settle()
        twice = [request for request in there.requests if request.target == "/twice"]
        assert len(there.requests) == 3
        assert twice[0].headers == twice[1].headers
        assert twice[0].header("X-CloudTasks-TaskRetryCount") == "0"
        await rest.ok("POST", TWICE, {"share": 0})
        await send(rest, f"{there.url}/after", "three")
        await there.arrived(4)
        await cloud.clock.settle()
        assert len(there.requests) == 4


async def test_a_ramp_up_slows_queues_that_wait_already(rest: Rest, cloud: Cloud) -> None:
    async with receiver(cloud.now) as there:
        await queue(rest)
        await rest.ok("POST", f"/v2/{QUEUE}:pause")
        for index in range(12):
            await send(rest, there.url, f"t{index}")
        await rest.ok("POST", RAMP, {"start": 0.01})
        await rest.ok("POST", f"/v2/{QUEUE}:resume")
        await cloud.clock.advance(250)
        assert len(there.requests) == 3
        await rest.ok("POST", RAMP, {"start": 0})
        await there.arrived(12)


@pytest.mark.parametrize(
    ("path", "body", "match"),
    [
        (RAMP, {}, '"start" is required'),
        (RAMP, {"start": -1}, "must not be negative"),
        (RAMP, {"start": "5"}, "must be a number"),
        (RAMP, {"start": 5, "every": 0}, "must be more than 0"),
        (RAMP, {"start": 0.001}, "begin again and again"),
        (RAMP, {"start": 1, "speed": 2}, 'Unknown field "speed"'),
        (RAMP, [1], "JSON object"),
        (TWICE, {}, '"share" is required'),
        (TWICE, {"share": 1.1}, "between 0 and 1"),
        (TWICE, {"share": True}, "must be a number"),
        (TWICE, {"share": 0.1, "seed": 0.5}, "whole number"),
        (TWICE, {"share": 0.1, "queue": 7}, "queue's name"),
    ],
)
async def test_what_makes_no_sense_is_refused(rest: Rest, path: str, body: Any, match: str) -> None:
    status, answer = await rest("POST", path, body)
    assert status == 400
    assert match in answer["error"]["message"]


async def test_an_unknown_queue_is_not_found(rest: Rest) -> None:
    status, answer = await rest("POST", TWICE, {"queue": "never", "share": 0.5})
    assert status == 404
    assert "Queue does not exist" in answer["error"]["message"]


async def test_services_cannot_change_them(as_account: Callable[[str], Rest]) -> None:
    for path in (RAMP, TWICE):
        status, _ = await as_account("sender")("POST", path, {"share": 1, "start": 1})
        assert status in (403, 404)
