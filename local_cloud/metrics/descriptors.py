"""The metrics and monitored resources that the local cloud knows of itself, as Google's lists have them.

Owns names, kinds, types, units, labels and bucket layouts. Sources: https://cloud.google.com/monitoring/api/metrics_gcp
and .../api/resources. The layouts of buckets are not documented: ours are wide enough for what is measured.
"""

from dataclasses import dataclass, field

from local_cloud.descriptors import Message, enum, message
from local_cloud.metrics.distribution import Buckets, exponential, linear

KINDS = enum("google.api.MetricDescriptor.MetricKind")
TYPES = enum("google.api.MetricDescriptor.ValueType")
LABEL_TYPES = enum("google.api.LabelDescriptor.ValueType")
STAGES = enum("google.api.LaunchStage")

#: Prefixes of metric types that users may make themselves.
CUSTOM = ("custom.googleapis.com/", "external.googleapis.com/", "workload.googleapis.com/")

MILLISECONDS = exponential(66, 1.4, 1.0)
PERCENT = linear(100, 0.01, 0.0)
CONCURRENCY = exponential(20, 2.0, 1.0)

_CODE = ("response_code", 'Canonical response code as a lower-case string (for example, "ok").')
_STATUS = ("response_code", "Response code of a request.", "INT64")
_CLASS = ("response_code_class", "Response code class of a request.")
_ROUTE = ("route", "Route name that forwards a request.")
_STATE = ("state", 'State of the instances: "active" or "idle".')
_RESULT = ("result", 'Result of it: "succeeded" or "failed".')
_LAG = "Sampled every 60 seconds."


@dataclass(frozen=True)
class Metric:
    """A metric of the platform's own."""

    type: str
    kind: str
    value: str
    unit: str
    name: str
    text: str
    resources: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...] = ()
    stage: str = "GA"
    buckets: Buckets | None = field(default=None, repr=False)


_QUEUE, _REVISION, _JOB = ("cloud_tasks_queue",), ("cloud_run_revision",), ("cloud_run_job",)
_BOTH = _REVISION + _JOB

METRICS = {
    metric.type: metric
    for metric in (
        Metric("cloudtasks.googleapis.com/api/request_count", "DELTA", "INT64", "1", "API requests",
               f"Count of Cloud Tasks API calls. {_LAG}", _QUEUE,
               (("api_method", "The API method called (for example, CreateTask)."), _CODE)),
        Metric("cloudtasks.googleapis.com/queue/depth", "GAUGE", "INT64", "1", "Queue depth",
               f"The number of tasks in the queue. {_LAG}", _QUEUE, stage="BETA"),
        Metric("cloudtasks.googleapis.com/queue/task_attempt_count", "DELTA", "INT64", "1", "Task attempt count",
               f"Count of task attempts broken down by response code. {_LAG}", _QUEUE, (_CODE,)),
        Metric("cloudtasks.googleapis.com/queue/task_attempt_delays", "DELTA", "DISTRIBUTION", "ms",
               "Task attempt delays", f"Delay between each scheduled attempt time and actual attempt time. {_LAG}",
               _QUEUE, buckets=MILLISECONDS),
        Metric("run.googleapis.com/request_count", "DELTA", "INT64", "1", "Request Count",
               "Number of requests reaching the revision. Excludes requests that are not reaching your container "
               f"instances (e.g. unauthorized requests or when maximum number of instances is reached). {_LAG}",
               _REVISION, (_STATUS, _CLASS, _ROUTE)),
        Metric("run.googleapis.com/request_latencies", "DELTA", "DISTRIBUTION", "ms", "Request Latency",
               f"Distribution of request latency in milliseconds reaching the revision. {_LAG}", _REVISION,
               (_STATUS, _CLASS, _ROUTE), buckets=MILLISECONDS),
        Metric("run.googleapis.com/container/instance_count", "GAUGE", "INT64", "1", "Instance Count",
               f"Number of container instances that exist, broken down by state. {_LAG}", _REVISION, (_STATE,)),
        Metric("run.googleapis.com/container/billable_instance_time", "DELTA", "DOUBLE", "s", "Billable Instance Time",
               f"Billable time aggregated across all container instances. {_LAG}", _BOTH),
        Metric("run.googleapis.com/container/cpu/utilizations", "DELTA", "DISTRIBUTION", "10^2.%",
               "Container CPU Utilization", "Container CPU utilization distribution across all container instances. "
               f"{_LAG}", _BOTH, buckets=PERCENT),
        Metric("run.googleapis.com/container/memory/utilizations", "DELTA", "DISTRIBUTION", "10^2.%",
               "Container Memory Utilization", "Container memory utilization distribution across all container "
               f"instances. {_LAG}", _BOTH, buckets=PERCENT),
        Metric("run.googleapis.com/container/startup_latencies", "DELTA", "DISTRIBUTION", "ms",
               "Container Startup Latency", "Distribution of time spent starting a new container instance in "
               f"milliseconds. {_LAG}", _BOTH, buckets=MILLISECONDS),
        Metric("run.googleapis.com/container/max_request_concurrencies", "DELTA", "DISTRIBUTION", "1",
               "Maximum Concurrent Requests", "Distribution of the maximum number of concurrent requests being served "
               f"by each container instance over a minute. {_LAG}", _REVISION, (_STATE,), buckets=CONCURRENCY),
        Metric("run.googleapis.com/job/completed_execution_count", "DELTA", "INT64", "1", "Completed Executions",
               f"Number of completed job executions and their result. {_LAG}", _JOB, (_RESULT,), stage="BETA"),
        Metric("run.googleapis.com/job/completed_task_attempt_count", "DELTA", "INT64", "1", "Completed Task Attempts",
               f"Number of completed job task attempts and their corresponding exit result. {_LAG}", _JOB,
               (_RESULT, ("attempt", "The attempt's number.", "INT64")), stage="BETA"),
        Metric("run.googleapis.com/job/running_executions", "GAUGE", "INT64", "1", "Running executions",
               f"Number of running job executions. {_LAG}", _JOB, stage="BETA"),
        Metric("run.googleapis.com/job/running_task_attempts", "GAUGE", "INT64", "1", "Running task attempts",
               f"Number of running job task attempts. {_LAG}", _JOB, stage="BETA"),
    )
}  # fmt: skip

_PROJECT = ("project_id", "The identifier of the GCP project associated with this resource.")
_LOCATION = ("location", "The region in which this resource lies.")

#: Monitored resources: display name, description, labels. The lower ones are those that custom metrics may use.
RESOURCES: dict[str, tuple[str, str, tuple[tuple[str, str], ...]]] = {
    "cloud_tasks_queue": ("Cloud Tasks Queue", "A Cloud Tasks queue.", (
        _PROJECT, ("queue_id", "The identifier of the queue."), _LOCATION,
        ("target_type", "The target type of the queue."))),
    "cloud_run_revision": ("Cloud Run Revision", "A revision in Cloud Run.", (
        _PROJECT, ("service_name", "The name of the service."), ("revision_name", "The name of the revision."),
        _LOCATION, ("configuration_name", "The name of the configuration which created the revision."))),
    "cloud_run_job": ("Cloud Run Job", "A job in Cloud Run.", (
        _PROJECT, ("job_name", "The name of the job."), _LOCATION)),
    "global": ("Global", "A resource type used to indicate that a log or metric is not associated with any specific "
               "resource.", (_PROJECT,)),
    "generic_task": ("Generic Task", "A generic task identifies an application process for which no more specific "
                     "resource is applicable.", (
        _PROJECT, _LOCATION, ("namespace", "A namespace identifier."), ("job", "The name of a grouping of related "
        "tasks."), ("task_id", "A unique identifier for the task."))),
    "generic_node": ("Generic Node", "A generic node identifies a machine or other computational resource for which "
                     "no more specific resource is applicable.", (
        _PROJECT, _LOCATION, ("namespace", "A namespace identifier."), ("node_id", "A unique identifier for the "
        "node."))),
    "gce_instance": ("VM Instance", "A virtual machine instance hosted in Compute Engine.", (
        _PROJECT, ("instance_id", "The numeric VM instance identifier."), ("zone", "The Compute Engine zone."))),
}  # fmt: skip


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
    made.metadata.ingest_delay.FromSeconds(120 if metric.resources == _QUEUE else 180)
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
