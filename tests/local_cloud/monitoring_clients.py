"""Google's own clients of what Cloud Monitoring has beside metrics, at a local cloud's owner's door."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.cloud import monitoring_dashboard_v1, monitoring_v3

from tests.local_cloud.cloud_places import Place

CLIENTS: dict[str, Any] = {
    "slos": monitoring_v3.ServiceMonitoringServiceClient,
    "snoozes": monitoring_v3.SnoozeServiceClient,
    "groups": monitoring_v3.GroupServiceClient,
    "uptime": monitoring_v3.UptimeCheckServiceClient,
    "policies": monitoring_v3.AlertPolicyServiceClient,
    "queries": monitoring_v3.QueryServiceClient,
    "dashboards": monitoring_dashboard_v1.DashboardsServiceClient,
}


@contextmanager
def client(place: Place, name: str) -> Iterator[Any]:
    """The official client over gRPC."""
    kind = CLIENTS[name]
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        yield kind(transport=kind.get_transport_class("grpc")(channel=channel))
