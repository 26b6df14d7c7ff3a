"""Time series as gates see them: labels of metric and resource together, points oldest first; and the filters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.rollout.gate.model import Spread
from spec.log_metric import PREFIX

#: Of a point that is no distribution.
NONE = Spread()


@dataclass(frozen=True)
class Point:
    """A count, or a distribution with its mean."""

    at: float
    count: int
    mean: float = 0.0
    spread: Spread = NONE


@dataclass(frozen=True)
class Series:
    """One series."""

    labels: Mapping[str, str]
    points: tuple[Point, ...]

    @classmethod
    def of(cls, message: Any) -> Series:
        """What the API says."""
        labels = {**message.resource.labels, **message.metric.labels}
        return cls(labels, tuple(_point(point) for point in reversed(message.points)))

    @property
    def count(self) -> int:
        """All points together."""
        return sum(point.count for point in self.points)


def _point(point: Any) -> Point:
    at = point.interval.end_time.timestamp()
    if "distribution_value" in point.value:
        found = point.value.distribution_value
        counts = tuple(found.bucket_counts)
        edges = _edges(found.bucket_options)
        return Point(at, found.count, found.mean, Spread(edges, (*counts, *(0,) * (len(edges) + 1 - len(counts)))))
    return Point(at, int(point.value.int64_value or point.value.double_value))


def _edges(options: Any) -> tuple[float, ...]:
    """The bounds between buckets (google/api/distribution.proto)."""
    if "explicit_buckets" in options:
        return tuple(options.explicit_buckets.bounds)
    if "exponential_buckets" in options:
        found = options.exponential_buckets
        return tuple(found.scale * found.growth_factor**step for step in range(found.num_finite_buckets + 1))
    found = options.linear_buckets
    return tuple(found.offset + found.width * step for step in range(found.num_finite_buckets + 1))


def log_filter(metric: str, services: Sequence[str], **labels: str | Sequence[str]) -> str:
    """Series of a log-based metric, of some services or of whoever writes them."""
    parts = [f'metric.type = "{PREFIX}{metric}"', 'resource.type = "cloud_run_revision"']
    if services:
        parts.append(_is("resource.labels.service_name", services))
    return " AND ".join([*parts, *(_is(f"metric.labels.{label}", value) for label, value in labels.items())])


def run_filter(metric: str, services: Sequence[str]) -> str:
    """Series of Cloud Run's own."""
    kind = 'resource.type = "cloud_run_revision"'
    return f'metric.type = "run.googleapis.com/{metric}" AND {kind} AND {_is("resource.labels.service_name", services)}'


def depth_filter(queues: Sequence[str]) -> str:
    """How many tasks are in queues."""
    metric = 'metric.type = "cloudtasks.googleapis.com/queue/depth" AND resource.type = "cloud_tasks_queue"'
    return f"{metric} AND {_is('resource.labels.queue_id', queues)}"


def _is(label: str, values: str | Sequence[str]) -> str:
    given = [values] if isinstance(values, str) else list(values)
    quoted = ", ".join(json.dumps(value) for value in given)
    return f"{label} = {quoted}" if len(given) == 1 else f"{label} = one_of({quoted})"
