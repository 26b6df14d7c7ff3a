"""The metrics of Cloud Run. Source: https://cloud.google.com/monitoring/api/metrics_gcp (run)."""

from local_cloud.metrics.descriptors.model import CONCURRENCY, LAG, MILLISECONDS, PERCENT, Metric

_STATUS = ("response_code", "Response code of a request.", "INT64")
_CLASS = ("response_code_class", "Response code class of a request.")
_ROUTE = ("route", "Route name that forwards a request.")
_STATE = ("state", 'State of the instances: "active" or "idle".')
_RESULT = ("result", 'Result of it: "succeeded" or "failed".')
_REVISION, _JOB = ("cloud_run_revision",), ("cloud_run_job",)
_BOTH = _REVISION + _JOB

METRICS = (
    Metric("run.googleapis.com/request_count", "DELTA", "INT64", "1", "Request Count",
           "Number of requests reaching the revision. Excludes requests that are not reaching your container "
           f"instances (e.g. unauthorized requests or when maximum number of instances is reached). {LAG}",
           _REVISION, (_STATUS, _CLASS, _ROUTE)),
    Metric("run.googleapis.com/request_latencies", "DELTA", "DISTRIBUTION", "ms", "Request Latency",
           f"Distribution of request latency in milliseconds reaching the revision. {LAG}", _REVISION,
           (_STATUS, _CLASS, _ROUTE), buckets=MILLISECONDS),
    Metric("run.googleapis.com/container/instance_count", "GAUGE", "INT64", "1", "Instance Count",
           f"Number of container instances that exist, broken down by state. {LAG}", _REVISION, (_STATE,)),
    Metric("run.googleapis.com/container/billable_instance_time", "DELTA", "DOUBLE", "s", "Billable Instance Time",
           f"Billable time aggregated across all container instances. {LAG}", _BOTH),
    Metric("run.googleapis.com/container/cpu/utilizations", "DELTA", "DISTRIBUTION", "10^2.%",
           "Container CPU Utilization", "Container CPU utilization distribution across all container instances. "
           f"{LAG}", _BOTH, buckets=PERCENT),
    Metric("run.googleapis.com/container/memory/utilizations", "DELTA", "DISTRIBUTION", "10^2.%",
           "Container Memory Utilization", "Container memory utilization distribution across all container "
           f"instances. {LAG}", _BOTH, buckets=PERCENT),
    Metric("run.googleapis.com/container/startup_latencies", "DELTA", "DISTRIBUTION", "ms",
           "Container Startup Latency", "Distribution of time spent starting a new container instance in "
           f"milliseconds. {LAG}", _BOTH, buckets=MILLISECONDS),
    Metric("run.googleapis.com/container/max_request_concurrencies", "DELTA", "DISTRIBUTION", "1",
           "Maximum Concurrent Requests", "Distribution of the maximum number of concurrent requests being served "
           f"by each container instance over a minute. {LAG}", _REVISION, (_STATE,), buckets=CONCURRENCY),
    Metric("run.googleapis.com/job/completed_execution_count", "DELTA", "INT64", "1", "Completed Executions",
           f"Number of completed job executions and their result. {LAG}", _JOB, (_RESULT,), stage="BETA"),
    Metric("run.googleapis.com/job/completed_task_attempt_count", "DELTA", "INT64", "1", "Completed Task Attempts",
           f"Number of completed job task attempts and their corresponding exit result. {LAG}", _JOB,
           (_RESULT, ("attempt", "The attempt's number.", "INT64")), stage="BETA"),
    Metric("run.googleapis.com/job/running_executions", "GAUGE", "INT64", "1", "Running executions",
           f"Number of running job executions. {LAG}", _JOB, stage="BETA"),
    Metric("run.googleapis.com/job/running_task_attempts", "GAUGE", "INT64", "1", "Running task attempts",
           f"Number of running job task attempts. {LAG}", _JOB, stage="BETA"),
)  # fmt: skip
