"""Waiting until what leads into a place has run empty: no task of it is due before the change is over.

A queue counts as empty when none of its tasks is being dispatched or is due within the change's time; what is scheduled
for later may stay. All queues must be so at two looks in a row, since a look is not one moment: a task may lead on from
a queue that was looked at late into one that was looked at early. Time is the place's, so that a clock that is moved
locally counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import spec
from ops.errors import BadUsage, OpsError
from ops.output import counted
from ops.queues.calls import Calls
from ops.queues.describe import Waiting, waiting
from spec.errors import choose

#: Real seconds between two looks.
LOOK_EVERY = 1.0
#: Looks in a row at which nothing may be due.
LOOKS = 2
#: The target that means every queue.
ALL = "all"
#: What waits between two looks; tests move the clock instead.
wait = time.sleep


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is in one queue, as one look tells."""

    queue: str
    state: str
    #: Tasks that are dispatched before the change is over, or are being dispatched, and those of them that are.
    due: int
    running: int
    #: Tasks that are scheduled for later.
    later: int
    #: There are more than the look has seen.
    more: bool
    oldest: datetime | None

    @property
    def stuck(self) -> bool:
        """Whether nothing will move it: the queue is paused, and no attempt runs."""
        return bool(self.due) and self.state != "RUNNING" and not self.running

    def as_json(self) -> dict[str, Any]:
        """The form that --json prints."""
        return {**vars(self), "oldest": self.oldest.isoformat() if self.oldest else None}

    def said(self, now: datetime) -> str:
        """One line for people."""
        about = [f"{self.due}{' or more' if self.more else ''} due"]
        about += [f"{self.running} running"] if self.running else []
        about += [f"{self.later} later"] if self.later else []
        about += ["the queue is paused"] if self.state != "RUNNING" else []
        if self.oldest is not None:
            about.append(f"the oldest created {timedelta(seconds=round((now - self.oldest).total_seconds()))} ago")
        return f"{self.queue}: {', '.join(about)}"


class NotDrained(OpsError):
    """Something is left when time is up, or nothing moves it."""

    def __init__(self, what: str, left: Sequence[Left], now: datetime, fix: str) -> None:
        super().__init__(
            what + "".join(f"\n  {one.said(now)}" for one in left),
            why="a change now would meet them",
            fix=fix,
        )
        self.left = left

    def as_json(self) -> dict[str, Any]:
        """With each queue, as data."""
        return {**super().as_json(), "left": [one.as_json() for one in self.left]}


def queues_of(system: spec.System, target: str) -> list[str]:
    """The queues that lead into a service, the queue of that name, or all."""
    if target == ALL:
        return sorted(system.queues)
    if target in system.queues:
        return [target]
    if target in system.services:
        return sorted(queue.name for queue in system.queues_into(target))
    raise BadUsage(
        f"{target} is neither a service nor a queue",
        why="nobody knows what should run empty",
        fix=choose(target, [*system.services, *system.queues, ALL], noun="target"),
    )


def not_held(system: spec.System, target: str) -> list[str]:
    """What calls a service beside its queues, and goes on calling it."""
    if target not in system.services:
        return []
    service = system.service(target)
    found = ["its public door"] if service.public else []
    found += [f"topic {topic.name}" for topic in system.topics_into(target)]
    found += [f"schedule {call.job}" for call in system.schedules(target)]
    return found + [f"direct calls in place of {queue.name}" for queue in system.direct_hops_into(target)]


def look(calls: Calls, queues: Sequence[str], change: float) -> list[Left]:
    """Look at each queue once."""
    states, now = calls.states(), calls.place.now()
    until = now + timedelta(seconds=change)
    return [_left(name, states[name], waiting(calls, name), until) for name in queues if name in states]


@dataclass(frozen=True, kw_only=True)
class Drain:
    """One wait for some queues."""

    calls: Calls
    queues: Sequence[str]
    #: Seconds that the change takes, and for how many is waited.
    change: float
    timeout: float
    #: The command that waits on.
    again: str
    tell: Callable[[str], None]

    def until_empty(self) -> list[Left]:
        """Wait until all are empty; NotDrained with what is left where that does not come about."""
        return self._until(lambda one: one.due > 0, LOOKS)

    def until_quiet(self) -> list[Left]:
        """Wait until no attempt runs: what has come since they were paused waits there."""
        return self._until(lambda one: one.running > 0, 1)

    def _until(self, holds: Callable[[Left], bool], looks: int) -> list[Left]:
        until, well = self.calls.place.now() + timedelta(seconds=self.timeout), 0
        while True:
            seen = look(self.calls, self.queues, self.change)
            left, now = [one for one in seen if holds(one)], self.calls.place.now()
            well = 0 if left else well + 1
            if well == looks:
                return seen
            if left and all(one.stuck for one in left):
                names = " ".join(one.queue for one in left)
                fix = f"./sluice queues resume {names} lets them go; or change now, and they wait"
                raise NotDrained("nothing moves what is left: the queues are paused", left, now, fix)
            if now >= until:
                span = timedelta(seconds=round(self.timeout))
                fix = f"{self.again} waits on; ./sluice queues tasks QUEUE shows what is refused, and ./sluice logs why"
                raise NotDrained(f"not empty after {span}", left or seen, now, fix)
            if left:
                due = sum(one.due for one in left)
                queues = counted(len(left), "queue")
                self.tell(f"waiting for {counted(due, 'task')} in {queues}: {left[0].said(now)}")
            wait(LOOK_EVERY)


def _left(name: str, state: str, held: Waiting, until: datetime) -> Left:
    due = held.due(until)
    return Left(
        queue=name,
        state=state,
        due=len(due),
        running=held.running,
        later=len(held.tasks) - len(due),
        more=held.more,
        oldest=min((task.created for task in due), default=None),
    )
