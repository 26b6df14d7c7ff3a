"""The model: what a time series is named by, its points, and points that repeat kept as one run.

A run is a value that held at several ends in a row, a minute apart: the depth of a queue at rest for a week is one run.
Times are integers of nanoseconds, as on the wire.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from local_cloud.metrics.distribution import Distribution

Value: TypeAlias = bool | int | float | str | Distribution

SECOND = 1_000_000_000
#: Points of the cloud's own metrics are a minute apart.
STEP = 60 * SECOND

Labels: TypeAlias = tuple[tuple[str, str], ...]


def labels(given: Mapping[str, str]) -> Labels:
    """Labels as part of a key. An empty value is the same as no label, as for Google."""
    return tuple(sorted((key, value) for key, value in given.items() if value != ""))


class Key(NamedTuple):
    """What makes a series: metric and resource, each with its labels."""

    metric: str
    metric_labels: Labels
    resource: str
    resource_labels: Labels


def key(metric: str, resource: str, resource_labels: Mapping[str, str], metric_labels: Mapping[str, str]) -> Key:
    """A series' key."""
    return Key(metric, labels(metric_labels), resource, labels(resource_labels))


class Point(NamedTuple):
    """One value of a series: of the time (start, end], or of the moment `end` where both are the same."""

    start: int
    end: int
    value: Value


class Run(NamedTuple):
    """`times` points of one value; the first of them given, each next one a STEP later."""

    start: int
    end: int
    times: int
    value: Value

    @property
    def last(self) -> int:
        """The end of its last point."""
        return self.end + (self.times - 1) * STEP

    def followed_by(self, run: "Run") -> "Run | None":
        """Both as one run; None when they are not in a row or differ."""
        if run.end != self.last + STEP or type(run.value) is not type(self.value) or run.value != self.value:
            return None
        width = self.end - self.start
        if run.end - run.start != width or width not in (0, STEP):
            return None
        return Run(self.start, self.end, self.times + run.times, self.value)

    def points(self, after: int, until: int) -> Iterator[Point]:
        """The points whose ends lie in (after, until], oldest first."""
        first = max(0, -(-(after + 1 - self.end) // STEP)) if self.times > 1 else 0
        for index in range(first, self.times):
            end = self.end + index * STEP
            if end > until:
                return
            if end > after:
                yield Point(self.start + index * STEP, end, self.value)


class Series(NamedTuple):
    """A series as a query sees and gives it: `points` oldest first."""

    key: Key
    kind: str  # GAUGE, DELTA, CUMULATIVE
    type: str  # BOOL, INT64, DOUBLE, STRING, DISTRIBUTION
    points: list[Point]
