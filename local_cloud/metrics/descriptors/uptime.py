"""The metrics of uptime checks. Source: https://cloud.google.com/monitoring/api/metrics_gcp (monitoring)."""

from local_cloud.metrics.descriptors.model import Metric

_CHECKED = ("uptime_url", "cloud_run_revision")
_LABELS = (
    ("check_id", "The ID of the uptime check."),
    ("checked_resource_id", "The ID of the checked resource."),
    ("checker_location", "The location of the uptime checker."),
)


def _of(path: str, value: str, unit: str, name: str, text: str) -> Metric:
    return Metric(f"monitoring.googleapis.com/uptime_check/{path}", "GAUGE", value, unit, name, text, _CHECKED, _LABELS)


METRICS = (
    _of("check_passed", "BOOL", "", "Check passed", "True if the check passed, false otherwise."),
    _of("request_latency", "DOUBLE", "ms", "Request latency", "The request latency of the checks over time."),
    _of("http_status", "INT64", "1", "HTTP status", "The HTTP response status code of the checks."),
    _of("content_mismatch", "BOOL", "", "Content mismatch", "True if the content did not match what was expected."),
)
