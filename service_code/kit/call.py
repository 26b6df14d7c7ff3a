"""One request in a handler's hands: its time, its attempt, and the one transaction that the kit commits."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING

from service_code.kit import logs
from service_code.kit.clock import moment

if TYPE_CHECKING:
    from service_code.kit.db import Connection
    from service_code.kit.runtime import Kit

_log = logs.get("call")


class Call:
    """What a handler may know and use. A handler that writes calls `begin` and never commits by itself."""

    def __init__(self, kit: Kit, *, attempt: int = 1, task: str | None = None, pins: Mapping[str, str] = {}) -> None:
        self.kit = kit
        self.attempt = attempt
        self.task = task
        #: Which revisions the payment is pinned to, as the message said that brought it.
        self.pins = pins
        self.unique_id: str | None = None
        self.generation = 1
        self._stack = AsyncExitStack()
        self._connection: Connection | None = None

    @property
    def now(self) -> datetime:
        """Return the kit's time."""
        return moment(self.kit.clock)

    def about(self, unique_id: str, generation: int = 1) -> None:
        """Say which payment this request is about, for logs and dead letters."""
        self.unique_id, self.generation = unique_id, generation
        logs.about(unique_id=unique_id)

    async def begin(self) -> Connection:
        """Open the request's transaction, or return the open one."""
        if self._connection is None:
            self._connection = await self._stack.enter_async_context(self.kit.db.transaction())
        return self._connection

    async def commit(self) -> None:
        """Commit what was written; the kit calls this, with Next, Done and Dead."""
        self._connection = None
        await self._stack.aclose()

    async def rollback(self, error: BaseException | None = None) -> None:
        """Take back what was written; the kit calls this, with Retry and errors."""
        if self._connection is None:
            return
        self._connection = None
        reason = error or RuntimeError("rolled back")
        try:
            await self._stack.__aexit__(type(reason), reason, reason.__traceback__)
        except Exception as lost:  # a connection that is gone has taken everything back already
            _log.warning("nothing was left to roll back", what="connection_lost", status="lost", error=lost)
