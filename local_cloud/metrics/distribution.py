"""Distributions: their buckets, how values are counted into them, how two are added, and percentiles.

Owns the arithmetic of google.api.Distribution (google/api/distribution.proto): a bucket holds lower <= value < upper,
number 0 is the underflow, the last one the overflow. Percentiles are interpolated within a bucket, which is all that is
known of the values in it (as https://cloud.google.com/monitoring/api/v3/distribution-metrics tells).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import isfinite, sqrt
from typing import NamedTuple


class Buckets(NamedTuple):
    """Bucket options: ("explicit", bounds), ("exponential", n, growth, scale) or ("linear", n, width, offset)."""

    kind: str
    numbers: tuple[float, ...]


def exponential(count: int, growth: float, scale: float) -> Buckets:
    """`count` finite buckets, each `growth` times as wide as the one before, from `scale` on."""
    return Buckets("exponential", (count, growth, scale))


def linear(count: int, width: float, offset: float) -> Buckets:
    """`count` finite buckets of one width, from `offset` on."""
    return Buckets("linear", (count, width, offset))


def explicit(bounds: Iterable[float]) -> Buckets:
    """Buckets between the bounds given."""
    return Buckets("explicit", tuple(bounds))


@lru_cache(maxsize=256)
def bounds_of(buckets: Buckets) -> tuple[float, ...]:
    """The bounds between buckets: one less than there are buckets."""
    if buckets.kind == "explicit":
        return buckets.numbers
    count, first, second = buckets.numbers
    if buckets.kind == "exponential":
        return tuple(second * first**power for power in range(int(count) + 1))
    return tuple(second + first * step for step in range(int(count) + 1))


class Distribution(NamedTuple):
    """Values, counted. `counts` are those of the buckets, trailing zeros left out; none where there are no buckets."""

    size: int
    mean: float
    deviation: float  # the sum of squared deviations from the mean
    buckets: Buckets
    counts: tuple[int, ...]


class Tally:
    """Counts values as they come: the hot end of a distribution."""

    __slots__ = ("_bounds", "_counts", "buckets", "count", "squares", "total")

    def __init__(self, buckets: Buckets) -> None:
        self.buckets = buckets
        self._bounds = bounds_of(buckets)
        self._counts = [0] * (len(self._bounds) + 1)
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self._counts[bisect_right(self._bounds, value)] += 1
        self.count += 1
        self.total += value
        self.squares += value * value

    def result(self) -> Distribution:
        """What was counted so far."""
        mean = self.total / self.count if self.count else 0.0
        deviation = max(0.0, self.squares - self.count * mean * mean)
        return Distribution(self.count, mean, deviation, self.buckets, _trimmed(self._counts))


def tally(values: Iterable[float], buckets: Buckets) -> Distribution:
    """The distribution of some values."""
    made = Tally(buckets)
    for value in values:
        made.add(value)
    return made.result()


def add(parts: Sequence[Distribution]) -> Distribution:
    """All of them as one; where buckets differ, those of the first are kept and the others' counts moved over."""
    count = sum(part.size for part in parts)
    if not count:
        return Distribution(0, 0.0, 0.0, parts[0].buckets, ())
    mean = sum(part.mean * part.size for part in parts) / count
    deviation = sum(part.deviation + part.size * (part.mean - mean) ** 2 for part in parts)
    counts = [0] * (len(bounds_of(parts[0].buckets)) + 1)
    for part in parts:
        same = part.buckets == parts[0].buckets
        for index, found in enumerate(part.counts):
            if found:
                counts[index if same else _moved(part, index, parts[0].buckets)] += found
    return Distribution(count, mean, deviation, parts[0].buckets, _trimmed(counts))


def subtract(later: Distribution, earlier: Distribution) -> Distribution:
    """What came between two readings of a cumulative distribution."""
    count = later.size - earlier.size
    if count <= 0 or later.buckets != earlier.buckets:
        return later if later.size and count else Distribution(0, 0.0, 0.0, later.buckets, ())
    mean = (later.mean * later.size - earlier.mean * earlier.size) / count
    whole = earlier.deviation + earlier.size * (earlier.mean - later.mean) ** 2 + count * (mean - later.mean) ** 2
    old = (*earlier.counts, *[0] * (len(later.counts) - len(earlier.counts)))
    counts = [max(0, a - b) for a, b in zip(later.counts, old, strict=False)]
    return Distribution(count, mean, max(0.0, later.deviation - whole), later.buckets, _trimmed(counts))


def percentile(found: Distribution, percent: float) -> float:
    """The value below which `percent` of the values lie, evenly spread within their buckets; 0 of an empty one."""
    total = sum(found.counts)
    if not total:
        return found.mean if found.size else 0.0
    bounds = bounds_of(found.buckets)
    rank, passed = percent / 100 * total, 0
    for index, count in enumerate(found.counts):
        if count and passed + count >= rank:
            low, high = _edges(found, index, bounds)
            return low + (high - low) * max(0.0, rank - passed) / count
        passed += count
    return bounds[-1] if bounds else found.mean


def below(found: Distribution, value: float) -> float:
    """How many values lie below one, evenly spread within their buckets."""
    bounds, passed = bounds_of(found.buckets), 0.0
    if not found.counts:
        return float(found.size) if found.mean < value else 0.0
    for index, count in enumerate(found.counts):
        low, high = _edges(found, index, bounds)
        if high <= value and (index < len(bounds) or low < value):
            passed += count
        elif low < value:
            passed += count * (value - low) / (high - low)
    return passed


def variance(found: Distribution) -> float:
    """The mean of squared deviations."""
    return found.deviation / found.size if found.size else 0.0


def stddev(values: Sequence[float]) -> float:
    """The standard deviation of all that there is."""
    mean = sum(values) / len(values)
    return sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def nearest(values: Sequence[float], percent: float) -> float:
    """A percentile of plain values, interpolated between the two that are nearest."""
    ordered = sorted(values)
    at = percent / 100 * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _edges(found: Distribution, index: int, bounds: Sequence[float]) -> tuple[float, float]:
    """Where a bucket lies. Underflow and overflow have one edge; values there count as lying on it."""
    if not bounds:
        return found.mean, found.mean
    if index == 0:
        return (0.0, bounds[0]) if bounds[0] > 0 else (bounds[0], bounds[0])
    if index >= len(bounds):
        return bounds[-1], bounds[-1]
    return bounds[index - 1], bounds[index]


def _moved(part: Distribution, index: int, target: Buckets) -> int:
    """The bucket of another layout that takes the middle of this one."""
    low, high = _edges(part, index, bounds_of(part.buckets))
    middle = (low + high) / 2
    return bisect_right(bounds_of(target), middle if isfinite(middle) else low)


def _trimmed(counts: Sequence[int]) -> tuple[int, ...]:
    end = len(counts)
    while end and not counts[end - 1]:
        end -= 1
    return tuple(counts[:end])
