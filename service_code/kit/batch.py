"""Group commit: what arrives while a flush is under way is flushed together next, within the requests' own time.

Callers wait for their flush, so nothing happens after a response (DESIGN section 3; BASELINES: twice the throughput).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


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
            self._running = asyncio.create_task(self._run())
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
            if len(batch) > 1:  # one bad item must not spoil its neighbours: each gets a flush of its own
                for single in batch:
                    await self._one([single])
                return
            if not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
