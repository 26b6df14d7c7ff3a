"""Tasks that are made in one turn of the loop go out as one call of their queue: tasks:batchCreate.

A group commit ends for many requests at once, and each then makes its tasks. Nobody waits for neighbours: what comes in
the same turn goes together, and a task by itself goes as before. The batch's operation says which task was refused;
where Google has not ended it with its answer, each task is made by itself, which its name makes safe.
Source: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/batchCreate.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Awaitable, Callable
from typing import Any

from service_code.kit import logs
from service_code.kit.outside import Answer

_log = logs.get("tasks")
#: The most tasks of one batch.
MOST = 100
#: Statuses of a server that has no such method.
NO_METHOD = (404, 405, 501)
#: google.rpc.Code by number: its name, and the status that the same refusal has of a task made by itself.
#: Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto.
CODES = {
    1: ("CANCELLED", 499),
    2: ("UNKNOWN", 500),
    3: ("INVALID_ARGUMENT", 400),
    4: ("DEADLINE_EXCEEDED", 504),
    5: ("NOT_FOUND", 404),
    6: ("ALREADY_EXISTS", 409),
    7: ("PERMISSION_DENIED", 403),
    8: ("RESOURCE_EXHAUSTED", 429),
    9: ("FAILED_PRECONDITION", 400),
    10: ("ABORTED", 409),
    11: ("OUT_OF_RANGE", 400),
    12: ("UNIMPLEMENTED", 501),
    13: ("INTERNAL", 500),
    14: ("UNAVAILABLE", 503),
    15: ("DATA_LOSS", 500),
    16: ("UNAUTHENTICATED", 401),
}
UNKNOWN = CODES[2]

Waiting = tuple[dict[str, Any], asyncio.Future[Answer]]
Post = Callable[[str, bytes], Awaitable[Answer]]


class Together:
    """Makes tasks, those of one turn and queue in one call; each caller gets the answer of its own."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._waiting: dict[str, list[Waiting]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._batches = True

    async def create(self, queue: str, task: dict[str, Any]) -> Answer:
        """Make a task of this queue, given by its path."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        waiting = self._waiting.setdefault(queue, [])
        waiting.append((task, future))
        if len(waiting) == 1:
            loop.call_soon(self._go, queue, context=contextvars.Context())  # no request's, as of no request's log lines
        return await future

    def _go(self, queue: str) -> None:
        waiting = self._waiting.pop(queue)
        for start in range(0, len(waiting), MOST):
            running = asyncio.create_task(self._make(queue, waiting[start : start + MOST]))
            self._running.add(running)
            running.add_done_callback(self._running.discard)

    async def _make(self, queue: str, batch: list[Waiting]) -> None:
        try:
            answers = await self._answers(queue, [task for task, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, BaseException):
                if not future.done():
                    future.set_exception(answer)
            elif not future.done():
                future.set_result(answer)

    async def _answers(self, queue: str, tasks: list[dict[str, Any]]) -> list[Answer | BaseException]:
        if len(tasks) > 1 and self._batches:
            body = {"requests": [{"parent": queue, "task": task} for task in tasks]}
            answer = await self._post(f"{queue}/tasks:batchCreate", json.dumps(body).encode())
            if answer.status not in (200, *NO_METHOD):
                return [answer] * len(tasks)
            found = _each(answer, len(tasks))
            if found is not None:
                return list(found)
            if answer.status != 404 and self._batches:  # 404 is the queue's absence, which each task is told of
                self._batches = False
                _log.warning("batches of tasks are not answered at once: each is made by itself", what="batches_off")
        calls = (self._post(f"{queue}/tasks", json.dumps({"task": task}).encode()) for task in tasks)
        return list(await asyncio.gather(*calls, return_exceptions=True))


def _each(answer: Answer, count: int) -> list[Answer] | None:
    """Return the answer of each task of a batch; None where the operation does not say."""
    operation = answer.json() if answer.status == 200 else None
    if not isinstance(operation, dict) or operation.get("done") is not True:
        return None
    metadata = operation.get("metadata")
    failed = metadata.get("failedRequests") if isinstance(metadata, dict) else None
    if "error" in operation and not failed:
        return None
    refused = {str(index): status for index, status in (failed or {}).items() if isinstance(status, dict)}
    return [_one(refused.get(str(index))) for index in range(count)]


def _one(refusal: dict[str, Any] | None) -> Answer:
    if refusal is None:
        return Answer(200, b"")
    name, status = CODES.get(refusal.get("code", 0), UNKNOWN)
    body = {"error": {"code": status, "message": str(refusal.get("message", "")), "status": name}}
    return Answer(status, json.dumps(body).encode())
