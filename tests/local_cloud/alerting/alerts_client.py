"""Google's clients of alert policies and channels at a local cloud, and short ways to write conditions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.alert_policy_service.transports import AlertPolicyServiceGrpcTransport
from google.cloud.monitoring_v3.services.notification_channel_service.transports import (
    NotificationChannelServiceGrpcTransport,
)

from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import call

NAME = f"projects/{PROJECT}"
DEPTH = "cloudtasks.googleapis.com/queue/depth"


class Alerts:
    """The clients, and the incidents of what they made."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.channel = grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}")
        self.policies: Any = monitoring_v3.AlertPolicyServiceClient(
            transport=AlertPolicyServiceGrpcTransport(channel=self.channel)
        )
        self.channels: Any = monitoring_v3.NotificationChannelServiceClient(
            transport=NotificationChannelServiceGrpcTransport(channel=self.channel)
        )

    def policy(self, name: str, *conditions: Mapping[str, Any], **more: Any) -> Any:
        """A policy that is made."""
        body = {"display_name": name, "combiner": "OR", "conditions": list(conditions), **more}
        return self.policies.create_alert_policy(name=NAME, alert_policy=body)

    def hook(self, kind: str, **labels: str) -> str:
        """A channel that is made; its name."""
        body = {"type_": kind, "display_name": kind, "labels": labels}
        return str(self.channels.create_notification_channel(name=NAME, notification_channel=body).name)

    def incidents(self, policy: str = "", state: str = "") -> list[dict[str, Any]]:
        """The incidents of a policy, by its display name; the newest last."""
        found = call(self.place, "GET", f"/_sluice/incidents?state={state}")["incidents"]
        return [one for one in found if policy in ("", one["policy"])]

    def firing(self) -> set[str]:
        """The policies with open incidents."""
        return {one["policy"] for one in self.incidents(state="open")}

    def fired(self) -> set[str]:
        """The policies that have had incidents."""
        return {one["policy"] for one in self.incidents()}


@contextmanager
def alerts_at(place: Place) -> Iterator[Alerts]:
    """Clients that are closed again."""
    made = Alerts(place)
    try:
        yield made
    finally:
        made.channel.close()


def series(metric: str, resource: str, **labels: str) -> str:
    """A filter; labels of the resource, or of the metric where their name begins with metric_."""
    parts = [f'metric.type = "{metric}"', f'resource.type = "{resource}"']
    for name, value in labels.items():
        place = f"metric.labels.{name[7:]}" if name.startswith("metric_") else f"resource.labels.{name}"
        parts.append(f"{place} = {value}" if "(" in value else f'{place} = "{value}"')
    return " AND ".join(parts)


def each(aligner: str, reducer: str = "", period: int = 60, by: tuple[str, ...] = ()) -> dict[str, Any]:
    """One aggregation."""
    made: dict[str, Any] = {"alignment_period": {"seconds": period}, "per_series_aligner": f"ALIGN_{aligner}"}
    return made | ({"cross_series_reducer": f"REDUCE_{reducer}", "group_by_fields": list(by)} if reducer else {})


def above(text: str, value: float, *aggregations: Mapping[str, Any], seconds: int = 0, **more: Any) -> dict[str, Any]:
    """A condition: values of a filter above a threshold for some seconds."""
    inner = {
        "filter": text,
        "comparison": "COMPARISON_GT",
        "threshold_value": value,
        "duration": {"seconds": seconds},
        "aggregations": list(aggregations),
    }
    return {"display_name": f"above {value:g}", "condition_threshold": inner | more}


def depth_of(queue: str, value: float, seconds: int = 0, **more: Any) -> dict[str, Any]:
    """A condition on the depth of a queue."""
    text = series(DEPTH, "cloud_tasks_queue", queue_id=queue)
    return above(text, value, each("MAX"), seconds=seconds, **more)


def absent(text: str, seconds: int, *aggregations: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A condition: a series that reports no longer."""
    inner = {"filter": text, "duration": {"seconds": seconds}, "aggregations": list(aggregations)}
    return {"display_name": f"absent for {seconds} s", "condition_absent": inner | more}


def logged(text: str, **extractors: str) -> dict[str, Any]:
    """A condition on log entries."""
    return {
        "display_name": "a log line",
        "condition_matched_log": {"filter": text, "label_extractors": extractors},
    }


def limited(seconds: int = 300, **more: Any) -> dict[str, Any]:
    """The strategy that a policy on logs needs."""
    return {"notification_rate_limit": {"period": {"seconds": seconds}}, **more}
