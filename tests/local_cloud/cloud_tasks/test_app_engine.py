"""App Engine tasks through the official client: what is kept, what goes out, and what an application's answers mean."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf import duration_pb2

from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, async_client
from tests.local_cloud.conftest import Rest
from tests.local_cloud.receiver import Receiver, receiver

AGENT = "AppEngine-Google; (+http://code.google.com/appengine)"
DOMAIN = f"{PROJECT}.uc.r.appspot.com"
SLOW = {"min_backoff": {"seconds": 1}, "max_backoff": {"seconds": 1}}


class Room:
    """A cloud in this loop, the application that its tasks go to, and a client."""

    def __init__(self, running: Running, there: Receiver, client: Any) -> None:
        self.cloud = running.cloud
        self.there = there
        self.client = client
        self.queue = f"{PARENT}/queues/q-{uuid.uuid4().hex[:12]}"

    async def make(self, **fields: Any) -> Any:
        """The queue."""
        return await self.client.create_queue(parent=PARENT, queue={"name": self.queue, **fields})

    async def task(self, request: dict[str, Any], **fields: Any) -> Any:
        """A task for the application."""
        return await self.client.create_task(parent=self.queue, task={"app_engine_http_request": request, **fields})


@asynccontextmanager
async def room_of(running: Running, there: Receiver) -> AsyncIterator[Room]:
    async with async_client(running.cloud.ports) as client:
        yield Room(running, there, client)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with (
        receiver(lambda: 0.0) as there,
        Running(Settings(state=tmp_path, app_engine_host=there.url)) as running,
        room_of(running, there) as made,
    ):
        yield made


@pins(
    "cloud_tasks",
    "App Engine",
    "The headers of each attempt, and their values over six answers: every answer is an execution, the reason is "
    "`App Error`",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
@pins("cloud_tasks", "App Engine", "Redirects are not followed", documented="AppEngineHttpRequest")
async def test_headers_of_six_attempts_are_those_recorded_from_app_engine(room: Room) -> None:
    room.there.answers = [503, 404, 429, 500, 302, 200]
    await room.make(retry_config=SLOW)
    name = f"{room.queue}/tasks/six"
    await room.task({"relative_uri": "/work?a=b", "headers": {"X-Mine": "1", "X-AppEngine-TaskName": "no"}}, name=name)
    await room.cloud.clock.advance(60)
    seen = room.there.requests
    assert [r.header("X-AppEngine-TaskRetryCount") for r in seen] == ["0", "1", "2", "3", "4", "5"]
    assert [r.header("X-AppEngine-TaskExecutionCount") for r in seen] == ["0", "1", "2", "3", "4", "5"]
    previous = [None, "503", "404", "429", "500", "302"]
    assert [r.header("X-AppEngine-TaskPreviousResponse") for r in seen] == previous
    assert [r.header("X-AppEngine-TaskRetryReason") for r in seen] == [None, *["App Error"] * 5]
    for request in seen:
        assert (request.method, request.target) == ("POST", "/work?a=b")
        assert request.header("User-Agent") == AGENT
        assert request.header("X-AppEngine-QueueName") == room.queue.rpartition("/")[2]
        assert request.header("X-AppEngine-TaskName") == "six"
        assert request.header("X-Mine") == "1"
        assert request.header("X-AppEngine-TaskETA") is not None
        assert not [header for header, _ in request.headers if header.lower().startswith("x-cloudtasks-")]
    with pytest.raises(exceptions.NotFound):
        await room.client.get_task(name=name)


@pins(
    "cloud_tasks",
    "App Engine",
    "User-Agent is App Engine's, after the task's own; a body brings Content-Length and, where none is set, "
    "Content-Type: application/octet-stream; all of them read back",
    documented="AppEngineHttpRequest.headers",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
@pins(
    "cloud_tasks",
    "App Engine",
    "The host reads back as [instance.][version.][service.]PROJECT.REGION_ID.r.appspot.com",
    documented="AppEngineRouting.host",
    observed="task sizes measured by aertje/cloud-tasks-emulator",
)
async def test_a_task_reads_back_with_what_google_fills_in(room: Room) -> None:
    await room.make()
    await room.client.pause_queue(name=room.queue)
    plain = await room.task({})
    request = plain.app_engine_http_request
    assert (request.relative_uri, request.http_method.name, request.body) == ("/", "POST", b"")
    assert dict(request.headers) == {"User-Agent": AGENT}
    assert request.app_engine_routing.host == DOMAIN
    assert "dispatch_deadline" not in plain
    routing = {"service": "worker", "version": "v1", "instance": "2", "host": "ignored.example"}
    full = await room.client.create_task(
        request={
            "parent": room.queue,
            "task": {
                "app_engine_http_request": {
                    "relative_uri": "/x",
                    "body": b"0123456789",
                    "headers": {"user-agent": "mine/1", "X-Mixed-Case": "kept"},
                    "app_engine_routing": routing,
                }
            },
            "response_view": 2,
        }
    )
    request = full.app_engine_http_request
    assert request.body == b"0123456789"
    assert dict(request.headers) == {
        "User-Agent": f"mine/1 {AGENT}",
        "X-Mixed-Case": "kept",
        "Content-Length": "10",
        "Content-Type": "application/octet-stream",
    }
    assert request.app_engine_routing.host == f"2.v1.worker.{DOMAIN}"
    assert (request.app_engine_routing.service, request.app_engine_routing.version) == ("worker", "v1")
    basic = await room.client.get_task(name=full.name)
    assert basic.app_engine_http_request.body == b""
    assert basic.app_engine_http_request.headers == request.headers
    own = await room.task({"body": b"{}", "headers": {"content-type": "application/json"}})
    assert dict(own.app_engine_http_request.headers)["content-type"] == "application/json"
    await room.client.resume_queue(name=room.queue)
    seen = await room.there.arrived(3)
    assert {(r.target, r.header("User-Agent"), r.body) for r in seen} == {
        ("/", AGENT, b""),
        ("/x", f"mine/1 {AGENT}", b"0123456789"),
        ("/", AGENT, b"{}"),
    }
    lengths = [header for header in seen[1].headers if header[0].lower() == "content-length"]
    assert lengths == [("Content-Length", "10")]


@pins(
    "cloud_tasks",
    "App Engine",
    "503 slows the whole queue down, 429 does not",
    documented="AppEngineHttpRequest",
)
async def test_503_slows_the_queue_and_429_does_not(room: Room) -> None:
    from local_cloud.apis.cloud_tasks.state import State

    room.there.answers = [429, 200]
    await room.make(retry_config=SLOW)
    queue = room.cloud.use(State).dispatcher.queues[room.queue]
    await room.task({})
    await room.there.arrived(1)
    await room.cloud.clock.settle()
    assert queue.bucket.rate == 500
    await room.cloud.clock.advance(5)
    room.there.answers = [503]
    await room.task({})
    await room.there.arrived(3)
    await room.cloud.clock.settle()
    assert queue.bucket.rate < 500


@pins(
    "cloud_tasks",
    "App Engine",
    "Dispatch deadline 15 s to 24 h 15 s; 0 or none means 10 minutes, as of a standard app with automatic scaling",
    documented="Task.dispatch_deadline",
)
async def test_a_deadline_may_be_a_day_long_and_a_missed_one_is_an_instance_that_was_not_there(room: Room) -> None:
    await room.make(retry_config=SLOW)
    await room.client.pause_queue(name=room.queue)
    for seconds in (14, 24 * 3600 + 16):
        with pytest.raises(exceptions.InvalidArgument) as refused:
            await room.task({}, dispatch_deadline=duration_pb2.Duration(seconds=seconds))
        assert refused.value.message == "Task.dispatchDeadline must be between [15s, 24h15s]."
    for seconds in (15, 24 * 3600 + 15, 0):
        made = await room.task({}, dispatch_deadline=duration_pb2.Duration(seconds=seconds))
        await room.client.delete_task(name=made.name)
    import asyncio

    room.there.hold = asyncio.Event()
    await room.client.resume_queue(name=room.queue)
    await room.task({}, dispatch_deadline=duration_pb2.Duration(seconds=0))
    await room.there.arrived(1)
    await room.cloud.clock.advance(590, wait=0.01)
    assert len(room.there.requests) == 1
    hold, room.there.hold = room.there.hold, None
    await room.cloud.clock.advance(20, wait=0.05)
    second = (await room.there.arrived(2))[1]
    hold.set()
    assert second.header("X-AppEngine-TaskPreviousResponse") == "0"
    assert second.header("X-AppEngine-TaskRetryReason") == "Instance Unavailable"
    assert second.header("X-AppEngine-TaskExecutionCount") == "0"


@pins(
    "cloud_tasks",
    "App Engine",
    "A queue's app_engine_routing_override stands for the routing of its tasks",
    documented="Queue.app_engine_routing_override",
)
@pins(
    "cloud_tasks",
    "App Engine",
    "The application is where `--app-engine-host` or APP_ENGINE_EMULATOR_HOST says; {service}, {version} and "
    "{instance} in it are filled in",
    ours="there is no App Engine here",
)
async def test_a_queues_routing_stands_for_that_of_its_tasks(tmp_path: Path) -> None:
    async with receiver(lambda: 0.0) as there:
        place = there.url.replace("127.0.0.1", "{service}.localhost")
        async with (
            Running(Settings(state=tmp_path, app_engine_host=place)) as running,
            room_of(running, there) as room,
        ):
            from local_cloud.apis.cloud_tasks.state import State

            made = await room.make()
            assert "app_engine_routing_override" not in made
            await room.client.pause_queue(name=room.queue)
            for routing in ({}, {"service": "own"}):
                await room.task({"relative_uri": "/", "app_engine_routing": routing})
            state = running.cloud.use(State)
            queue = state.dispatcher.queues[room.queue]
            before = [state.dispatcher._target_of(queue, task).url for task in queue.tasks.values()]
            assert [url.partition(".localhost")[0] for url in before] == ["http://default", "http://own"]
            changed = await room.client.update_queue(
                queue={"name": room.queue, "app_engine_routing_override": {"service": "all", "version": "7"}},
                update_mask={"paths": ["app_engine_routing_override"]},
            )
            assert changed.app_engine_routing_override.host == f"7.all.{DOMAIN}"
            after = [state.dispatcher._target_of(queue, task).url for task in queue.tasks.values()]
            assert [url.partition(".localhost")[0] for url in after] == ["http://all", "http://all"]
            cleared = await room.client.update_queue(
                queue={"name": room.queue}, update_mask={"paths": ["app_engine_routing_override"]}
            )
            assert "app_engine_routing_override" not in cleared


@pins(
    "cloud_tasks",
    "App Engine",
    "Without an application attempts fail, NOT_FOUND, and the cloud's log says what to set",
    ours=True,
)
async def test_without_an_application_attempts_fail_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APP_ENGINE_EMULATOR_HOST", raising=False)
    async with (
        Running(Settings(state=tmp_path)) as running,
        receiver(running.cloud.now) as there,
        room_of(running, there) as room,
    ):
        await room.make(retry_config=SLOW)
        made = await room.task({"relative_uri": "/x"})
        await running.cloud.clock.settle()
        tried = await room.client.get_task(name=made.name)
        assert tried.last_attempt.response_status.code == 5
        assert "--app-engine-host" in tried.last_attempt.response_status.message
        hints = [event["message"] for event in running.cloud.log.events if event["severity"] == "WARNING"]
        assert any(f"http://{DOMAIN}/x" in hint and "--app-engine-host" in hint for hint in hints)


async def test_the_variable_of_other_emulators_names_the_application_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver(lambda: 0.0) as there:
        monkeypatch.setenv("APP_ENGINE_EMULATOR_HOST", there.url.removeprefix("http://"))
        async with Running(Settings(state=tmp_path)) as running, room_of(running, there) as room:
            await room.make()
            await room.task({"relative_uri": "/here"})
            assert (await there.arrived(1))[0].target == "/here"


@pins(
    "cloud_tasks",
    "App Engine",
    "relative_uri begins with / and has no spaces, at most 2083 characters; a body only with POST or PUT",
    documented="AppEngineHttpRequest",
    ours="the wording",
)
@pytest.mark.parametrize(
    ("request_", "match"),
    [
        ({"relative_uri": "x"}, "begin with '/'"),
        ({"relative_uri": "http://h/"}, "begin with '/'"),
        ({"relative_uri": "//h/"}, "path with an optional query"),
        ({"relative_uri": "/a b"}, "spaces"),
        ({"relative_uri": "/" + "x" * 2083}, "2083"),
        ({"http_method": 6, "body": b"x"}, "POST or PUT"),
        ({"http_method": 2, "body": b"x"}, "POST or PUT"),
        ({"headers": {"a b": "x"}}, "not a header name"),
        ({"body": b"x" * 1_048_570}, "Task size too large"),
    ],
)
async def test_what_the_reference_does_not_allow_is_refused(room: Room, request_: dict[str, Any], match: str) -> None:
    await room.make()
    await room.client.pause_queue(name=room.queue)
    with pytest.raises(exceptions.InvalidArgument, match=match):
        await room.task(request_)
    assert not [task async for task in await room.client.list_tasks(parent=room.queue)]


@pins(
    "cloud_tasks",
    "App Engine",
    "Whoever names routing needs appengine.applications.get on the project",
    documented="AppEngineRouting",
)
async def test_naming_a_service_needs_to_see_the_application(room: Room, as_account: Any) -> None:
    await room.make()
    await room.client.pause_queue(name=room.queue)
    sender: Rest = as_account("sender")
    await room.client.set_iam_policy(
        request={
            "resource": room.queue,
            "policy": {
                "bindings": [
                    {
                        "role": "roles/cloudtasks.enqueuer",
                        "members": [f"serviceAccount:sender@{PROJECT}.iam.gserviceaccount.com"],
                    }
                ]
            },
        }
    )
    path = f"/v2/{room.queue}/tasks"
    status, _ = await sender("POST", path, {"task": {"appEngineHttpRequest": {"relativeUri": "/"}}})
    assert status == 200
    routed = {"task": {"appEngineHttpRequest": {"appEngineRouting": {"service": "w"}}}}
    status, answer = await sender("POST", path, routed)
    assert status == 403
    assert "appengine.applications.get" in answer["error"]["message"]


@pytest.fixture
def cloud(room: Room) -> Any:
    """The room's cloud, for `as_account`."""
    return room.cloud
