"""Group commit: what arrives while a flush is under way is flushed together next, within the requests' own time.

Callers wait for their flush, so nothing happens after a response (DESIGN section 3; BASELINES: twice the throughput).
A flush that fails by what is in it is halved until the bad item stands alone; one that fails because the database is
away, slow or full fails as a whole: asking again for each item would be a queue of timeouts. A flush belongs to no
request, so its log lines carry none's fields.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import asyncpg

from service_code.kit import measure
from service_code.kit.db import OverloadedError, unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Failures that no item of a flush has caused, beside a database that is away (a TimeoutError is an OSError: so, too).
SHARED = (
    OverloadedError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Batcher(Generic[Item, Result]):
    """Collects items and hands them to `flush`, which returns one result an item in their order."""

    def __init__(self, flush: Callable[[list[Item]], Awaitable[list[Result]]], *, largest: int = 64) -> None:
        self._flush = flush
        self._largest = largest
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Flush this item with its neighbours and return its result, or raise what its flush raised."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run(), context=contextvars.Context())
        with measure.statement():
            return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
                await self._one(batch)
        finally:
            self._running = None

    async def _one(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:
            shared = isinstance(error, SHARED) or unavailable(error)
            if len(batch) > 1 and not shared:  # one bad item must not spoil its neighbours
                half = len(batch) // 2
                await self._one(batch[:half])
                await self._one(batch[half:])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
