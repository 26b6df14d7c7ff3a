"""Live tailing: entries as they are kept, held back for a moment so that they come in the order of their times.

Owns the buffer window, the limits and what is told of entries left out. The window runs on the cloud's clock.
Sources: TailLogEntriesRequest and SuppressionInfo in google/logging/v2/logging.proto, Logging's quotas of live tailing.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from local_cloud.clock import Clock, Timer
from local_cloud.logs.compare import Entry, nanoseconds
from local_cloud.logs.entries import Entries, Scope
from local_cloud.logs.query import Query

#: Sessions at once, entries of a session in a minute, and entries that may wait for a slow reader.
MAX_SESSIONS, MAX_A_MINUTE, MAX_WAITING = 10, 60_000, 10_000
#: Entries of one answer.
BATCH = 1000
RATE_LIMIT, NOT_CONSUMED = "RATE_LIMIT", "NOT_CONSUMED"


class Tail:
    """One session."""

    def __init__(self, clock: Clock, query: Query, scopes: Sequence[Scope], window: float) -> None:
        self._clock, self._query, self._scopes, self._window = clock, query, scopes, window
        self._held: list[Entry] = []
        self._ready: list[Entry] = []
        self._left_out: Counter[str] = Counter()
        self._minute = self._in_minute = 0
        self._timer: Timer | None = None
        self._wake = asyncio.Event()

    async def batches(self, entries: Entries) -> AsyncIterator[tuple[list[Entry], dict[str, int]]]:
        """Entries in order, and how many were left out for what reason since the last batch."""
        entries.watchers.append(self._take)
        entries.sessions += 1
        try:
            while True:
                await self._wake.wait()
                batch, self._ready = self._ready[:BATCH], self._ready[BATCH:]
                left_out = dict(self._left_out)
                self._left_out.clear()
                if not self._ready:
                    self._wake.clear()
                yield batch, left_out
        finally:
            entries.watchers.remove(self._take)
            entries.sessions -= 1
            if self._timer is not None:
                self._timer.cancel()

    def _take(self, entry: Entry, buckets: tuple[str, ...]) -> None:
        if not self._query.matches(entry) or not self._sees(entry, buckets):
            return
        minute = int(self._clock.now() // 60)
        if minute != self._minute:
            self._minute, self._in_minute = minute, 0
        self._in_minute += 1
        if self._in_minute > MAX_A_MINUTE:
            self._left_out[RATE_LIMIT] += 1
        elif len(self._ready) + len(self._held) >= MAX_WAITING:
            self._left_out[NOT_CONSUMED] += 1
        else:
            self._held.append(entry)
        if self._timer is None:
            self._timer = self._clock.call_later(self._window, self._release)

    def _sees(self, entry: Entry, buckets: tuple[str, ...]) -> bool:
        return any(
            (not scope.bucket or scope.bucket in buckets) and (scope.matches is None or scope.matches(entry))
            for scope in self._scopes
        )

    def _release(self) -> None:
        """The window is over: what was held goes out, oldest first."""
        self._timer = None
        held, self._held = self._held, []
        held.sort(key=lambda entry: (nanoseconds(str(entry["timestamp"])) or 0, str(entry["insertId"])))
        self._ready += held
        self._wake.set()
