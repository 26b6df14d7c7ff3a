"""The probe of a hop: it shows that a caller is let through and a sender may send, and nothing else comes of it."""

from __future__ import annotations

from typing import Any

from service_code.kit import probe
from tests.service_code.outer import Outer, Task
from tests.service_code.world import INVOKER, OPERATOR, Clock, Running, World

AWAY = "postgresql://{user}@127.0.0.1:9/nothing"
#: A service without a database, so that a probe that reached a handler would be seen to ask outside.
ASKED, ONWARD = "gchostpay2", ("gchostpay-status-response-queue", "hostpay-execution-queue")


def stateless(outer: Outer) -> World:
    return World(outer, AWAY, "http://127.0.0.1:9/rpc", Clock())


async def ask(service: Running, mark: str, email: str = INVOKER) -> Any:
    token = service.world.token(ASKED, email)
    return await service.request("POST", "/", Authorization=f"Bearer {token}", x_sluice_probe=mark)


def names(tasks: list[Task]) -> dict[str, str]:
    return {task.queue: task.name for task in tasks}


async def test_a_probe_is_answered_before_anything_is_read_and_effects_nothing(outer: Outer) -> None:
    async with stateless(outer).run(ASKED) as service:
        answer = await ask(service, "run1")
    assert (answer.status, answer.text) == (204, "")
    assert outer.tasks == []


async def test_a_probe_is_judged_at_the_door_as_every_task_is(outer: Outer) -> None:
    async with stateless(outer).run(ASKED) as service:
        assert (await service.request("POST", "/", x_sluice_probe="run1")).status == 401
        assert (await ask(service, "run1", email=OPERATOR)).status == 403
        assert (await ask(service, "nothing/that.fits")).status == 400


async def test_a_sender_shows_that_it_may_send_by_a_task_that_is_known_and_goes_no_further(outer: Outer) -> None:
    async with stateless(outer).run(ASKED) as service:
        for _ in range(2):  # a second delivery of the same probe finds its tasks made
            assert (await ask(service, " ".join(("run1", *ONWARD)))).status == 204
        made = outer.tasks
        assert names(made) == dict.fromkeys(ONWARD, probe.task_id("run1", ASKED))
        assert {task.headers[probe.HEADER] for task in made} == {"run1"}
        assert {task.body for task in made} == {b""}


async def test_a_sender_that_may_not_send_says_so_and_the_log_says_why(
    outer: Outer, log_lines: list[dict[str, Any]]
) -> None:
    outer.tasks_status = 403
    async with stateless(outer).run(ASKED) as service:
        assert (await ask(service, f"run1 {ONWARD[0]}")).status == 424
        assert (await ask(service, "run1 no-queue-of-its-own")).status == 424
    told = [line for line in log_lines if line.get("event") == "probe_refused"]
    assert [(line["queue"], line["severity"]) for line in told] == [
        (ONWARD[0], "WARNING"),
        ("no-queue-of-its-own", "WARNING"),
    ]
    assert "refused the task: 403" in told[0]["why"]
