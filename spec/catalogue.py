"""Which metrics there are: Google's, as far as a payment system looks at them, and our own from dashboards/metrics/.

Owns the lookup by name, and the law of what aligners and reducers take and give. Google's metrics, their labels and
their resources are data (`google_metrics.json`); a metric that is missing there is one line more.

Source: https://cloud.google.com/monitoring/api/metrics_gcp, Aggregation of google/monitoring/v3/common.proto.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spec.log_metric import PREFIX, LogMetric

DATA = Path(__file__).with_name("google_metrics.json")

_NUMBERS = frozenset(("INT64", "DOUBLE"))
_COUNTED = _NUMBERS | {"DISTRIBUTION"}
_ANY = _COUNTED | {"BOOL", "STRING"}
_BOOL = frozenset(("BOOL",))
_DISTRIBUTION = frozenset(("DISTRIBUTION",))
_CHANGES = frozenset(("DELTA", "CUMULATIVE"))
_GAUGE = frozenset(("GAUGE",))
_BOTH = frozenset(("GAUGE", "DELTA"))


@dataclass(frozen=True, slots=True)
class Metric:
    """What there is to know of a metric before a series of it exists."""

    type: str
    kind: str
    value: str
    unit: str
    resources: tuple[str, ...]
    labels: tuple[str, ...]


#: What each aligner takes (kinds, types of value), and the kind and type of what it gives ("" is what it took).
ALIGNERS: Mapping[str, tuple[frozenset[str], frozenset[str], str, str]] = {
    "none": (_BOTH | _CHANGES, _ANY, "", ""),
    "delta": (_CHANGES, _COUNTED, "DELTA", ""),
    "rate": (_CHANGES, _NUMBERS, "GAUGE", "DOUBLE"),
    "interpolate": (_GAUGE, _NUMBERS, "GAUGE", ""),
    "next_older": (_GAUGE, _ANY, "GAUGE", ""),
    "min": (_BOTH, _NUMBERS, "GAUGE", ""),
    "max": (_BOTH, _NUMBERS, "GAUGE", ""),
    "mean": (_BOTH, _NUMBERS, "GAUGE", "DOUBLE"),
    "count": (_BOTH, _NUMBERS | _BOOL, "GAUGE", "INT64"),
    "sum": (_BOTH, _COUNTED, "", ""),
    "stddev": (_BOTH, _NUMBERS, "GAUGE", "DOUBLE"),
    "count_true": (_GAUGE, _BOOL, "GAUGE", "INT64"),
    "count_false": (_GAUGE, _BOOL, "GAUGE", "INT64"),
    "fraction_true": (_GAUGE, _BOOL, "GAUGE", "DOUBLE"),
    "percent_change": (_BOTH, _NUMBERS, "GAUGE", "DOUBLE"),
    **{percentile: (_BOTH, _DISTRIBUTION, "GAUGE", "DOUBLE") for percentile in ("p99", "p95", "p50", "p05")},
}

#: What each reducer takes, and the type of what it gives ("" is what it took).
REDUCERS: Mapping[str, tuple[frozenset[str], str]] = {
    "none": (_ANY, ""),
    "mean": (_COUNTED, "DOUBLE"),
    "min": (_NUMBERS, ""),
    "max": (_NUMBERS, ""),
    "sum": (_COUNTED, ""),
    "stddev": (_COUNTED, "DOUBLE"),
    "count": (_ANY, "INT64"),
    "count_true": (_BOOL, "INT64"),
    "count_false": (_BOOL, "INT64"),
    "fraction_true": (_BOOL, "DOUBLE"),
    **{percentile: (_COUNTED, "DOUBLE") for percentile in ("p99", "p95", "p50", "p05")},
}


class Catalogue:
    """Google's metrics and a system's own."""

    def __init__(self, own: Mapping[str, LogMetric], groups: Mapping[str, tuple[str, ...]] | None = None) -> None:
        #: What values of labels may stand for: services and queues (`System.groups`).
        self.groups = groups or {}
        self.google, self.resources = _google()
        self.own = {name: _of(metric) for name, metric in own.items()}

    def find(self, name: str) -> Metric | None:
        """Return a metric by its type, or one of ours by its stem."""
        return self.own.get(name) or self.google.get(name)

    @property
    def names(self) -> list[str]:
        """What a file may write."""
        return [*self.own, *self.google]


def _of(metric: LogMetric) -> Metric:
    value = "DISTRIBUTION" if metric.kind == "distribution" else "INT64"
    return Metric(PREFIX + metric.name, "DELTA", value, metric.unit, (metric.resource,), tuple(metric.labels))


@cache
def _google() -> tuple[dict[str, Metric], dict[str, tuple[str, ...]]]:
    data = json.loads(DATA.read_text(encoding="utf-8"))
    metrics = {
        name: Metric(name, kind, value, unit, tuple(resources), tuple(labels))
        for name, (kind, value, unit, resources, labels) in data["metrics"].items()
    }
    return metrics, {name: tuple(labels) for name, labels in data["resources"].items()}
