"""One write to disk and who waits for it: what the state's store and Pub/Sub's log have in common.

Owns the waiters of a write, and when a small one may be made on the loop. What is written, and how, is its owner's.
"""

import asyncio
import time
from collections.abc import Callable

#: A write of so many bytes at most, when nothing was written within so many seconds, is made on the loop: there is no
#: thread to wait for, and it takes half the time.
ALONE_BYTES, QUIET = 65_536, 0.001
#: Where such a write took longer than this, the disk is slow: all is left to the thread for a while (seconds).
SLOW, SLOW_FOR = 0.003, 5.0


class Round:
    """Who waits for one write: functions to call, then futures."""

    __slots__ = ("_after", "_waiters", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._after: list[Callable[[], None]] = []
        self._waiters: list[asyncio.Future[None]] = []

    def wait(self) -> asyncio.Future[None]:
        """Done when the write is on disk; fails with it."""
        waiter = self.loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def then(self, callback: Callable[[], None]) -> None:
        """Calls back when the write is on disk, before those who wait go on."""
        self._after.append(callback)

    def written(self) -> None:
        """It is on disk."""
        for callback in self._after:
            try:
                callback()
            except Exception as mistake:  # one's own mistake, of which nobody else who waits is to hear
                told = {"message": "What was to follow a commit failed", "exception": mistake}
                self.loop.call_exception_handler(told)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def failed(self, error: Exception) -> None:
        """It never will be."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)


class Pace:
    """Whether a small write may be made on the loop now."""

    __slots__ = ("_quiet_from",)

    def __init__(self) -> None:
        self._quiet_from = 0.0

    def is_quiet(self, now: float) -> bool:
        """Whether nothing was written just before, and the disk is not slow."""
        return now >= self._quiet_from

    def wrote(self) -> None:
        """Something was written."""
        self._quiet_from = max(self._quiet_from, time.monotonic() + QUIET)

    def took(self, since: float) -> None:
        """A write on the loop ended that was begun then."""
        now = time.monotonic()
        if now - since > SLOW:
            self._quiet_from = now + SLOW_FOR


def unwritable(where: object, error: Exception) -> str:
    """What is said when the disk fails."""
    return (
        f"{where} can no longer be written ({error}). The cloud stops: what it has acknowledged is on disk, "
        "and a restart goes on from there."
    )
