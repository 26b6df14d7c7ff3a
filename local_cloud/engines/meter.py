"""The meter: what happens in the cloud is counted as it happens, and becomes points of time series minute by minute.

    attempts = meter.counter("cloudtasks.googleapis.com/queue/task_attempt_count", name)
    attempts[queue, code] += 1            # the hot path: one increment of a dict
    delays[queue].add(12.5)               # a distribution
    meter.sampler(lambda seconds: [(key, depth), ...])   # gauges, and what is worked out of the time that has passed

Owns the minutes of the cloud's clock. A minute ends by the machine's time or by a move of the clock; a move over many
minutes in which nothing happened is one call and one run of points, so that a day costs no more than a minute. Counts
of a minute that a stop cuts short are kept, and the rest of the minute after a restart is added to them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from local_cloud.clock import Clock
from local_cloud.metrics.descriptors import METRICS, Metric
from local_cloud.metrics.distribution import Buckets, Tally, exponential
from local_cloud.metrics.points import Points
from local_cloud.metrics.series import SECOND, STEP, Key, Run, Value

#: Seconds that changed points may wait before they are written, together.
WRITE_AFTER = 1.0
#: Names are remembered for so many keys of a counter.
_NAMES = 10_000

K = TypeVar("K", bound=Hashable)
#: Says which series a counter's key is; None for what is not to be counted.
Naming = Callable[[K], Key | None]
Sampler = Callable[[float], Iterable[tuple[Key, Value]]]


class Tallies(dict[K, Tally]):
    """Distributions by key, made when the first value comes."""

    def __init__(self, buckets: Buckets) -> None:
        super().__init__()
        self.buckets = buckets

    def __missing__(self, key: K) -> Tally:
        made = self[key] = Tally(self.buckets)
        return made


class _Counted(Generic[K]):
    """One metric's counts of the minute."""

    def __init__(self, metric: Metric, naming: Naming[K], counts: dict[K, Any]) -> None:
        self.metric, self.naming, self.counts = metric, naming, counts
        self._names: dict[K, Key | None] = {}

    def drain(self) -> Iterable[tuple[Key, Value]]:
        """What was counted, by series; counting begins again at zero."""
        counts = dict(self.counts)
        self.counts.clear()
        if len(self._names) > _NAMES:
            self._names.clear()
        for key, count in counts.items():
            if key not in self._names:
                self._names[key] = self.naming(key)
            name = self._names[key]
            if name is not None:
                yield name, count.result() if isinstance(count, Tally) else count


class Meter:
    """The cloud's meter."""

    def __init__(self, clock: Clock, points: Points) -> None:
        self.points = points
        self._clock = clock
        self._counted: list[_Counted[Any]] = []
        self._samplers: list[Sampler] = []
        #: Told of the end (nanoseconds) of the last minute that is over, when its points are there.
        self.ended: list[Callable[[int], None]] = []
        self._minute = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def counter(self, metric: str | Metric, naming: Naming[K]) -> "defaultdict[K, int]":
        """Counts of a DELTA metric, the platform's own by its type: `counts[key] += 1`."""
        counts: defaultdict[K, int] = defaultdict(int)
        self._counted.append(_Counted(_known(metric), naming, counts))
        return counts

    def distribution(self, metric: str | Metric, naming: Naming[K]) -> Tallies[K]:
        """Values of a DELTA metric of distributions: `tallies[key].add(value)`."""
        known = _known(metric)
        tallies: Tallies[K] = Tallies(known.buckets or exponential(66, 1.4, 1.0))
        self._counted.append(_Counted(known, naming, tallies))
        return tallies

    def let_go(self, counts: "defaultdict[Any, int] | Tallies[Any]") -> None:
        """No longer counts what counter() or distribution() gave; what was counted until now becomes points."""
        self.catch_up()
        for counted in [one for one in self._counted if one.counts is counts]:
            self._drain_one(counted, self._minute + STEP)
            self._counted.remove(counted)

    def sampler(self, sample: Sampler) -> None:
        """Asked at the end of each minute, with the seconds since it was asked last.

        After a move of the clock these are many, and what it gives holds for each of the minutes.
        """
        self._samplers.append(sample)

    @property
    def counting(self) -> bool:
        """Whether something was counted in the minute that runs."""
        return any(counted.counts for counted in self._counted)

    def start(self) -> None:
        """Begins with the minute that runs."""
        self._minute = self._now() // STEP * STEP
        self._clock.passed.append(self._passed)
        self._arm()

    def stop(self) -> None:
        """Keeps what was counted of the minute that runs."""
        if self._timer is None:
            return
        self._clock.passed.remove(self._passed)
        self.catch_up()
        self._drain(self._minute + STEP)
        self.points.flush()
        for handle in (self._timer, self._writing):
            if handle is not None:
                handle.cancel()

    def catch_up(self) -> None:
        """Ends the minutes that are over."""
        over = (self._now() - self._minute) // STEP
        if over < 0:  # the machine's clock was set back
            self._minute = self._now() // STEP * STEP
        if over <= 0:
            return
        first = self._minute + STEP
        self._drain(first)
        self._sample(first, 1)
        if over > 1:  # whatever happened in the first minute, nothing did in the others
            self._sample(first + STEP, over - 1)
        if first // (60 * STEP) != (first + over * STEP) // (60 * STEP):
            self.points.expire(self._now())
        self._minute += over * STEP
        for told in self.ended:
            try:
                told(self._minute)
            except Exception as error:
                _failed(error)
        self._write_soon()

    def changed(self) -> None:
        """Points were added from outside."""
        self._write_soon()

    def _sample(self, end: int, minutes: int) -> None:
        for sample in self._samplers:
            try:
                for key, value in sample(minutes * 60.0):
                    metric = METRICS[key.metric]
                    start = end if metric.kind == "GAUGE" else end - STEP
                    self.points.append(key, metric.kind, metric.value, Run(start, end, minutes, value))
            except Exception as error:
                _failed(error)

    def _drain(self, end: int) -> None:
        for counted in self._counted:
            if counted.counts:
                self._drain_one(counted, end)

    def _drain_one(self, counted: _Counted[Any], end: int) -> None:
        metric = counted.metric
        try:
            for key, value in counted.drain():
                self.points.append(key, metric.kind, metric.value, Run(end - STEP, end, 1, value))
        except Exception as error:
            _failed(error)

    def _now(self) -> int:
        return int(self._clock.now() * SECOND)

    def _passed(self) -> None:
        """The clock was moved."""
        if self._now() - self._minute >= STEP:
            self.catch_up()
        self._arm()

    def _arm(self) -> None:
        """The machine's time ends minutes too. No timer of the clock: a move would have to step on each."""
        if self._timer is not None:
            self._timer.cancel()
        left = (self._minute + STEP - self._now()) / SECOND
        self._timer = asyncio.get_running_loop().call_later(max(0.0, left), self._passed)

    def _write_soon(self) -> None:
        if self.points.dirty and self._writing is None:
            self._writing = asyncio.get_running_loop().call_later(WRITE_AFTER, self._write)

    def _write(self) -> None:
        self._writing = None
        self.points.flush()


def _known(metric: str | Metric) -> Metric:
    return METRICS[metric] if isinstance(metric, str) else metric


def _failed(error: Exception) -> None:
    """What cannot be measured must not stop the clock."""
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "A metric of the local cloud failed", "exception": error})
