"""Google's own clients of Cloud Logging at a local cloud's door, and what tests do with them every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.cloud.logging_v2.services.config_service_v2 import ConfigServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.metrics_service_v2 import MetricsServiceV2Client

from tests.local_cloud.cloud_places import PROJECT, Place

NAME = f"projects/{PROJECT}"
LOG = f"{NAME}/logs/test-log"
BUCKETS = f"{NAME}/locations/global/buckets"


class Logs:
    """The three clients."""

    def __init__(self, place: Place, channel: grpc.Channel) -> None:
        self.place = place
        kinds: list[Any] = [LoggingServiceV2Client, MetricsServiceV2Client, ConfigServiceV2Client]
        made: list[Any] = [kind(transport=kind.get_transport_class("grpc")(channel=channel)) for kind in kinds]
        self.entries, self.metrics, self.config = made

    def write(self, *entries: dict[str, Any], **defaults: Any) -> None:
        request = {"log_name": LOG, "resource": {"type": "global"}, "entries": list(entries), **defaults}
        self.entries.write_log_entries(request=request)

    def texts(self, where: str = NAME, text: str = "", log: str = "test-log") -> list[str]:
        request = {"resource_names": [where], "filter": f'log_id("{log}") {text}'}
        return [str(entry.text_payload) for entry in self.entries.list_log_entries(request=request)]

    def metric(self, name: str, text: str = "severity>=ERROR", **more: Any) -> Any:
        metric = {"name": name, "filter": text, **more}
        return self.metrics.create_log_metric(parent=NAME, metric=metric)

    def bucket(self, name: str, **bucket: Any) -> Any:
        request = {"parent": f"{NAME}/locations/global", "bucket_id": name, "bucket": bucket}
        return self.config.create_bucket(request=request)

    def advance(self, seconds: float) -> None:
        self.place.do(lambda cloud: cloud.clock.advance(seconds))


@contextmanager
def logs(place: Place) -> Iterator[Logs]:
    """The clients, which go when they are left."""
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        yield Logs(place, channel)
