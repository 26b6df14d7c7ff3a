"""What Logging keeps, and what is put together when the cloud starts: entries, router, counts, exports.

Owns the order of the start, and what exists in a project from its first day: the buckets _Default and _Required, and
the sinks that fill them. Source: https://cloud.google.com/logging/docs/store-log-entries.
"""

from typing import Any

from local_cloud.apis.logging.api import API
from local_cloud.apis.logging.archive import Archive
from local_cloud.apis.logging.filters import query
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.logs.counting import Counting
from local_cloud.logs.entries import DAY, DEFAULT_DAYS, REQUIRED_DAYS, Entries
from local_cloud.logs.exports import Exports, Way
from local_cloud.logs.query import Query
from local_cloud.logs.routing import Route, Routing
from local_cloud.plain import Plain

BUCKET, SINK = "google.logging.v2.LogBucket", "google.logging.v2.LogSink"
VIEW, METRIC = "google.logging.v2.LogView", "google.logging.v2.LogMetric"
STATES = enum("google.logging.v2.LifecycleState")
#: Days until a bucket that was deleted is gone.
PURGE_DAYS = 7
_STORAGE, _TOPIC, _BUCKET = "storage.googleapis.com/", "pubsub.googleapis.com/", "logging.googleapis.com/"
_AUDIT = ("activity", "system_event", "access_transparency")
_IDS = [f'LOG_ID("{who}.googleapis.com/{log}")' for log in _AUDIT for who in ("cloudaudit", "externalaudit")]
REQUIRED_FILTER = " OR ".join(_IDS)
DEFAULT_FILTER = " AND ".join(f"NOT {one}" for one in _IDS)
PERSONAL = " AND ".join(f'NOT LOG_ID("{who}.googleapis.com/data_access")' for who in ("cloudaudit", "externalaudit"))


class Metrics(Plain):
    """The log-based metrics of the project."""


class Config:
    """Buckets, their views, sinks, and the router made of them."""

    def __init__(self, cloud: Cloud, entries: Entries) -> None:
        self._cloud, self._entries = cloud, entries
        self.parent = f"projects/{cloud.project}"
        self.home = f"{self.parent}/locations/global/buckets"
        self.buckets = cloud.store.messages("logs.buckets", BUCKET)
        self.views = cloud.store.messages("logs.views", VIEW)
        self.sinks = cloud.store.messages("logs.sinks", SINK)
        #: When buckets are gone that were deleted.
        self.purges = cloud.store.json("logs.purges")
        self.counting = Counting(cloud.meter)
        exports = Exports(cloud, entries.write)
        self._archive = Archive(cloud, exports, self.ways)
        exports.archive = self._archive.add
        self.routing = Routing(self.counting, exports, cloud.now, self.is_active)

    def start(self) -> None:
        """Makes what every project has, and lets entries through the router."""
        if f"{self.home}/_Default" not in self.buckets:
            self._make("_Default", DEFAULT_DAYS, DEFAULT_FILTER, description="Default bucket")
            self._make("_Required", REQUIRED_DAYS, REQUIRED_FILTER, description="Audit bucket", locked=True)
            self.views[f"{self.home}/_Default/views/_Default"] = message(VIEW)(
                name=f"{self.home}/_Default/views/_Default",
                description="View for logs of the bucket _Default but those of data access.",
                filter=PERSONAL,
            )
        for name, due in self.purges.items():
            self._cloud.clock.call_at(due, lambda name=name: self._purge(name))  # type: ignore[misc]
        self.changed()
        self._archive.start()
        self._entries.receive = self.routing.receive

    def stop(self) -> None:
        """Writes what waits to be archived."""
        self._archive.flush()

    def ways(self) -> dict[str, Way]:
        """Where each sink sends."""
        return {str(sink.name): self._route(sink)[1].way for sink in self.sinks.values()}

    def is_active(self, bucket: str) -> bool:
        """Whether entries can be written to a bucket."""
        found = self.buckets.get(bucket)
        return found is not None and found.lifecycle_state == STATES["ACTIVE"]

    def changed(self) -> None:
        """Buckets or sinks are other ones now."""
        self._entries.retention = {
            name: bucket.retention_days * DAY for name, bucket in self.buckets.items() if self.is_active(name)
        }
        self.routing.replace([self._route(sink) for sink in self.sinks.values() if not sink.disabled])

    def add_bucket(self, bucket: Message) -> None:
        """A bucket with the view that each has."""
        self.buckets[bucket.name] = bucket
        name = f"{bucket.name}/views/_AllLogs"
        self.views[name] = message(VIEW)(name=name, description="View of all logs of the bucket.")
        self.changed()

    def delete_bucket(self, bucket: Message) -> None:
        """Its entries cannot be read any more; in a week it is gone."""
        bucket.lifecycle_state = STATES["DELETE_REQUESTED"]
        self.buckets.save(bucket.name)
        due = self._cloud.now() + PURGE_DAYS * 86400
        self.purges[bucket.name] = due
        name = bucket.name
        self._cloud.clock.call_at(due, lambda: self._purge(name))
        self.changed()

    def undelete_bucket(self, bucket: Message) -> None:
        """It is back with all it had."""
        bucket.lifecycle_state = STATES["ACTIVE"]
        self.buckets.save(bucket.name)
        self.purges.pop(bucket.name)
        self.changed()

    def _purge(self, name: str) -> None:
        due = self.purges.get(name)
        if due is None or due > self._cloud.now():
            return
        self.purges.pop(name)
        self.buckets.pop(name)
        for view in [view for view in self.views if view.startswith(f"{name}/views/")]:
            self.views.pop(view)
            self._cloud.iam.forget(view)
        self._entries.drop(name)
        self.changed()

    def _make(self, name: str, days: int, text: str, **more: Any) -> None:
        full = f"{self.home}/{name}"
        self.add_bucket(message(BUCKET)(name=full, retention_days=days, lifecycle_state=STATES["ACTIVE"], **more))
        self.sinks[f"{self.parent}/sinks/{name}"] = message(SINK)(
            name=name, destination=f"{_BUCKET}{full}", filter=text
        )

    def _route(self, sink: Message) -> tuple[Query, Route]:
        place = str(sink.destination)
        bucket = self._cloud.canonical(place.removeprefix(_BUCKET)) if place.startswith(_BUCKET) else ""
        topic = self._cloud.canonical(place.removeprefix(_TOPIC)) if place.startswith(_TOPIC) else ""
        excluded = tuple(query(one.filter).matches for one in sink.exclusions if not one.disabled)
        way = Way(str(sink.name), place, str(sink.writer_identity), topic, place.startswith(_STORAGE))
        return query(sink.filter), Route(excluded, bucket if "/buckets/" in bucket else "", way)


@API.on_start
async def start(cloud: Cloud) -> None:
    """Open the kept entries, begin to route and to count, and listen to the cloud's own events."""
    entries = Entries(cloud.settings.state / "logs", cloud.project, cloud.now)
    metrics, config = Metrics(cloud, METRIC, noun="Metric"), Config(cloud, entries)
    for given in (entries, metrics, config):
        cloud.provide(given)
    config.start()
    cloud.log.sinks.append(lambda event: _own_event(entries, event))
    for name, metric in metrics.kept.items():
        try:
            config.counting.put(name, metric)
        except ValueError as error:  # kept by a version that refused less
            cloud.log.event(
                "WARNING", f"The log-based metric {metric.name} counts nothing: {error}. Update its filter."
            )


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """Write what is left."""
    cloud.log.sinks.clear()
    cloud.use(Config).stop()
    cloud.use(Entries).close()


def _own_event(entries: Entries, event: dict[str, Any]) -> None:
    if event["severity"] != "DEBUG":
        payload = {name: value for name, value in event.items() if name not in ("time", "severity")}
        entries.write({"logName": "local-cloud", "severity": event["severity"], "jsonPayload": payload})
