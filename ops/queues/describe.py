"""One queue as it is, beside what the specs declare.

Cloud Tasks lists tasks in no order of time and counts none, so that what is said of tasks holds for the first page of
the list, up to 1000 tasks. Where there are more, the count is "1000 or more" and an older one may be on a later page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import spec
from ops.queues.calls import Calls
from ops.queues.tasks import UNTRIED, Task, read

#: What a queue has of its config at Cloud Tasks -> where, and the value of the specs.
_FIELDS = {
    "dispatches a second": ("rateLimits", "maxDispatchesPerSecond"),
    "at once": ("rateLimits", "maxConcurrentDispatches"),
    "attempts": ("retryConfig", "maxAttempts"),
    "age limit": ("retryConfig", "maxRetryDuration"),
    "shortest wait": ("retryConfig", "minBackoff"),
    "longest wait": ("retryConfig", "maxBackoff"),
    "doublings": ("retryConfig", "maxDoublings"),
}

#: Attempts that the log is asked for.
ATTEMPTS = 200
#: Those that are seconds.
TIMES = frozenset(("age limit", "shortest wait", "longest wait"))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value of a queue's config, there and in the specs."""

    name: str
    there: float
    declared: float | None

    @property
    def is_time(self) -> bool:
        """Whether the value is a number of seconds."""
        return self.name in TIMES

    @property
    def differs(self) -> bool:
        """Whether the specs say otherwise."""
        return self.declared is not None and self.there != self.declared


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What the first page of a queue's tasks shows."""

    tasks: list[Task]
    more: bool

    @property
    def running(self) -> int:
        """Tasks of which an attempt is not answered."""
        return sum(task.running for task in self.tasks)

    @property
    def count(self) -> str:
        """How many wait, as far as one page tells."""
        return f"{len(self.tasks)} or more" if self.more else str(len(self.tasks))

    @property
    def oldest(self) -> Task | None:
        """The one that was created first."""
        return min(self.tasks, key=lambda task: task.created, default=None)

    @property
    def next(self) -> Task | None:
        """The one that is due first."""
        return min(self.tasks, key=lambda task: task.scheduled, default=None)

    @property
    def codes(self) -> dict[str, int]:
        """How often each last answer was given."""
        return dict(Counter(task.code for task in self.tasks if task.code != UNTRIED).most_common())

    @property
    def sides(self) -> dict[str, int]:
        """How many go to which side of a release."""
        return dict(Counter(task.side for task in self.tasks).most_common())

    def due(self, until: datetime) -> list[Task]:
        """Those that are dispatched until then, or are being dispatched."""
        return [task for task in self.tasks if task.running or task.scheduled <= until]


def waiting(calls: Calls, queue: str) -> Waiting:
    """Look at the first page of a queue's tasks."""
    page, more = calls.first(queue)
    return Waiting(tasks=[read(task) for task in page], more=more)


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """The last attempts: how often each code was the answer, and from when to when that was."""

    codes: dict[str, int]
    first: str = ""
    last: str = ""

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(self.codes.values())


def attempts(calls: Calls, queue: str) -> Attempts:
    """The last attempts, those of tasks that are over among them.

    Of Cloud Tasks' own log, which the specs' queues write in full (TaskActivityLog, `OK`, `UNAVAILABLE`, ...).
    """
    wanted = (
        f'log_id("cloudtasks.googleapis.com/task_operations_log") AND resource.labels.queue_id="{queue}" '
        "AND jsonPayload.attemptResponseLog.status:*"
    )
    entries = list(calls.place.logs(wanted, newest_first=True, limit=ATTEMPTS))
    if not entries:
        return Attempts(codes={})
    codes = Counter(str(one["jsonPayload"]["attemptResponseLog"]["status"]) for one in entries)
    first, last = (str(entries[place].get("timestamp", "")) for place in (-1, 0))
    return Attempts(codes=dict(codes.most_common()), first=first, last=last)


def settings(there: Mapping[str, Any], declared: spec.TaskQueue | None) -> list[Setting]:
    """The queue's config beside the specs'."""
    wanted = _declared(declared) if declared is not None else {}
    return [
        Setting(name=name, there=_number(there.get(group, {}).get(field, 0)), declared=wanted.get(name))
        for name, (group, field) in _FIELDS.items()
    ]


def _declared(queue: spec.TaskQueue) -> dict[str, float]:
    retry = queue.retry
    return {
        "dispatches a second": queue.rate.dispatches_per_second,
        "at once": float(queue.rate.concurrent),
        "attempts": float(retry.max_attempts),
        "age limit": retry.task_age_limit.seconds,
        "shortest wait": retry.min_backoff.seconds,
        "longest wait": retry.max_backoff.seconds,
        "doublings": float(retry.max_doublings),
    }


def _number(value: Any) -> float:
    return float(str(value).removesuffix("s") or 0)
