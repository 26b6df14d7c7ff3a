"""Per-series alignment: the points of each alignment period become one.

Owns every aligner of google.monitoring.v3.Aggregation, which kinds and types each takes, and what comes out. Periods
end where the interval ends and go back from there. A point counts whole in the period in which it ends; a period
without points has no value, but for the two aligners that fill it. Source: google/monitoring/v3/common.proto.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from local_cloud.metrics import distribution
from local_cloud.metrics.distribution import Distribution, percentile, stddev
from local_cloud.metrics.series import SECOND, Point, Series, Value

#: So many periods are filled at most by the aligners that fill them.
MAX_FILLED = 100_000
#: How far back the value is looked for that still holds at the start of an interval.
LOOKBACK = 25 * 3600 * SECOND

_NUMBERS = frozenset({"INT64", "DOUBLE"})
_NUMBERS_BOOL = _NUMBERS | {"BOOL"}
_COUNTED = _NUMBERS | {"DISTRIBUTION"}
_ANY = _NUMBERS_BOOL | {"STRING", "DISTRIBUTION"}
_BOTH = frozenset({"GAUGE", "DELTA"})
_CHANGES = frozenset({"DELTA", "CUMULATIVE"})
_GAUGE = frozenset({"GAUGE"})
_MIDDLE = {"ALIGN_PERCENTILE_99": 99, "ALIGN_PERCENTILE_95": 95, "ALIGN_PERCENTILE_50": 50, "ALIGN_PERCENTILE_05": 5}


class AggregationError(ValueError):
    """A field of an aggregation cannot be used; the text is the answer to the caller."""

    def __init__(self, field: str, value: str, why: str) -> None:
        super().__init__(f'Field aggregation.{field} had an invalid value of "{value}": {why}')


@dataclass(frozen=True)
class Aligner:
    """What it takes and what it gives; "" as kind or type means that of the input."""

    kinds: frozenset[str]
    types: frozenset[str]
    kind: str
    type: str
    of: Callable[[Sequence[Any]], Value] | None = None


def _sum(values: Sequence[Any]) -> Value:
    return distribution.add(values) if isinstance(values[0], Distribution) else sum(values)


def _percent(at: float) -> Callable[[Sequence[Distribution]], Value]:
    return lambda values: percentile(distribution.add(values), at)


ALIGNERS: dict[str, Aligner] = {
    "ALIGN_DELTA": Aligner(_CHANGES, _COUNTED, "DELTA", "", _sum),
    "ALIGN_RATE": Aligner(_CHANGES, _NUMBERS, "GAUGE", "DOUBLE", _sum),
    "ALIGN_INTERPOLATE": Aligner(_GAUGE, _NUMBERS, "GAUGE", ""),
    "ALIGN_NEXT_OLDER": Aligner(_GAUGE, _ANY, "GAUGE", ""),
    "ALIGN_MIN": Aligner(_BOTH, _NUMBERS, "GAUGE", "", min),
    "ALIGN_MAX": Aligner(_BOTH, _NUMBERS, "GAUGE", "", max),
    "ALIGN_MEAN": Aligner(_BOTH, _NUMBERS, "GAUGE", "DOUBLE", lambda values: sum(values) / len(values)),
    "ALIGN_COUNT": Aligner(_BOTH, _NUMBERS_BOOL, "GAUGE", "INT64", len),
    "ALIGN_SUM": Aligner(_BOTH, _COUNTED, "", "", _sum),
    "ALIGN_STDDEV": Aligner(_BOTH, _NUMBERS, "GAUGE", "DOUBLE", stddev),
    "ALIGN_COUNT_TRUE": Aligner(_GAUGE, frozenset({"BOOL"}), "GAUGE", "INT64", sum),
    "ALIGN_COUNT_FALSE": Aligner(_GAUGE, frozenset({"BOOL"}), "GAUGE", "INT64", lambda v: len(v) - sum(v)),
    "ALIGN_FRACTION_TRUE": Aligner(_GAUGE, frozenset({"BOOL"}), "GAUGE", "DOUBLE", lambda v: sum(v) / len(v)),
    "ALIGN_PERCENT_CHANGE": Aligner(_BOTH, _NUMBERS, "GAUGE", "DOUBLE", lambda values: sum(values) / len(values)),
    **{
        name: Aligner(_BOTH, frozenset({"DISTRIBUTION"}), "GAUGE", "DOUBLE", _percent(at))
        for name, at in _MIDDLE.items()
    },
}


#: Aligners that have a value for periods without points.
FILLING = frozenset(name for name, aligner in ALIGNERS.items() if aligner.of is None)


def check(aligner: str, kind: str, value_type: str) -> None:
    """Whether an aligner can be applied to such a metric."""
    known = ALIGNERS[aligner]
    if kind not in known.kinds or value_type not in known.types:
        why = f"The aligner cannot be applied to metrics with kind {kind} and value type {value_type}."
        raise AggregationError("perSeriesAligner", aligner, why)


def outcome(aligner: str, kind: str, value_type: str) -> tuple[str, str]:
    """Kind and type of what an aligner gives."""
    if aligner == "ALIGN_NONE":
        return kind, value_type
    known = ALIGNERS[aligner]
    return known.kind or kind, known.type or value_type


def reach(aligner: str, kind: str, period: int) -> int:
    """How far before the start of the interval points are needed."""
    if kind == "CUMULATIVE" or aligner in ("ALIGN_NEXT_OLDER", "ALIGN_INTERPOLATE"):
        return period + LOOKBACK
    return 2 * period


def align(series: Series, aligner: str, period: int, start: int, end: int) -> Series:
    """The aligned series. `series.points` reach back beyond the start as far as `reach` says."""
    known = ALIGNERS[aligner]
    kind, value_type = outcome(aligner, series.kind, series.type)
    if known.of is None:
        made = _filled(series, aligner, period, start, end)
        return Series(series.key, kind, value_type, made)
    points = differences(series.points) if series.kind == "CUMULATIVE" else series.points
    periods: dict[int, list[Value]] = {}
    for point in points:
        if point.end <= end:
            periods.setdefault(end - (end - point.end) // period * period, []).append(point.value)
    found = {at: known.of(values) for at, values in periods.items()}
    if aligner == "ALIGN_RATE":
        found = {at: _number(value) * SECOND / period for at, value in found.items()}
    elif aligner == "ALIGN_PERCENT_CHANGE":
        found = _changes(found, period)
    width = period if kind == "DELTA" else 0
    return Series(
        series.key,
        kind,
        value_type,
        [Point(at - width, at, found[at]) for at in sorted(found) if at > start],
    )


def differences(points: Sequence[Point]) -> list[Point]:
    """Cumulative points as the changes between them. A new start is a reset: counting began at zero there."""
    made: list[Point] = []
    for index, point in enumerate(points):
        before = points[index - 1] if index else None
        if before is not None and before.start == point.start and before.end >= point.start:
            if isinstance(point.value, Distribution) and isinstance(before.value, Distribution):
                made.append(Point(before.end, point.end, distribution.subtract(point.value, before.value)))
            else:
                made.append(Point(before.end, point.end, _number(point.value) - _number(before.value)))
        else:
            made.append(point)
    return made


def _filled(series: Series, aligner: str, period: int, start: int, end: int) -> list[Point]:
    """A value at the end of every period: the newest before it, or one between its neighbours."""
    made: list[Point] = []
    index = 0
    points = series.points
    first = end - min((end - start - 1) // period, MAX_FILLED) * period
    for at in range(first, end + 1, period):
        while index < len(points) and points[index].end <= at:
            index += 1
        if index == 0:
            continue
        before, value = points[index - 1], points[index - 1].value
        if aligner == "ALIGN_NEXT_OLDER" or before.end == at:
            if aligner == "ALIGN_INTERPOLATE" or at - before.end < LOOKBACK:
                made.append(Point(at, at, value))
        elif index < len(points):
            after = points[index]
            share = (at - before.end) / (after.end - before.end)
            between = _number(value) + (_number(after.value) - _number(value)) * share
            made.append(Point(at, at, round(between) if series.type == "INT64" else between))
    return made


def _changes(means: dict[int, Value], period: int) -> dict[int, Value]:
    """Each period's mean against that of the period before, in per cent."""
    made: dict[int, Value] = {}
    for at, mean in means.items():
        before = means.get(at - period)
        if before:
            made[at] = (_number(mean) - _number(before)) / _number(before) * 100
    return made


def _number(value: Value) -> float | int:
    assert isinstance(value, int | float)
    return value
