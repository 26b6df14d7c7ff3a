"""The metrics of Cloud Tasks. Source: https://cloud.google.com/monitoring/api/metrics_gcp (cloudtasks)."""

from local_cloud.metrics.descriptors.model import LAG, MILLISECONDS, Metric

_CODE = ("response_code", 'Canonical response code as a lower-case string (for example, "ok").')
_QUEUE = ("cloud_tasks_queue",)

METRICS = (
    Metric("cloudtasks.googleapis.com/api/request_count", "DELTA", "INT64", "1", "API requests",
           f"Count of Cloud Tasks API calls. {LAG}", _QUEUE,
           (("api_method", "The API method called (for example, CreateTask)."), _CODE), lag=120),
    Metric("cloudtasks.googleapis.com/queue/depth", "GAUGE", "INT64", "1", "Queue depth",
           f"The number of tasks in the queue. {LAG}", _QUEUE, stage="BETA", lag=120),
    Metric("cloudtasks.googleapis.com/queue/task_attempt_count", "DELTA", "INT64", "1", "Task attempt count",
           f"Count of task attempts broken down by response code. {LAG}", _QUEUE, (_CODE,), lag=120),
    Metric("cloudtasks.googleapis.com/queue/task_attempt_delays", "DELTA", "DISTRIBUTION", "ms",
           "Task attempt delays", f"Delay between each scheduled attempt time and actual attempt time. {LAG}",
           _QUEUE, buckets=MILLISECONDS, lag=120),
)  # fmt: skip
