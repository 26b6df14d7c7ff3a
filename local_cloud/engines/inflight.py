"""Attempts that are on their way, and the deadlines by which they must be answered.

Owns one heap and one timer for all of them: an attempt that ends leaves its entry, which is passed over later.
Leaves alone: what a missed deadline means for the task (dispatcher.py).
"""

import heapq
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from local_cloud.engines.attempt import Outcome
from local_cloud.engines.outgoing import Call, Origin
from local_cloud.engines.ports import Clock
from local_cloud.engines.queues import SAME, Queue
from local_cloud.engines.tasks import Task

#: The heap is rebuilt when its entries are so many, and at least half of them over.
_REBUILD_FROM = 1024


class Attempt:
    """One attempt on its way."""

    __slots__ = (
        "app_engine",
        "at",
        "call",
        "counted",
        "echo",
        "failure",
        "forced",
        "head",
        "origin",
        "over",
        "queue",
        "request",
        "task",
        "url",
        "work",
    )

    def __init__(self, queue: Queue, task: Task, at: float, forced: bool) -> None:
        self.queue = queue
        self.task = task
        self.at = at
        self.forced = forced
        self.counted = not forced
        self.over = False
        self.call: Call | None = None
        self.origin: Origin | None = None
        self.request = b""
        self.head = False
        self.url = ""
        self.failure: Outcome | None = None
        #: Its deadline where a success is to be delivered a second time, else 0.
        self.echo = 0.0
        self.app_engine = False
        #: Its mark as work in flight, for which a move of the clock waits.
        self.work: AbstractContextManager[None] | None = None


class Deadlines:
    """Calls `late` for every attempt that is not over at its deadline."""

    def __init__(self, clock: Clock, late: Callable[[Attempt], None]) -> None:
        self._clock = clock
        self._late = late
        self._heap: list[tuple[float, int, Attempt]] = []
        self._serial = 0
        self._limit = _REBUILD_FROM
        self._timer: Any = None
        self._timer_at = math.inf

    def add(self, when: float, attempt: Attempt) -> None:
        """Watches an attempt."""
        self._serial += 1
        heapq.heappush(self._heap, (when, self._serial, attempt))
        if len(self._heap) > self._limit:
            self._heap = [entry for entry in self._heap if not entry[2].over]
            heapq.heapify(self._heap)
            self._limit = max(_REBUILD_FROM, 2 * len(self._heap))
        self._arm()

    def _arm(self) -> None:
        while self._heap and self._heap[0][2].over:
            heapq.heappop(self._heap)
        when = self._heap[0][0] if self._heap else math.inf
        if when < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = when
            self._timer = self._clock.call_at(when, self._due)

    def _due(self) -> None:
        self._timer_at, self._timer = math.inf, None
        now = self._clock.now()
        while self._heap and (self._heap[0][0] <= now + SAME or self._heap[0][2].over):
            attempt = heapq.heappop(self._heap)[2]
            if not attempt.over:
                self._late(attempt)
        self._arm()
