"""Tasks of one turn go out in one call, and each caller hears of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from service_code.kit.access import Access
from service_code.kit.outside import Answer, Outside
from service_code.kit.settings import QueueEdge
from service_code.kit.tasks import TaskError, Tasks
from service_code.kit.together import MOST, Together
from service_code.kit.token_policy import TokenPolicy

NOW = datetime(2026, 11, 23, tzinfo=UTC)
QUEUE = "projects/p/locations/l/queues/q"


class Cloud:
    """Answers by a rule and keeps what it was asked."""

    def __init__(self, batch: Callable[[int], Answer], one: Callable[[], Answer] = lambda: Answer(200, b"{}")) -> None:
        self.asked: list[tuple[str, int]] = []
        self._batch = batch
        self._one = one

    async def post(self, path: str, body: bytes) -> Answer:
        given = json.loads(body)
        kind = path.removeprefix(f"{QUEUE}/tasks")
        self.asked.append((kind, len(given["requests"]) if kind else 1))
        await asyncio.sleep(0)
        return self._batch(len(given["requests"])) if kind else self._one()


def operation(failed: dict[str, Any] | None = None, *, done: bool = True, **more: Any) -> Answer:
    said = {"name": "o", "done": done, "metadata": {"failedRequests": failed or {}}, **more}
    return Answer(200, json.dumps(said).encode())


async def create(together: Together, count: int) -> list[Any]:
    calls = (together.create(QUEUE, {"name": str(index)}) for index in range(count))
    return await asyncio.gather(*calls, return_exceptions=True)


def statuses(answers: list[Any]) -> list[int]:
    return [answer.status for answer in answers]


async def test_tasks_of_one_turn_go_out_in_one_call_and_one_alone_by_itself() -> None:
    cloud = Cloud(lambda _: operation())
    together = Together(cloud.post)
    assert statuses(await create(together, 3)) == [200] * 3
    assert statuses(await create(together, 1)) == [200]
    assert statuses(await create(together, MOST + 1)) == [200] * (MOST + 1)
    assert cloud.asked == [(":batchCreate", 3), ("", 1), (":batchCreate", MOST), ("", 1)]


async def test_a_refused_task_of_a_batch_is_its_own_callers_alone() -> None:
    failed = {"0": {"code": 6, "message": "taken"}, "2": {"code": 7, "message": "may not act as"}}
    together = Together(Cloud(lambda _: operation(failed, error={"code": 9})).post)
    answers = await create(together, 4)
    assert statuses(answers) == [409, 200, 403, 200]
    assert answers[2].json()["error"]["message"] == "may not act as"


async def test_a_refusal_in_a_batch_has_the_status_that_it_has_of_a_task_alone() -> None:
    codes = {5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 13: 500, 14: 503, 16: 401, 99: 500}
    failed = {str(index): {"code": code, "message": "no"} for index, code in enumerate(codes)}
    together = Together(Cloud(lambda _: operation(failed)).post)
    assert statuses(await create(together, len(codes))) == list(codes.values())


class Login(Access):
    """Somebody whose token dies once, and who gets a new one."""

    forgotten = 0

    async def token(self) -> str:
        return "token"

    async def id_token(self, audience: str) -> str:
        return f"token for {audience}"

    def forget(self) -> None:
        self.forgotten += 1


class Google(Outside):
    """Answers calls one after the other."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = iter(answers)

    async def call(self, *_args: Any, **_named: Any) -> Answer:
        return next(self._answers)


def tasks_of(*answers: Answer) -> tuple[Tasks, Login]:
    login = Login()
    edge = QueueEdge(
        name="q",
        path=QUEUE,
        url="https://receiver/",
        audience="https://receiver",
        invoker="invoker@p.iam.gserviceaccount.com",
        dispatch_deadline="60s",
        token_window=None,
        token=TokenPolicy(),
    )
    return Tasks("https://tasks", {"q": edge}, Google(*answers), login), login


async def test_a_dead_token_in_a_batch_is_replaced_and_the_tasks_are_made() -> None:
    dead = {"0": {"code": 16, "message": "expired"}, "1": {"code": 16, "message": "expired"}}
    tasks, login = tasks_of(operation(dead), operation())
    first, second = await asyncio.gather(tasks.create("q", "1", b"", at=NOW), tasks.create("q", "2", b"", at=NOW))
    assert first
    assert second
    assert login.forgotten


async def test_only_a_name_that_is_taken_counts_as_made_before() -> None:
    """ABORTED is 409 as well, and nothing was made."""
    tasks, _ = tasks_of(operation({"0": {"code": 6, "message": "taken"}, "1": {"code": 10, "message": "once more"}}))
    calls = (tasks.create("q", "1", b"", at=NOW), tasks.create("q", "2", b"", at=NOW))
    taken, aborted = await asyncio.gather(*calls, return_exceptions=True)
    assert taken is False
    assert str(aborted) == "q refused the task: 409 once more"


async def test_a_batch_that_is_refused_is_refused_to_each() -> None:
    cloud = Cloud(lambda _: Answer(403, b"{}"))
    assert statuses(await create(Together(cloud.post), 2)) == [403, 403]
    assert cloud.asked == [(":batchCreate", 2)]


@pytest.mark.parametrize("answer", [operation(done=False), operation(error={"code": 13}), Answer(501, b"")])
async def test_where_a_batch_does_not_say_what_became_of_its_tasks_each_is_made_by_itself(answer: Answer) -> None:
    cloud = Cloud(lambda _: answer, lambda: Answer(409, b"{}"))
    together = Together(cloud.post)
    with capture_logs() as lines:
        assert statuses(await create(together, 2)) == [409, 409]
        assert statuses(await create(together, 2)) == [409, 409]
    assert [line["what"] for line in lines] == ["batches_off"]
    assert cloud.asked == [(":batchCreate", 2), *[("", 1)] * 4]


async def test_a_batch_without_an_answer_is_an_error_of_each_caller() -> None:
    async def post(_path: str, _body: bytes) -> Answer:
        raise TaskError("no answer")

    answers = await create(Together(post), 2)
    assert [str(answer) for answer in answers] == ["no answer"] * 2


async def test_a_caller_that_goes_away_takes_no_other_along() -> None:
    cloud = Cloud(lambda _: operation())
    together = Together(cloud.post)
    first = asyncio.create_task(together.create(QUEUE, {"name": "1"}))
    second = asyncio.create_task(together.create(QUEUE, {"name": "2"}))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).status == 200
    assert cloud.asked == [(":batchCreate", 2)]
