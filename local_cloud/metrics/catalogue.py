"""Which metrics exist: the platform's own, those that users have made, and those that Logging counts for them.

Owns custom descriptors (kept in the store) and the laws of changing them. Source:
google/monitoring/v3/metric_service.proto, https://cloud.google.com/monitoring/custom-metrics/creating-metrics.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from local_cloud.descriptors import Message, message
from local_cloud.metrics.descriptors import KINDS, METRICS, RESOURCES, TYPES, metric_message
from local_cloud.metrics.slo import Slo
from local_cloud.store import Store

#: Log-based metrics are named after this; Logging makes and keeps them.
LOGGED = "logging.googleapis.com/user/"
#: "custom.googleapis.com/..." may have so many descriptors in a project.
MAX_CUSTOM = 10_000
_KINDS = {number: name for name, number in KINDS.items()}
_TYPES = {number: name for name, number in TYPES.items()}


@dataclass(frozen=True)
class Metric:
    """What queries need to know of a metric."""

    type: str
    kind: str
    value: str
    unit: str
    labels: frozenset[str]
    resources: frozenset[str]


class Catalogue:
    """All metric descriptors of the project."""

    def __init__(self, store: Store, project: str) -> None:
        self.project = project
        self.custom = store.messages("metrics.descriptors", "google.api.MetricDescriptor")
        #: An SLO by its full name; set by who keeps them.
        self.find_slo: Callable[[str], Slo | None] = lambda _name: None
        self._logged = store.messages("plain.google.logging.v2.LogMetric", "google.logging.v2.LogMetric")

    def get(self, metric: str) -> Message | None:
        """A metric's descriptor."""
        if metric in METRICS:
            return metric_message(self.project, METRICS[metric])
        if metric.startswith(LOGGED):
            name = metric.removeprefix(LOGGED).replace("/", "%2F")
            logged = self._logged.get(f"projects/{self.project}/metrics/{name}")
            return None if logged is None else logged.metric_descriptor
        return self.custom.get(metric)

    def find(self, metric: str) -> Metric | None:
        """What a metric is."""
        own = METRICS.get(metric)
        if own is not None:
            labels = frozenset(label[0] for label in own.labels)
            return Metric(metric, own.kind, own.value, own.unit, labels, frozenset(own.resources or RESOURCES))
        made = self.get(metric)
        if made is None:
            return None
        labels = frozenset(label.key for label in made.labels)
        kind, value = _KINDS[made.metric_kind], _TYPES[made.value_type]
        return Metric(metric, kind, value, made.unit, labels, frozenset(made.monitored_resource_types or RESOURCES))

    def all(self) -> list[Message]:
        """Every descriptor, by type."""
        found = [metric_message(self.project, metric) for metric in METRICS.values()]
        logged = [metric.metric_descriptor for metric in self._logged.values()]
        return sorted([*found, *self.custom.values(), *logged], key=lambda made: str(made.type))

    def keep(self, descriptor: Message) -> Message:
        """Makes or changes a custom metric; labels that it had stay."""
        made = message("google.api.MetricDescriptor")()
        made.CopyFrom(descriptor)
        made.name = f"projects/{self.project}/metricDescriptors/{made.type}"
        known = self.custom.get(made.type)
        if known is not None:
            have = {label.key for label in made.labels}
            made.labels.extend(label for label in known.labels if label.key not in have)
        self.custom[made.type] = made
        return made

    def learn(self, metric: str, kind: str, value: str, labels: Iterable[str]) -> None:
        """Makes a custom metric from the first series of it, or gives it the labels that it lacks."""
        known = self.custom.get(metric)
        missing = set(labels) - ({label.key for label in known.labels} if known is not None else set())
        if known is not None and not missing:
            return
        made = message("google.api.MetricDescriptor")(type=metric, metric_kind=KINDS[kind], value_type=TYPES[value])
        if known is not None:
            made.CopyFrom(known)
        for label in sorted(missing):
            made.labels.add(key=label)
        self.keep(made)
