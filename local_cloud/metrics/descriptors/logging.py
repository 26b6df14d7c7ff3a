"""The metrics of Cloud Logging itself. Source: https://cloud.google.com/monitoring/api/metrics_gcp (logging)."""

from local_cloud.metrics.descriptors.model import LAG, Metric

_LABELS = (("log", "Name of the log."), ("severity", "Severity of the log entries."))
_SINK = ("logging_sink",)
_PREFIX = "logging.googleapis.com"

METRICS = (
    # Of whatever resource the entries are of.
    Metric(f"{_PREFIX}/log_entry_count", "DELTA", "INT64", "1", "Log entries",
           f"Number of log entries. {LAG}", (), _LABELS),
    Metric(f"{_PREFIX}/byte_count", "DELTA", "INT64", "By", "Log bytes",
           f"Bytes in all log entries. {LAG}", (), _LABELS),
    Metric(f"{_PREFIX}/exports/log_entry_count", "DELTA", "INT64", "1", "Exported log entries",
           f"Number of log entries that were exported. {LAG}", _SINK),
    Metric(f"{_PREFIX}/exports/byte_count", "DELTA", "INT64", "By", "Exported log bytes",
           f"Number of bytes in log entries that were exported. {LAG}", _SINK),
    Metric(f"{_PREFIX}/exports/error_count", "DELTA", "INT64", "1", "Exported log entries error count",
           f"Number of log entries that failed to be exported. {LAG}", _SINK),
)  # fmt: skip
