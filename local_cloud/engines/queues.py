"""A queue as the dispatcher holds it: its settings, its tasks, and which of them is due next.

Owns the order of due tasks (a heap of schedule times whose stale entries are passed over, so that a task can be taken
out without a search) and the moment at which the queue has something to do. Leaves alone: doing it (dispatcher.py),
the configuration's wire form (the API's) and the disk.
"""

import heapq
import math
from dataclasses import dataclass, field
from typing import Any

from local_cloud.engines.backoff import RetryPolicy
from local_cloud.engines.bucket import Bucket, Slowdown, burst_for
from local_cloud.engines.ramp import Ramp
from local_cloud.engines.tasks import Task

#: No task lives longer than this, whether it was dispatched or not (31 days).
RETENTION = 31 * 24 * 3600.0
#: Times that are so close are the same: clock readings are floats.
SAME = 1e-6
#: The heap of due tasks is rebuilt when more than this many of its entries, and more than half, are stale.
_STALE_LIMIT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a queue's configuration says about dispatching."""

    rate: float
    concurrent: int
    retry: RetryPolicy


@dataclass(slots=True, eq=False)
class Queue:
    """One queue. `spec` is the API's own form of the configuration, opaque here."""

    name: str
    limits: Limits
    spec: Any
    paused: bool = False
    gone: bool = False
    running: int = 0
    tasks: dict[str, Task] = field(default_factory=dict)
    bucket: Bucket = field(init=False)
    slowdown: Slowdown = field(default_factory=Slowdown)
    ramp: Ramp | None = None
    wake_at: float = math.inf
    wake_handle: Any = None
    age_handle: Any = None
    _due: list[tuple[float, int, Task]] = field(default_factory=list)
    _tickets: int = 0
    _stale: int = 0

    def __post_init__(self) -> None:
        self.bucket = Bucket(self.limits.rate, burst_for(self.limits.rate))

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    def reshape(self, limits: Limits, now: float) -> None:
        """Takes new settings; they hold for the tasks that wait already too."""
        self.limits = limits
        self.apply_rate(now)

    def apply_rate(self, now: float) -> None:
        """Sets the bucket to the effective rate."""
        rate, share = self.slowdown.rate(self.limits.rate), self.slowdown.share
        if self.ramp is not None and self.ramp.rate < rate:
            rate = self.ramp.rate
            share = min(share, rate / self.limits.rate)
        burst = burst_for(self.limits.rate)
        self.bucket.reshape(rate, burst if rate == self.limits.rate else max(1, int(burst * share)), now)

    def wait(self, task: Task) -> None:
        """Puts a task among the waiting ones, by its schedule time; of one time, first come first served."""
        self.unwait(task)
        self._tickets += 1
        task.ticket = self._tickets
        heapq.heappush(self._due, (task.schedule, task.ticket, task))

    def unwait(self, task: Task) -> None:
        """Takes a task out of the waiting ones."""
        if not task.ticket:
            return
        task.ticket = 0
        self._stale += 1
        if self._stale > _STALE_LIMIT and self._stale * 2 > len(self._due):
            self._due = [entry for entry in self._due if entry[2].ticket == entry[1]]
            heapq.heapify(self._due)
            self._stale = 0

    def take(self, now: float) -> Task | None:
        """The next task to dispatch now, if state, concurrency and rate let one go; its token is spent."""
        if self.running >= self.limits.concurrent:  # a queue at its limit asks after every answer
            return None
        task = self._first()
        if task is None or task.schedule > now + SAME or not self._may_dispatch:
            return None
        if self.bucket.ready(now) > now + SAME:
            return None
        self.bucket.take(now)
        if self.ramp is not None:
            self.ramp.took(now)
        heapq.heappop(self._due)
        task.ticket = 0
        return task

    def next_event(self, now: float) -> float:
        """When the queue wants to be looked at again, if nothing else happens to it."""
        if self.running >= self.limits.concurrent:
            return math.inf
        first = self._first()
        if first is None or not self._may_dispatch:
            return math.inf
        ready = self.bucket.ready(now)
        if self.ramp is not None:
            ready = min(ready, self.ramp.next_step())
        return max(first.schedule, ready)

    def is_due(self, now: float) -> bool:
        """Whether a task should be on its way already."""
        first = self._first()
        return (
            first is not None
            and self._may_dispatch
            and first.schedule <= now + SAME
            and self.bucket.ready(now) <= now + SAME
        )

    @property
    def _may_dispatch(self) -> bool:
        return not self.paused and not self.gone and self.running < self.limits.concurrent

    def _first(self) -> Task | None:
        due = self._due
        while due and due[0][2].ticket != due[0][1]:
            heapq.heappop(due)
            self._stale -= 1
        return due[0][2] if due else None
