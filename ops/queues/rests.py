"""How often a refused hop is tried again: quickly at first, then so seldom that no alert takes the probe for a failure.

Owns the waits and the reason that a hop was last refused for. The bound is that of dashboards/alerts/task-failures.yaml
and hop-refused.yaml, which count attempts of 10 minutes and leave 5 of them aside; tests/dashboards holds one against
the other.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Reason = TypeVar("Reason")

#: Seconds for which a refusal counts: what the alerts look back over, and the minute that they may lag.
COUNTED = 660.0


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
