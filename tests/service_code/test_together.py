"""Tasks of one turn go out in one call, and each caller hears of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from service_code.kit.outside import Answer
from service_code.kit.tasks import TaskError
from service_code.kit.together import MOST, Together

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
    assert statuses(answers) == [409, 200, 400, 200]
    assert answers[2].json()["error"]["message"] == "may not act as"


async def test_a_batch_that_is_refused_is_refused_to_each() -> None:
    cloud = Cloud(lambda _: Answer(403, b"{}"))
    assert statuses(await create(Together(cloud.post), 2)) == [403, 403]
    assert cloud.asked == [(":batchCreate", 2)]


@pytest.mark.parametrize("answer", [operation(done=False), operation(error={"code": 13}), Answer(501, b"")])
async def test_where_a_batch_does_not_say_what_became_of_its_tasks_each_is_made_by_itself(answer: Answer) -> None:
    cloud = Cloud(lambda _: answer, lambda: Answer(409, b"{}"))
    together = Together(cloud.post)
    assert statuses(await create(together, 2)) == [409, 409]
    assert statuses(await create(together, 2)) == [409, 409]
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
