"""Ramp-up: a queue that is new, or was idle, begins slowly and gets faster step by step.

Google says that it happens (HttpRequest: "dispatches ramp up slowly when the queue is newly created or idle") and gives
the pattern of it ("Manage scaling risks": not over 500 a second to begin with, then at most half as much again every
five minutes), not the law. So this is ours, off unless somebody asks for it: a queue starts at `start` dispatches a
second; each `every` seconds after the first of them its rate grows by `growth`, up to the queue's own; a queue that
dispatched nothing for `idle` seconds starts again. Leaves alone: what the rate does (bucket.py, queues.py).
"""

import math
from dataclasses import dataclass

#: The pattern of Google's page: half as much again every five minutes.
GROWTH, EVERY = 0.5, 300.0
#: Rates beyond so many doublings of the start are faster than any queue.
_ENOUGH = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RampUp:
    """The law, for every queue of the cloud. A queue at `start` must not count as idle between two dispatches."""

    start: float
    growth: float = GROWTH
    every: float = EVERY
    idle: float = EVERY

    def rate(self, step: int) -> float:
        """Dispatches a second after so many steps."""
        enough = step * math.log2(1 + self.growth) > _ENOUGH
        return math.inf if enough else self.start * (1 + self.growth) ** step


@dataclass(slots=True)
class Ramp:
    """Where one queue stands on its way up. It begins with the first dispatch, not with the queue."""

    law: RampUp
    step: int = 0
    _began: float = math.inf
    _last: float = -math.inf

    @property
    def rate(self) -> float:
        """The rate of this step; the queue's own may be lower."""
        return self.law.rate(self.step)

    def look(self, now: float) -> bool:
        """Takes the step that `now` asks for. True when it is another one."""
        if now - self._last >= self.law.idle:
            self._began = math.inf
        step = 0 if self._began > now else int((now - self._began) / self.law.every)
        changed, self.step = step != self.step, step
        return changed

    def took(self, now: float) -> None:
        """A task was dispatched."""
        self._began, self._last = min(self._began, now), now

    def next_step(self) -> float:
        """When the rate grows next."""
        return self._began + (self.step + 1) * self.law.every
