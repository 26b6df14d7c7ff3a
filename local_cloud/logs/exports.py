"""What leaves Logging through sinks: entries published to topics, as the sink's writer identity may.

Owns delivery and what is said of a failure: the entry of `sink_error`, once an hour a sink, and the metrics of exports.
Entries go out a turn of the event loop after they came; those to Storage are
archived (apis/logging/archive.py). Sources: https://cloud.google.com/logging/docs/export/pubsub,
https://cloud.google.com/logging/docs/export/troubleshoot.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.logs.compare import Entry
from local_cloud.metrics.series import Key, key
from local_cloud.pubsub.publishing import publish
from local_cloud.pubsub.state import PubSub
from local_cloud.registry import Principal

#: Failures of one sink are told once in so many seconds.
QUIET = 3600.0
_PREFIX = "logging.googleapis.com/exports"


@dataclass(frozen=True)
class Way:
    """Where a sink sends, and as whom: to a topic, to `archive`, or nowhere, as the destination is not emulated."""

    sink: str
    destination: str
    writer: str
    topic: str = ""
    archived: bool = False


class Exports:
    """Everything on its way out."""

    def __init__(self, cloud: Cloud, write: Callable[[Entry], Any]) -> None:
        self._cloud, self._write = cloud, write
        #: Takes lines of sinks to Storage.
        self.archive: Callable[[str, bytes], None] = lambda _sink, _line: None
        self._waiting: list[tuple[Way, Entry, bytes]] = []
        self._told: dict[str, float] = {}
        counter = cloud.meter.counter
        self._entries = counter(f"{_PREFIX}/log_entry_count", self._named("log_entry_count"))
        self._bytes = counter(f"{_PREFIX}/byte_count", self._named("byte_count"))
        self._errors = counter(f"{_PREFIX}/error_count", self._named("error_count"))

    def send(self, way: Way, entry: Entry, line: bytes) -> None:
        """Let an entry go out."""
        if way.archived:
            self.archive(way.sink, line)
        if not way.topic:
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._deliver)
        self._waiting.append((way, entry, line))

    def fail(self, way: Way, code: str, detail: str) -> None:
        """A sink's destination could not be written."""
        self._errors[way] += 1
        now = self._cloud.now()
        if now - self._told.get(way.sink, -QUIET) < QUIET:
            return
        self._told[way.sink] = now
        text = f"Cloud Logging sink configuration error in {self._cloud.project}, sink {way.sink}: {code} ({detail})"
        labels = {
            "activity_type_name": "LoggingSinkConfigErrorV2",
            "destination": way.destination,
            "error_code": code,
            "error_detail": detail,
            "sink_id": way.sink,
        }
        resource = {
            "type": "logging_sink",
            "labels": {"project_id": self._cloud.project, "name": way.sink, "destination": way.destination},
        }
        name = "logging.googleapis.com/sink_error"
        self._write({"logName": name, "severity": "ERROR", "resource": resource, "labels": labels, "textPayload": text})

    def _deliver(self) -> None:
        waiting, self._waiting = self._waiting, []
        for way, entry, line in waiting:
            if not self._has(way.topic):
                self.fail(way, "topic_not_found", f"Resource not found (resource={way.topic.rpartition('/')[2]}).")
                continue
            # Not require(): the event of a refusal would itself be an entry for this sink.
            decision = self._cloud.iam.decide(Principal(way.writer), "pubsub.topics.publish", way.topic)
            if decision.enforced and not decision.granted:
                self.fail(way, "topic_permission_denied", decision.text)
                continue
            try:
                attributes = {"logging.googleapis.com/timestamp": str(entry["timestamp"])}
                publish(self._cloud, way.topic, line, attributes)
            except ApiError as error:
                self.fail(way, "topic_error", error.text)
                continue
            self.sent(way, 1, len(line))

    def sent(self, way: Way, entries: int, size: int) -> None:
        """Entries have arrived at a sink's destination."""
        self._entries[way] += entries
        self._bytes[way] += size

    def _has(self, topic: str) -> bool:
        try:
            return topic in self._cloud.use(PubSub).topics
        except KeyError:  # a cloud without Pub/Sub, or one that is only starting
            return False

    def _named(self, metric: str) -> Callable[[Way], Key]:
        def named(way: Way) -> Key:
            labels = {"project_id": self._cloud.project, "name": way.sink, "destination": way.destination}
            return key(f"{_PREFIX}/{metric}", "logging_sink", labels, {})

        return named
