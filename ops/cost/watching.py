"""What watching costs: conditions of alerts, the series that they ask for, and the points of our own metrics.

Google bills each condition, each series that a condition's query returns (one query every 30 seconds), and the bytes of
user-defined metrics, log-based ones among them: 8 a point, 80 where it is a distribution. Its own metrics cost nothing.
How many series there are is an estimate: one for each queue, service or topic where such a label is kept. Points are an
upper bound.

Source: https://cloud.google.com/products/observability/pricing (alerting, Monitoring data).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod

import spec
from ops.cost.month import MINUTES, SECONDS
from spec.catalogue import Catalogue
from spec.filters import monitored
from spec.selection import Match, members

#: A condition's query runs so often in a month: every 30 seconds.
QUERIES = SECONDS / 30

#: What a point of a metric weighs.
BYTES = {"counter": 8, "distribution": 80}

#: Labels that have a value for each of these.
QUEUE, SERVICE, TOPIC = ("queue", "queue_id"), ("service", "service_name"), ("topic_id", "subscription_id")


def conditions(system: spec.System) -> int:
    """How many conditions all policies have."""
    return sum(len(alert.conditions) for alert in system.alerts.values())


def asked_for(system: spec.System) -> float:
    """How many series the conditions' queries return in a month."""
    return QUERIES * sum(_returned(system, one) for alert in system.alerts.values() for one in alert.conditions)


def points(system: spec.System, requests: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """The most bytes of each of our metrics in a month: as if a line of every request of its services counted."""
    for name, metric in system.metrics.items():
        lines = sum(requests.get(service, 0.0) for service in metric.service or system.services)
        writers = _count(system, [*metric.labels, *(() if metric.labels else ("service",))], {})
        yield name, min(lines, writers * MINUTES) * BYTES[metric.kind]


def _returned(system: spec.System, condition: spec.Condition) -> int:
    if condition.metric is None:
        return 0 if condition.log is not None else 1
    selection, catalogue = condition.selection, Catalogue(system.metrics, system.groups)
    metric = catalogue.find(selection.metric)
    if selection.across is not None:
        kept: Iterable[str] = selection.across.keep
    else:
        resource = monitored(catalogue, selection) or ""
        kept = (*(metric.labels if metric is not None else ()), *catalogue.resources.get(resource, ()))
    return _count(system, kept, selection.where) * (1 if condition.of is None else 2)


def _count(system: spec.System, labels: Iterable[str], where: Mapping[str, Match]) -> int:
    sizes = {
        **dict.fromkeys(QUEUE, len(system.queues)),
        **dict.fromkeys(SERVICE, len(system.services)),
        **dict.fromkeys(TOPIC, len(system.topics)),
    }
    return prod(_size(system, sizes[label], where.get(label)) for label in labels if label in sizes)


def _size(system: spec.System, everything: int, match: Match | None) -> int:
    if match is None or match.among is None:
        return max(1, everything)
    return len(members(match.among, system.groups))
