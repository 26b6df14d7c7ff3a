"""Cross-series reduction: aligned series that agree in some labels become one.

Owns every reducer of google.monitoring.v3.Aggregation, which types each takes, the fields to group by, and which labels
a reduced series keeps: those grouped by, the project, and the types of metric and resource.
Source: google/monitoring/v3/common.proto.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from local_cloud.metrics import distribution
from local_cloud.metrics.align import AggregationError
from local_cloud.metrics.distribution import Distribution, nearest, percentile, stddev, variance
from local_cloud.metrics.series import Key, Point, Series, Value

_NUMBERS = frozenset({"INT64", "DOUBLE"})
_COUNTED = _NUMBERS | {"DISTRIBUTION"}
_ANY = _COUNTED | {"BOOL", "STRING"}
_BOOL = frozenset({"BOOL"})
_FIELD = re.compile(r"""(metric|resource)\.(?:labels?\.)?(?:"([^"]+)"|'([^']+)'|([A-Za-z0-9_]+))""")


@dataclass(frozen=True)
class Reducer:
    """What it takes and gives; "" as type means that of the input. `keeps` says that a DELTA stays one."""

    types: frozenset[str]
    type: str
    of: Callable[[Sequence[Any]], Value]
    keeps: bool = False


def _sum(values: Sequence[Any]) -> Value:
    return distribution.add(values) if isinstance(values[0], Distribution) else sum(values)


def _mean(values: Sequence[Any]) -> Value:
    return distribution.add(values).mean if isinstance(values[0], Distribution) else sum(values) / len(values)


def _stddev(values: Sequence[Any]) -> Value:
    if isinstance(values[0], Distribution):
        return sqrt(variance(distribution.add(values)))
    return stddev(values)


def _percent(at: float) -> Callable[[Sequence[Any]], Value]:
    def of(values: Sequence[Any]) -> Value:
        if isinstance(values[0], Distribution):
            return percentile(distribution.add(values), at)
        return float(nearest(values, at))

    return of


REDUCERS: dict[str, Reducer] = {
    "REDUCE_MEAN": Reducer(_COUNTED, "DOUBLE", _mean),
    "REDUCE_MIN": Reducer(_NUMBERS, "", min, keeps=True),
    "REDUCE_MAX": Reducer(_NUMBERS, "", max, keeps=True),
    "REDUCE_SUM": Reducer(_COUNTED, "", _sum, keeps=True),
    "REDUCE_STDDEV": Reducer(_COUNTED, "DOUBLE", _stddev),
    "REDUCE_COUNT": Reducer(_ANY, "INT64", len),
    "REDUCE_COUNT_TRUE": Reducer(_BOOL, "INT64", sum),
    "REDUCE_COUNT_FALSE": Reducer(_BOOL, "INT64", lambda values: len(values) - sum(values)),
    "REDUCE_FRACTION_TRUE": Reducer(_BOOL, "DOUBLE", lambda values: sum(values) / len(values)),
    "REDUCE_PERCENTILE_99": Reducer(_COUNTED, "DOUBLE", _percent(99)),
    "REDUCE_PERCENTILE_95": Reducer(_COUNTED, "DOUBLE", _percent(95)),
    "REDUCE_PERCENTILE_50": Reducer(_COUNTED, "DOUBLE", _percent(50)),
    "REDUCE_PERCENTILE_05": Reducer(_COUNTED, "DOUBLE", _percent(5)),
}


def check(reducer: str, kind: str, value_type: str) -> None:
    """Whether a reducer can be applied to such series."""
    if kind not in ("GAUGE", "DELTA") or value_type not in REDUCERS[reducer].types:
        why = f"The reducer cannot be applied to metrics with kind {kind} and value type {value_type}."
        raise AggregationError("crossSeriesReducer", reducer, why)


def outcome(reducer: str, kind: str, value_type: str) -> tuple[str, str]:
    """Kind and type of what a reducer gives."""
    if reducer == "REDUCE_NONE":
        return kind, value_type
    known = REDUCERS[reducer]
    return kind if known.keeps else "GAUGE", known.type or value_type


def fields(paths: Sequence[str]) -> list[tuple[str, str]]:
    """The fields to group by: ("metric", label), ("resource", label), or a type."""
    made: list[tuple[str, str]] = []
    for path in paths:
        match = _FIELD.fullmatch(path.strip())
        if path.strip() == "project":
            made.append(("resource", "project_id"))
        elif match is None and not path.startswith("metadata."):
            why = "metric.label.KEY, resource.label.KEY, metric.type, resource.type and project can be grouped by."
            raise AggregationError("groupByFields", path, why)
        elif match is not None:
            made.append((match[1], match[2] or match[3] or match[4]))
    return made


def reduce(found: Sequence[Series], reducer: str, paths: Sequence[str]) -> list[Series]:
    """The reduced series, ordered by what they were grouped by."""
    grouped: dict[Key, list[Series]] = {}
    by = fields(paths)
    for series in found:
        grouped.setdefault(group_of(series.key, by), []).append(series)
    known = REDUCERS[reducer]
    made: list[Series] = []
    for key in sorted(grouped):
        group = grouped[key]
        kind, value_type = outcome(reducer, group[0].kind, group[0].type)
        at: dict[int, list[Point]] = {}
        for series in group:
            for point in series.points:
                at.setdefault(point.end, []).append(point)
        points = [
            Point(at[end][0].start if kind == "DELTA" else end, end, known.of([point.value for point in at[end]]))
            for end in sorted(at)
        ]
        made.append(Series(key, kind, value_type, points))
    return made


def group_of(key: Key, by: Sequence[tuple[str, str]]) -> Key:
    """The reduced series that a series goes into."""
    metric = {label for group, label in by if group == "metric"}
    resource = {label for group, label in by if group == "resource"} | {"project_id"}
    return Key(
        key.metric,
        tuple((name, value) for name, value in key.metric_labels if name in metric),
        key.resource,
        tuple((name, value) for name, value in key.resource_labels if name in resource),
    )
