"""From lines of the log to series: counted as the metrics of dashboards/metrics say, but now, and with exact values.

A line that a metric takes has the metric's labels, and a value lies in a bucket of its own bounds or of one more: each
limit that a gate has is a bound here, so that nothing is blurred. Counts are kept and lines are not, so that a step of
days costs no more than one of minutes. Leaves alone how lines are read (`early`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

import spec
from ops.rollout.gate.model import Spread
from ops.rollout.gate.series import Point, Series
from ops.rollout.gate.target import Door, door_of

#: What gates call a series -> the log metric that counts it.
METRICS: Final = {"outcomes": "outcomes", "seconds": "request_seconds", "tokens": "token_age"}
#: Events of lines that end requests.
EVENTS: Final = ("handled", "answered")
#: Labels of the resource by which sides and doors are told.
RESOURCE: Final = ("service_name", "revision_name")

Labels = tuple[tuple[str, str], ...]
Entry = Mapping[str, Any]


class Tally:
    """Lines of one side, counted."""

    def __init__(self, metrics: Mapping[str, spec.LogMetric], limits: Iterable[float]) -> None:
        self._metrics = {name: metrics[metric] for name, metric in METRICS.items()}
        self._limits = tuple(limits)
        self._counts: Counter[tuple[str, Labels, int]] = Counter()
        self.lines = 0

    def add(self, entry: Entry) -> None:
        """Count a line."""
        self.lines += 1
        event = _field(entry, "event")
        for name, metric in self._metrics.items():
            if event not in (metric.event or ()):
                continue
            bucket = 0
            if metric.value is not None:
                value = _field(entry, metric.value.name)
                if not isinstance(value, (int, float)) or value < 0:
                    continue
                bucket = bisect_right(self._edges[name], float(value))
            self._counts[name, _labels(entry, metric), bucket] += 1

    def series(self) -> dict[str, list[Series]]:
        """What was counted, as Cloud Monitoring would say it."""
        buckets: dict[tuple[str, Labels], Counter[int]] = {}
        for (name, labels, bucket), count in self._counts.items():
            buckets.setdefault((name, labels), Counter())[bucket] += count
        found: dict[str, list[Series]] = {name: [] for name in METRICS}
        for (name, labels), counts in buckets.items():
            edges = self._edges[name]
            told = Spread(edges, tuple(counts[index] for index in range(len(edges) + 1))) if edges else Spread()
            found[name].append(Series(dict(labels), (Point(0.0, counts.total(), spread=told),)))
        return found

    @cached_property
    def _edges(self) -> dict[str, tuple[float, ...]]:
        found = {}
        for name, metric in self._metrics.items():
            bounds = metric.buckets.bounds if metric.buckets and metric.buckets.bounds else ()
            found[name] = tuple(sorted({*map(float, bounds), *self._limits})) if metric.value else ()
        return found


def by_door(before: Tally, canary: Tally) -> dict[Door, dict[str, list[Series]]]:
    """The series of each door.

    Of effects only those of first attempts: one that is tried again may find its work done.
    """
    found: dict[Door, dict[str, list[Series]]] = {}
    for tally in (before, canary):
        for name, series in tally.series().items():
            for one in series:
                there = found.setdefault(door_of(one.labels), {known: [] for known in METRICS})
                again = name == "outcomes" and not one.labels.get("first")
                there[name].append(_silent(one) if again else one)
    return found


def merged(stable: Tally, canary: Tally) -> dict[str, list[Series]]:
    """The series of both sides; without a word on effects at doors that the stable side has not met.

    Whether nothing is usual at a door is known by the stable side alone, and a step may begin with lines of the other.
    """
    there, here = stable.series(), canary.series()
    met = {door_of(one.labels) for one in there["outcomes"]}
    here["outcomes"] = [one if door_of(one.labels) in met else _silent(one) for one in here["outcomes"]]
    return {name: [*there[name], *here[name]] for name in METRICS}


def _silent(one: Series) -> Series:
    return Series({label: value for label, value in one.labels.items() if label != "effect"}, one.points)


def _labels(entry: Entry, metric: spec.LogMetric) -> Labels:
    resource = entry.get("resource", {}).get("labels", {})
    found = {name: str(resource.get(name, "")) for name in RESOURCE}
    for label, taken in metric.labels.items():
        said = _text(_field(entry, taken.name))
        if taken.pattern is not None:
            part = re.search(taken.pattern, said)
            said = part.group(1) if part else ""
        found[label] = said
    return tuple(sorted(found.items()))


def _field(entry: Entry, name: str) -> Any:
    """A field by its path: of the entry's resource, or of the line."""
    at: Any = entry if name.startswith("resource.") else entry.get("jsonPayload", {})
    for part in name.split("."):
        at = at.get(part) if isinstance(at, Mapping) else None
    return at


def _text(value: Any) -> str:
    """A value as an extractor gives it; a JSON number may be spelt with a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
