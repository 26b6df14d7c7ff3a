"""How often hops are probed: a refused one quickly again at first, then so seldom that no alert takes it for a failure.

Owns the rounds, the waits and the reason that a hop was last refused for. The bound is that of
dashboards/alerts/task-failures.yaml and hop-refused.yaml, which count attempts of 10 minutes and leave 5 of them aside;
tests/dashboards holds one against the other.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, Generic, TypeVar

from ops.place import Place

Reason = TypeVar("Reason")

#: Seconds for which a refusal counts: what the alerts look back over, and the minute that they may lag.
COUNTED = 660.0


@dataclass(frozen=True)
class Spread:
    """How bindings come into force somewhere."""

    #: So many rounds of a probe must go well one after the other, and so many seconds lie between two.
    rounds: int
    pause: float
    #: So many seconds a hop rests after its first refusal, its second and so on, and the last of them ever after.
    waits: Sequence[float]


#: On this machine at one moment, and none is taken back: one round is enough.
AT_ONCE: Final = Spread(1, 0.5, (0.5,))
#: At Google in minutes, and not at one moment for every server. At most five refusals within ten minutes, which alerts
#: leave aside, however they and good tries take turns.
SLOWLY: Final = Spread(5, 15.0, (30.0, 60.0, 120.0, 240.0))


def spread(place: Place) -> Spread:
    """How they do there."""
    return AT_ONCE if place.local else SLOWLY


class Rests(Generic[Reason]):
    """Which hops rest, by queue: each refusal of the last minutes makes the wait after the next one longer.

    A good try in between changes nothing: servers that know a binding and such as do not answer by turns.
    """

    def __init__(self, waits: Sequence[float], now: Callable[[], float] = time.monotonic) -> None:
        self._waits, self._now = waits, now
        self._refused: defaultdict[str, list[tuple[float, Reason]]] = defaultdict(list)
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)

    def turn(self, queue: str) -> Lock:
        """Held by whoever tries this hop: one at a time, so that a refusal spares the next one."""
        return self._locks[queue]

    def refused(self, queue: str, why: Reason) -> None:
        """An attempt was refused."""
        self._refused[queue].append((self._now(), why))

    def resting(self, queue: str) -> Reason | None:
        """Why the hop is not tried now; nothing where it may be."""
        now = self._now()
        counted = [one for one in self._refused[queue] if now - one[0] < COUNTED]
        self._refused[queue] = counted
        if not counted:
            return None
        at, why = counted[-1]
        wait = self._waits[min(len(counted), len(self._waits)) - 1]
        return why if now - at < wait else None
