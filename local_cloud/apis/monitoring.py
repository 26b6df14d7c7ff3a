"""Cloud Monitoring v3 and its dashboards: the API that the neighbours whose names begin with monitoring_ fill."""

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.registry import Api, Call

API = Api(
    "monitoring",
    services=[
        "google.monitoring.v3.NotificationChannelService",
        "google.monitoring.v3.AlertPolicyService",
        "google.monitoring.v3.MetricService",
        "google.monitoring.v3.ServiceMonitoringService",
        "google.monitoring.v3.UptimeCheckService",
        "google.monitoring.v3.SnoozeService",
        "google.monitoring.v3.GroupService",
        "google.monitoring.v3.QueryService",
        "google.monitoring.dashboard.v1.DashboardsService",
    ],
)


def stamp_record(cloud: Cloud, call: Call, record: Message) -> None:
    """Says in a mutation record who changed something, and when."""
    record.mutate_time.FromNanoseconds(int(cloud.now() * 1e6) * 1000)
    record.mutated_by = call.principal.email
