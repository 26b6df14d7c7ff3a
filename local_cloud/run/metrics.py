"""The metrics of Cloud Run: requests as they end, instances as they are at the end of each minute.

Owns what run.googleapis.com counts for revisions; the tables of names are in metrics/descriptors/.
Source: https://cloud.google.com/monitoring/api/metrics_gcp (run).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.engines.instances import Instance
from local_cloud.engines.revisions import Revision
from local_cloud.engines.usage import memory
from local_cloud.metrics.descriptors import CONCURRENCY, MILLISECONDS, PERCENT
from local_cloud.metrics.distribution import Buckets, tally
from local_cloud.metrics.series import Key, Value, key
from local_cloud.run.requests import Exchange
from local_cloud.run.resources import quantity
from local_cloud.run.rules import serving_container
from local_cloud.run.services import Services

_METRIC = "run.googleapis.com"
_DEFAULT_MEMORY = 512.0 * 2**20


class RunMetrics:
    """What the meter is told of revisions."""

    def __init__(self, cloud: Cloud, services: Services) -> None:
        self._services = services
        self._requests = cloud.meter.counter(f"{_METRIC}/request_count", self._counted("request_count"))
        self._latencies = cloud.meter.distribution(f"{_METRIC}/request_latencies", self._counted("request_latencies"))
        self._known: dict[str, Revision] = {}
        self._seen: set[str] = set()
        cloud.meter.sampler(self._sample)

    def answered(self, exchange: Exchange, seconds: float) -> None:
        """A request is over. Only those that reached an instance count."""
        if exchange.instance:
            counted = (exchange.revision, exchange.status)
            self._requests[counted] += 1
            self._latencies[counted].add(seconds * 1000.0)

    def _counted(self, metric: str) -> Any:
        def name(counted: tuple[str, int]) -> Key:
            revision, status = counted
            labels = {"response_code": str(status), "response_code_class": f"{status // 100}xx"}
            return self._key(metric, revision, labels)

        return name

    def _key(self, metric: str, revision: str, labels: dict[str, str]) -> Key:
        resource = self._services.resource(revision)
        return key(f"{_METRIC}/{metric}", resource["type"], resource["labels"], labels)

    def _sample(self, seconds: float) -> Iterator[tuple[Key, Value]]:
        """Every revision that has run since the last minute."""
        found = {**self._known, **self._services.live}
        self._known = dict(self._services.live)
        seen, self._seen = self._seen, set()
        for name, revision in found.items():
            yield from self._of_revision(name, revision, seconds, seen)

    def _of_revision(
        self, name: str, revision: Revision, seconds: float, seen: set[str]
    ) -> Iterator[tuple[Key, Value]]:
        here = [instance for instance in revision.instances if instance.state in ("ready", "stopping")]
        active = sum(instance.in_flight > 0 for instance in here)
        yield self._key("container/instance_count", name, {"state": "active"}), active
        yield self._key("container/instance_count", name, {"state": "idle"}), len(here) - active
        gone = list(revision.gone)
        revision.gone.clear()
        everyone = [*revision.instances, *gone]
        self._seen.update(instance.id for instance in revision.instances)
        billed = sum(self._billed(instance, seconds, instance.id in seen) for instance in everyone)
        if billed:
            yield self._key("container/billable_instance_time", name, {}), billed * 60.0 / seconds
        startups = [taken * 1000.0 for one in everyone if (taken := one.usage.take_startup()) is not None]
        yield from self._spread("container/startup_latencies", name, startups, MILLISECONDS)
        for state, peaks in _by_state(everyone).items():
            metric = "container/max_request_concurrencies"
            yield from self._spread(metric, name, peaks, CONCURRENCY, {"state": state})
        cpus, limit = self._limits(name)
        used = [one.usage.take_cpu(one.pid) for one in here]
        shares = [min(1.0, taken / (seconds * cpus)) for taken in used if taken is not None]
        yield from self._spread("container/cpu/utilizations", name, shares, PERCENT)
        held = [min(1.0, taken / limit) for one in here if (taken := memory(one.pid)) is not None]
        yield from self._spread("container/memory/utilizations", name, held, PERCENT)

    def _billed(self, instance: Instance, seconds: float, known: bool) -> float:
        """By request, or for as long as it is there."""
        by_request = instance.usage.take_billed()
        if instance.freeze:
            return by_request
        return seconds if known else min(seconds, instance.usage.age)

    def _limits(self, name: str) -> tuple[float, float]:
        revision = self._services.revisions.get(name)
        container = serving_container(revision) if revision is not None else None
        limits = container.resources.limits if container is not None else {}
        cpus, most = quantity(limits.get("cpu", "1")), quantity(limits.get("memory", "512Mi"))
        return cpus or 1.0, most or _DEFAULT_MEMORY

    def _spread(
        self, metric: str, name: str, values: Iterable[float], buckets: Buckets, labels: dict[str, str] | None = None
    ) -> Iterator[tuple[Key, Value]]:
        given = list(values)
        if given:
            yield self._key(metric, name, labels or {}), tally(given, buckets)


def _by_state(instances: Iterable[Instance]) -> dict[str, list[float]]:
    """The most requests that each had at once, by whether it had any."""
    found: dict[str, list[float]] = {}
    for instance in instances:
        peak = instance.usage.take_peak()
        found.setdefault("active" if peak else "idle", []).append(float(peak))
    return found
