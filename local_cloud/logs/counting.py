"""Log-based metrics at work: entries that match a metric's filter are counted by the meter as they are received.

Owns the counts and the law of what counts: entries whose time is at most 24 hours behind or 10 minutes ahead of their
arrival, and that lie in the metric's bucket where it has one. What a metric may be is apis/logging/metrics.py's affair.
Sources: google/logging/v2/logging_metrics.proto, https://cloud.google.com/logging/docs/logs-based-metrics.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from local_cloud.descriptors import Message
from local_cloud.engines.meter import Meter, Tallies
from local_cloud.logs.compare import Entry
from local_cloud.logs.extract import Text, number_of, text_of
from local_cloud.logs.index import Index
from local_cloud.logs.query import Query, parse
from local_cloud.metrics.descriptors import LABEL_TYPES, TYPES, Metric
from local_cloud.metrics.distribution import Buckets, exponential
from local_cloud.metrics.series import SECOND, Key, Labels
from local_cloud.metrics.wire import buckets_of

#: What counts: as far from its arrival as this at most.
BEHIND, AHEAD = 24 * 3600 * SECOND, 600 * SECOND
#: Series of one metric at once, and characters of a label's value (log-based metrics' quotas).
MAX_SERIES, MAX_LABEL = 30_000, 1024
#: The buckets of a distribution without bucket_options.
DEFAULT_BUCKETS = exponential(64, 2.0, 0.01)

Place = tuple[str, Labels, Labels]


@dataclass(frozen=True)
class _Counted:
    """One metric."""

    bucket: str
    labels: tuple[tuple[str, Callable[[str | None], str], Text], ...]
    value: Callable[[Entry], float | None] | None
    counts: Any

    def count(self, entry: Entry, place: tuple[str, Labels]) -> None:
        """One more entry that matches."""
        labels = tuple((name, made) for name, convert, find in self.labels if (made := convert(find(entry))))
        key = (*place, labels)
        if key not in self.counts and len(self.counts) >= MAX_SERIES:
            return
        if self.value is None:
            self.counts[key] += 1
        elif (value := self.value(entry)) is not None:
            self.counts[key].add(value)


class Counting:
    """All that is counted of entries: users' metrics, and the platform's own two."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._made: dict[str, tuple[Query, _Counted]] = {}
        self._index: Index[_Counted] = Index()
        self._entries = meter.counter("logging.googleapis.com/log_entry_count", _own("log_entry_count"))
        self._bytes = meter.counter("logging.googleapis.com/byte_count", _own("byte_count"))

    def count(self, entry: Entry, size: int, moment: int, arrived: int, buckets: tuple[str, ...]) -> None:
        """An entry has been received."""
        resource = entry["resource"]
        place = (str(resource.get("type", "")), _labels(resource.get("labels")))
        own = (*place, entry["logName"], str(entry.get("severity", "DEFAULT")))
        self._entries[own] += 1
        self._bytes[own] += size
        if not -AHEAD <= arrived - moment <= BEHIND:
            return
        for counted in self._index.matching(entry):
            if not counted.bucket or counted.bucket in buckets:
                counted.count(entry, place)

    def put(self, name: str, metric: Message) -> None:
        """A metric as it is from now on."""
        self.remove(name)
        if not metric.disabled:
            self._made[name] = (parse(metric.filter), _compile(self._meter, metric))
        self._index.replace(self._made.values())

    def remove(self, name: str) -> None:
        """A metric that is no more, or is made anew."""
        made = self._made.pop(name, None)
        if made is not None:
            self._meter.let_go(made[1].counts)
            self._index.replace(self._made.values())


def _compile(meter: Meter, metric: Message) -> _Counted:
    descriptor = metric.metric_descriptor
    types = {label.key: label.value_type for label in descriptor.labels}
    labels = tuple(
        (name, _CONVERT[types.get(name, LABEL_TYPES["STRING"])], text_of(expression))
        for name, expression in sorted(metric.label_extractors.items())
    )

    def named(place: Place) -> Key:
        resource, resource_labels, metric_labels = place
        return Key(descriptor.type, metric_labels, resource, resource_labels)

    if descriptor.value_type != TYPES["DISTRIBUTION"]:
        known = Metric(descriptor.type, "DELTA", "INT64", descriptor.unit, "", "", ())
        return _Counted(metric.bucket_name, labels, None, meter.counter(known, named))
    known = Metric(descriptor.type, "DELTA", "DISTRIBUTION", descriptor.unit, "", "", (), buckets=_buckets(metric))
    tallies: Tallies[Place] = meter.distribution(known, named)
    return _Counted(metric.bucket_name, labels, number_of(metric.value_extractor), tallies)


def _buckets(metric: Message) -> Buckets:
    return buckets_of(metric.bucket_options) if metric.HasField("bucket_options") else DEFAULT_BUCKETS


def _text(found: str | None) -> str:
    return "" if found is None else found[:MAX_LABEL]


def _whole(found: str | None) -> str:
    try:
        made = int(found or "")
    except ValueError:
        return "0"
    return str(made) if abs(made) < 2**63 else "0"


def _truth(found: str | None) -> str:
    return "true" if found is not None and found.casefold() == "true" else "false"


#: The text of a label's value; what is missing or cannot be converted has the type's default.
_CONVERT: Mapping[int, Callable[[str | None], str]] = {
    LABEL_TYPES["STRING"]: _text,
    LABEL_TYPES["INT64"]: _whole,
    LABEL_TYPES["BOOL"]: _truth,
}


def _own(metric: str) -> Callable[[tuple[str, Labels, str, str]], Key]:
    def named(counted: tuple[str, Labels, str, str]) -> Key:
        resource, labels, log, severity = counted
        shown = unquote(log.partition("/logs/")[2])[:MAX_LABEL]
        return Key(f"logging.googleapis.com/{metric}", (("log", shown), ("severity", severity)), resource, labels)

    return named


def _labels(given: Any) -> Labels:
    """A resource's labels as part of a key; one or two are the rule."""
    items: Iterable[tuple[str, Any]] = given.items() if isinstance(given, dict) else ()
    return tuple(sorted((name, str(value)) for name, value in items if value != ""))
