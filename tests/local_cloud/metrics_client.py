"""The client of Cloud Monitoring at a local cloud, and the traffic that its tests look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

from tests.local_cloud.cloud_places import PARENT, PROJECT, Place

NAME = f"projects/{PROJECT}"
TASKS, RUN = "cloudtasks.googleapis.com", "run.googleapis.com"
Aligner = monitoring_v3.Aggregation.Aligner


class Watcher:
    """The client of metrics, and the traffic that they are about."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.channel = grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}")
        transport = MetricServiceGrpcTransport(channel=self.channel)
        self.client: Any = monitoring_v3.MetricServiceClient(transport=transport)
        self.tasks = place.client("grpc")

    def now(self) -> float:
        assert self.place.cloud is not None
        return self.place.cloud.now()

    def interval(self, seconds: float = 3600) -> Any:
        end = self.now()
        return monitoring_v3.TimeInterval(
            start_time=datetime.fromtimestamp(end - seconds, UTC), end_time=datetime.fromtimestamp(end, UTC)
        )

    def series(self, metric: str, more: str = "", *, seconds: float = 3600, **arguments: Any) -> list[Any]:
        text = f'metric.type = "{metric}" {more}'
        request = {"name": NAME, "filter": text, "interval": self.interval(seconds)} | arguments
        return list(self.client.list_time_series(request=request))

    def total(self, metric: str, more: str = "", *labels: str) -> dict[tuple[str, ...], float]:
        """All points of the hour, summed up by labels of the metric."""
        found: dict[tuple[str, ...], float] = {}
        for one in self.series(metric, more):
            name = tuple(one.metric.labels[label] for label in labels)
            for point in one.points:
                value = point.value.distribution_value.count or point.value.int64_value or point.value.double_value
                found[name] = found.get(name, 0) + value
        return found

    def queue(self, queue_id: str, **settings: Any) -> str:
        queue = {"name": f"{PARENT}/queues/{queue_id}", **settings}
        return str(self.tasks.create_queue(parent=PARENT, queue=queue).name)

    def send(self, queue: str, url: str, count: int) -> None:
        for _ in range(count):
            self.tasks.create_task(parent=queue, task={"http_request": {"url": url}})

    def write(self, metric: str, value: Any, *, at: float = 0.0, labels: dict[str, str] | None = None) -> None:
        self.client.create_time_series(name=NAME, time_series=[self.point(metric, value, at=at, labels=labels)])

    def point(self, metric: str, value: Any, *, at: float = 0.0, labels: dict[str, str] | None = None) -> Any:
        kind = {int: "int64_value", float: "double_value", str: "string_value", bool: "bool_value"}[type(value)]
        made = monitoring_v3.TimeSeries(metric={"type": metric, "labels": labels or {}}, resource={"type": "global"})
        end = datetime.fromtimestamp(self.now() + at, UTC)
        made.points.append(monitoring_v3.Point(interval={"end_time": end}, value={kind: value}))
        return made


def of(queue: str) -> str:
    return f'AND resource.labels.queue_id = "{queue.rpartition("/")[2]}"'


@contextmanager
def watching(place: Place) -> Iterator[Watcher]:
    """A watcher that goes when it is left."""
    made = Watcher(place)
    try:
        yield made
    finally:
        made.channel.close()
