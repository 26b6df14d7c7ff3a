"""What an instance uses: time in which it is billed, how many requests it had at once, CPU and memory.

Owns the counting and the reading of /proc; where that is missing there is no CPU and memory to tell of. Billed time of
an instance billed by request is its start and every stretch with a request, each rounded up to 100 ms.
Source: https://cloud.google.com/run/docs/configuring/billing-settings.
"""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

#: Stretches of billed time are rounded up to so many seconds.
BILLED_STEP = 0.1

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage:
    """One instance's. `take...` methods give what has come since they were asked last."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.born = now()
        self._peak = self._running = 0
        self._billed, self._since = 0.0, self.born
        self._open = True
        self._startup: float | None = None
        self._cpu = 0.0

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return self._now() - self.born

    def ready(self) -> None:
        """It serves."""
        self._startup = self._now() - self.born
        self._rest()

    def enter(self, running: int) -> None:
        """A request came; `running` are there now."""
        self._running = running
        self._peak = max(self._peak, running)
        if not self._open:
            self._open, self._since = True, self._now()

    def leave(self, running: int) -> None:
        """A request is over."""
        self._running = running
        self._rest()

    def _rest(self) -> None:
        if self._open and not self._running:
            self._open = False
            steps = math.ceil((self._now() - self._since) / BILLED_STEP - 1e-9)
            self._billed += steps * BILLED_STEP

    def take_billed(self) -> float:
        """Seconds with a request, or of starting."""
        if self._open:
            now = self._now()
            self._billed, self._since = self._billed + now - self._since, now
        billed, self._billed = self._billed, 0.0
        return billed

    def take_peak(self) -> int:
        """The most requests at once."""
        peak, self._peak = max(self._peak, self._running), self._running
        return peak

    def take_startup(self) -> float | None:
        """Seconds that its start took, once."""
        startup, self._startup = self._startup, None
        return startup

    def take_cpu(self, pid: int) -> float | None:
        """Seconds of CPU; None when nothing can be told."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()
        spent = sum(map(int, fields[11:15])) / _TICKS
        used, self._cpu = spent - self._cpu, spent
        return max(0.0, used)


def memory(pid: int) -> int | None:
    """Bytes that a process has in memory; None when nothing can be told."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return None
