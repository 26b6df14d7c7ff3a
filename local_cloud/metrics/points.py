"""Where time series are kept: in memory as runs, on disk in chunks of them, for six weeks or as much as is affordable.

Owns order (a point is never older than the one before), retention and the budget; the oldest go first. A change is
marked and written by `flush()`, which the meter calls once a second at most. What the numbers mean is others' affair.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import orjson

from local_cloud.metrics import distribution
from local_cloud.metrics.distribution import Buckets, Distribution
from local_cloud.metrics.series import SECOND, Key, Point, Run, Series, Value
from local_cloud.store import Store

#: Google keeps the metrics of its own services for six weeks.
RETENTION = 42 * 24 * 3600 * SECOND
#: At most so many runs are kept in all (30 MB of memory, 0.3 s of a start), and so many series.
MAX_RUNS, MAX_SERIES = 100_000, 20_000
#: Runs of one document on disk: a minute rewrites the last document of each series that moved.
_CHUNK = 60


@dataclass(slots=True, eq=False)
class Kept:
    """One series."""

    number: int
    key: Key
    kind: str
    type: str
    chunks: list[list[Run]] = field(default_factory=list)
    #: The number of the first chunk: those before it have been dropped.
    first: int = 0

    @property
    def last(self) -> Run | None:
        """Its newest run."""
        return self.chunks[-1][-1] if self.chunks else None

    def points(self, after: int, until: int) -> list[Point]:
        """What ended in (after, until], oldest first."""
        found: list[Point] = []
        for chunk in self.chunks[bisect_right(self.chunks, after, key=lambda chunk: chunk[-1].last) :]:
            if chunk[0].end > until:
                break
            for run in chunk[bisect_right(chunk, after, key=lambda run: run.last) :]:
                if run.end > until:
                    break
                found.extend(run.points(after, until))
        return found


class Points:
    """All series of the cloud."""

    def __init__(self, store: Store) -> None:
        self._names = store.json("metrics.series")
        self._kept = store.collection("metrics.points", encode=_encode, decode=_decode)
        self._series: dict[Key, Kept] = {}
        self._metrics: dict[str, list[Kept]] = {}
        self._dirty: dict[tuple[Kept, int], None] = {}
        self._runs = 0
        self._next = 1
        self._load()

    @property
    def dirty(self) -> bool:
        """Whether something waits for flush()."""
        return bool(self._dirty)

    @property
    def runs(self) -> int:
        """How many runs are kept."""
        return self._runs

    def find(self, metric: str) -> list[Kept]:
        """Every series of a metric."""
        return self._metrics.get(metric, [])

    def all(self) -> Iterable[Kept]:
        """Every series."""
        return self._series.values()

    def get(self, key: Key) -> Kept | None:
        """One series."""
        return self._series.get(key)

    def append(self, key: Key, kind: str, value_type: str, run: Run) -> None:
        """Adds to a series. What ends where the last point of a DELTA does adds to that; what is older is dropped."""
        kept = self._series.get(key)
        if kept is None or (kept.kind, kept.type) != (kind, value_type):
            if kept is not None:
                self.forget(kept)
            if len(self._series) >= MAX_SERIES:
                return
            kept = self._make(key, kind, value_type)
        last = kept.last
        if last is None or len(kept.chunks[-1]) >= _CHUNK:
            joined = last.followed_by(run) if last else None
            if joined is None and last is not None and run.end <= last.last:
                self._again(kept, last, run)
                return
            if joined is None:
                kept.chunks.append([run])
                self._runs += 1
            else:
                kept.chunks[-1][-1] = joined
        elif run.end <= last.last:
            self._again(kept, last, run)
            return
        elif (joined := last.followed_by(run)) is not None:
            kept.chunks[-1][-1] = joined
        else:
            kept.chunks[-1].append(run)
            self._runs += 1
        self._dirty[kept, kept.first + len(kept.chunks) - 1] = None

    def forget(self, kept: Kept) -> None:
        """Drops a series with all its points."""
        self._drop(kept, len(kept.chunks))

    def expire(self, now: int) -> None:
        """Drops what is too old, and the oldest of what is too much."""
        for kept in list(self._series.values()):
            old = sum(1 for chunk in kept.chunks if chunk[-1].last <= now - RETENTION)
            if old:
                self._drop(kept, old)
        if self._runs > MAX_RUNS:
            ends = sorted((c[-1].last, len(c)) for kept in self._series.values() for c in kept.chunks)
            spare, until = self._runs - MAX_RUNS * 9 // 10, 0
            for until, size in ends:  # noqa: B007
                spare -= size
                if spare <= 0:
                    break
            for kept in list(self._series.values()):
                self._drop(kept, sum(1 for chunk in kept.chunks if chunk[-1].last <= until))

    def flush(self) -> None:
        """Marks what has changed for the store."""
        dirty, self._dirty = self._dirty, {}
        for kept, number in dirty:
            if kept.first <= number < kept.first + len(kept.chunks):
                self._kept[f"{kept.number}/{number}"] = kept.chunks[number - kept.first]

    def _again(self, kept: Kept, last: Run, run: Run) -> None:
        """A second count of the same minute: before and after a restart."""
        if kept.kind != "DELTA" or run.end != last.last or last.times != 1 or run.times != 1:
            return
        kept.chunks[-1][-1] = Run(last.start, last.end, 1, _sum(last.value, run.value))
        self._dirty[kept, kept.first + len(kept.chunks) - 1] = None

    def _make(self, key: Key, kind: str, value_type: str) -> Kept:
        kept = Kept(self._next, key, kind, value_type)
        self._next += 1
        self._names[str(kept.number)] = [*key, kind, value_type]
        self._take(kept)
        return kept

    def _take(self, kept: Kept) -> None:
        self._series[kept.key] = kept
        self._metrics.setdefault(kept.key.metric, []).append(kept)

    def _drop(self, kept: Kept, chunks: int) -> None:
        for number in range(kept.first, kept.first + chunks):
            self._kept.pop(f"{kept.number}/{number}")
        self._runs -= sum(len(chunk) for chunk in kept.chunks[:chunks])
        del kept.chunks[:chunks]
        kept.first += chunks
        if not kept.chunks:
            self._names.pop(str(kept.number))
            del self._series[kept.key]
            self._metrics[kept.key.metric].remove(kept)

    def _load(self) -> None:
        by_number: dict[int, Kept] = {}
        for number, (metric, metric_labels, resource, resource_labels, kind, value_type) in self._names.items():
            key = Key(metric, _labels(metric_labels), resource, _labels(resource_labels))
            by_number[int(number)] = Kept(int(number), key, kind, value_type)
        chunks: dict[int, dict[int, list[Run]]] = {}
        for name, runs in self._kept.items():
            number, _, index = name.partition("/")
            chunks.setdefault(int(number), {})[int(index)] = runs
        for kept in by_number.values():
            found = chunks.get(kept.number, {})
            if not found:  # it was named, and the cloud was killed before its first points were written
                self._names.pop(str(kept.number))
                continue
            kept.first = min(found)
            kept.chunks = [found[index] for index in sorted(found)]
            self._runs += sum(map(len, kept.chunks))
            self._take(kept)
        self._next = 1 + max(by_number, default=0)


def select(kept: Kept, after: int, until: int) -> Series:
    """The part of a series that a query looks at."""
    return Series(kept.key, kept.kind, kept.type, kept.points(after, until))


def _sum(first: Value, second: Value) -> Value:
    if isinstance(first, Distribution) and isinstance(second, Distribution):
        return distribution.add([first, second])
    assert isinstance(first, int | float)
    assert isinstance(second, int | float)
    return first + second


def _labels(found: Any) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in found)


def _encode(runs: list[Run]) -> bytes:
    return orjson.dumps([[run.start, run.end, run.times, _plain(run.value)] for run in runs])


def _decode(data: bytes) -> list[Run]:
    return [Run(start, end, count, _value(value)) for start, end, count, value in orjson.loads(data)]


def _plain(value: Value) -> Any:
    if isinstance(value, Distribution):
        return [value.size, value.mean, value.deviation, *value.buckets, value.counts]
    if isinstance(value, float) and not isfinite(value):
        return {"float": str(value)}  # JSON has no such numbers
    return value


def _value(plain: Any) -> Value:
    if isinstance(plain, list):
        count, mean, deviation, kind, numbers, counts = plain
        return Distribution(count, mean, deviation, Buckets(kind, tuple(numbers)), tuple(counts))
    if isinstance(plain, dict):
        return float(plain["float"])
    found: Value = plain
    return found


def iterate(kept: list[Kept], after: int, until: int) -> Iterator[Series]:
    """Those of some series that have points in (after, until]."""
    for one in kept:
        found = select(one, after, until)
        if found.points:
            yield found
