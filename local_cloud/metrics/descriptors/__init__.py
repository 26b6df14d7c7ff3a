"""The metrics and monitored resources that the local cloud knows of itself, as Google's lists have them.

Owns names, kinds, types, units and labels: a file a product, put together here. Source:
https://cloud.google.com/monitoring/api/metrics_gcp.
"""

from local_cloud.descriptors import Message, enum, message
from local_cloud.metrics.descriptors import cloud_tasks, logging, pubsub, run, uptime
from local_cloud.metrics.descriptors.model import CONCURRENCY, MILLISECONDS, PERCENT, Metric
from local_cloud.metrics.descriptors.resources import RESOURCES

__all__ = ["CONCURRENCY", "CUSTOM", "KINDS", "LABEL_TYPES", "METRICS", "MILLISECONDS", "PERCENT", "RESOURCES", "STAGES",
           "TYPES", "Metric", "metric_message", "resource_message"]  # fmt: skip

KINDS = enum("google.api.MetricDescriptor.MetricKind")
TYPES = enum("google.api.MetricDescriptor.ValueType")
LABEL_TYPES = enum("google.api.LabelDescriptor.ValueType")
STAGES = enum("google.api.LaunchStage")

#: Prefixes of metric types that users may make themselves.
CUSTOM = ("custom.googleapis.com/", "external.googleapis.com/", "workload.googleapis.com/")

METRICS = {
    metric.type: metric
    for metric in (*cloud_tasks.METRICS, *run.METRICS, *logging.METRICS, *pubsub.METRICS, *uptime.METRICS)
}


def metric_message(project: str, metric: Metric) -> Message:
    """A metric of the platform as google.api.MetricDescriptor."""
    made = message("google.api.MetricDescriptor")(
        name=f"projects/{project}/metricDescriptors/{metric.type}", type=metric.type, unit=metric.unit,
        metric_kind=KINDS[metric.kind], value_type=TYPES[metric.value], description=metric.text,
        display_name=metric.name, launch_stage=STAGES[metric.stage], monitored_resource_types=metric.resources,
    )  # fmt: skip
    for key, text, *rest in metric.labels:
        made.labels.add(key=key, description=text, value_type=LABEL_TYPES[rest[0] if rest else "STRING"])
    made.metadata.launch_stage = STAGES[metric.stage]
    made.metadata.sample_period.FromSeconds(60)
    made.metadata.ingest_delay.FromSeconds(metric.lag)
    return made


def resource_message(project: str, kind: str) -> Message:
    """A monitored resource as google.api.MonitoredResourceDescriptor."""
    title, text, labels = RESOURCES[kind]
    made = message("google.api.MonitoredResourceDescriptor")(
        name=f"projects/{project}/monitoredResourceDescriptors/{kind}", type=kind, display_name=title, description=text,
        launch_stage=STAGES["GA"],
    )  # fmt: skip
    for key, about in labels:
        made.labels.add(key=key, description=about)
    return made
