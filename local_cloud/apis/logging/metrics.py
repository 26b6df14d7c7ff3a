"""Log-based metrics as resources: what one may be, and what may change of it. Counting is logs/counting.py's.

Sources: google/logging/v2/logging_metrics.proto, https://cloud.google.com/logging/docs/logs-based-metrics. The words of
refusals are ours where no public issue has Google's.
"""

import re
from itertools import pairwise
from urllib.parse import unquote

from local_cloud.apis.logging.api import API
from local_cloud.apis.logging.filters import query
from local_cloud.apis.logging.names import bucket
from local_cloud.apis.logging.state import METRIC, Config, Metrics
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, already_exists, invalid, not_found
from local_cloud.logs.extract import ExtractorError, number_of, text_of
from local_cloud.metrics.catalogue import LOGGED
from local_cloud.metrics.descriptors import KINDS, LABEL_TYPES, TYPES
from local_cloud.metrics.distribution import Buckets
from local_cloud.metrics.wire import buckets_of
from local_cloud.plain import page
from local_cloud.registry import Call

_METRIC_ID = re.compile(r"[A-Za-z0-9_\-.,+!*',()%/][A-Za-z0-9_\-.,+!*',()%/]{0,99}")
_LABEL = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,99}")
#: Metrics of a project, labels of a metric, characters of a description, bounds of a distribution's buckets.
MAX_METRICS, MAX_LABELS, MAX_DESCRIPTION, MAX_BUCKETS = 500, 10, 8000, 200


@API.rpc("CreateLogMetric", permission="logging.logMetrics.create")
async def create_log_metric(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Make a log-based metric; what is logged from now on counts."""
    return _keep(cloud, request.parent, request.metric, request.metric.name, replace=False)


@API.rpc("UpdateLogMetric", permission="logging.logMetrics.update")
async def update_log_metric(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Replace a log-based metric, or make it."""
    parent, _, quoted = request.metric_name.partition("/metrics/")
    name = unquote(quoted)
    given = request.metric.name
    if given not in ("", name):
        raise invalid(f"The name of the metric, '{given}', is not that of the request, '{name}'.")
    return _keep(cloud, parent, request.metric, name, replace=True)


@API.rpc("GetLogMetric", permission="logging.logMetrics.get")
async def get_log_metric(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a log-based metric back."""
    return _get(cloud, request.metric_name)


@API.rpc("DeleteLogMetric", permission="logging.logMetrics.delete")
async def delete_log_metric(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a log-based metric with its data."""
    found, name = _get(cloud, request.metric_name), _quoted(request.metric_name)
    cloud.use(Config).counting.remove(name)
    cloud.use(Metrics).delete(name)
    for kept in list(cloud.meter.points.find(found.metric_descriptor.type)):
        cloud.meter.points.forget(kept)
    return message("google.protobuf.Empty")()


@API.rpc("ListLogMetrics", permission="logging.logMetrics.list")
async def list_log_metrics(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All log-based metrics."""
    found = cloud.use(Metrics).below(request.parent)
    taken, token = page(found, request.page_size, request.page_token, lambda m: str(m.name))
    return message("google.logging.v2.ListLogMetricsResponse")(metrics=taken, next_page_token=token)


def _get(cloud: Cloud, name: str) -> Message:
    found = cloud.use(Metrics).kept.get(_quoted(name))
    if found is None:
        raise not_found(f"Metric {unquote(name.partition('/metrics/')[2])} does not exist")
    return found


def _quoted(name: str) -> str:
    """A metric's resource name, in which slashes of its id are %2F."""
    parent, _, metric = name.partition("/metrics/")
    return f"{parent}/metrics/{unquote(metric).replace('/', '%2F')}"


def _keep(cloud: Cloud, parent: str, given: Message, name: str, *, replace: bool) -> Message:
    metrics, full = cloud.use(Metrics), _quoted(f"{parent}/metrics/{name}")
    if not _METRIC_ID.fullmatch(name) or name.startswith("/"):
        raise invalid(
            f"Invalid metric name '{name}': at most 100 letters, digits and _-.,+!*',()%/ are allowed, and no slash "
            "at the beginning."
        )
    known = metrics.kept.get(full)
    if known is not None and not replace:
        raise already_exists(f"Metric {name} already exists")
    made = _completed(cloud, parent, given, name)
    _check(cloud, made)
    if known is not None:
        _check_change(known.metric_descriptor, made.metric_descriptor)
    elif len(metrics.below(f"{parent}/metrics")) >= MAX_METRICS:
        raise ApiError("RESOURCE_EXHAUSTED", f"The project has {MAX_METRICS} log-based metrics, which is the limit.")
    now = int(cloud.now() * 1e6) * 1000
    made.create_time.FromNanoseconds(known.create_time.ToNanoseconds() if known is not None else now)
    made.update_time.FromNanoseconds(now)
    metrics.kept[full] = made
    cloud.use(Config).counting.put(full, made)
    return made


def _completed(cloud: Cloud, parent: str, given: Message, name: str) -> Message:
    """A metric with what Google fills in of its descriptor."""
    made = message(METRIC)()
    made.CopyFrom(given)
    made.name = name
    if made.bucket_name:
        made.bucket_name = cloud.canonical(made.bucket_name)
    descriptor = made.metric_descriptor
    descriptor.name = f"{parent}/metricDescriptors/{LOGGED}{name}"
    descriptor.type = f"{LOGGED}{name}"
    descriptor.description = made.description
    descriptor.unit = descriptor.unit or "1"
    descriptor.metric_kind = descriptor.metric_kind or KINDS["DELTA"]
    descriptor.value_type = descriptor.value_type or TYPES["INT64"]
    return made


def _check(cloud: Cloud, metric: Message) -> None:
    if not metric.filter.strip():
        raise invalid("The metric's filter must be specified.")
    query(metric.filter)
    if len(metric.description) > MAX_DESCRIPTION:
        raise invalid(f"The metric's description has more than {MAX_DESCRIPTION} characters.")
    if metric.bucket_name:
        bucket(cloud, metric.bucket_name)
    descriptor = metric.metric_descriptor
    if descriptor.metric_kind != KINDS["DELTA"]:
        raise invalid("The metric kind of a log-based metric must be DELTA.")
    if descriptor.value_type not in (TYPES["INT64"], TYPES["DISTRIBUTION"]):
        raise invalid("The value type of a log-based metric must be INT64 or DISTRIBUTION.")
    _check_labels(metric)
    spread = descriptor.value_type == TYPES["DISTRIBUTION"]
    if spread and not metric.value_extractor:
        raise invalid("A metric of value type DISTRIBUTION must have a value extractor.")
    if not spread and metric.value_extractor:
        raise invalid("A value extractor is only for metrics of value type DISTRIBUTION.")
    if metric.HasField("bucket_options") and not spread:
        raise invalid("Bucket options are only for metrics of value type DISTRIBUTION.")
    if metric.HasField("bucket_options") and not _possible(buckets_of(metric.bucket_options)):
        raise invalid("The metric's bucket options are not valid.")
    try:
        if spread:
            number_of(metric.value_extractor)
        for expression in metric.label_extractors.values():
            text_of(expression)
    except ExtractorError as error:
        raise invalid(f"Invalid extractor expression: {error}") from None


def _check_labels(metric: Message) -> None:
    labels = [label.key for label in metric.metric_descriptor.labels]
    if len(labels) > MAX_LABELS:
        raise invalid(f"A log-based metric may have at most {MAX_LABELS} labels.")
    for label in labels:
        if not _LABEL.fullmatch(label) or label in ("project_id", "resource_id"):
            raise invalid(f"Invalid label key '{label}': a letter, then letters, digits and underscores, at most 100.")
    if len(set(labels)) < len(labels):
        raise invalid("A label is described twice.")
    if wrong := sorted(set(labels) ^ set(metric.label_extractors)):
        raise invalid(
            f"Each label of the metric descriptor must have an extractor, and the reverse: {', '.join(wrong)}."
        )
    if any(label.value_type not in LABEL_TYPES.values() for label in metric.metric_descriptor.labels):
        raise invalid("The value type of a label must be STRING, BOOL or INT64.")


def _check_change(before: Message, after: Message) -> None:
    if (before.metric_kind, before.value_type) != (after.metric_kind, after.value_type):
        raise invalid(
            "The metric kind and the value type of a log-based metric cannot be changed: delete the metric and make it "
            "anew, with which its data is gone."
        )
    types = {label.key: label.value_type for label in before.labels}
    for label in after.labels:
        if types.get(label.key, label.value_type) != label.value_type:
            raise invalid(f"The value type of the label '{label.key}' cannot be changed.")


def _possible(buckets: Buckets) -> bool:
    kind, numbers = buckets
    if kind == "explicit":
        return 0 < len(numbers) <= MAX_BUCKETS and all(a < b for a, b in pairwise(numbers))
    count, first, second = numbers
    if not 0 < count <= MAX_BUCKETS:
        return False
    if kind == "linear":
        return 0 < first < float("inf") and abs(second) < float("inf")
    return 1 < first < 10_000 and 0 < second < float("inf")
