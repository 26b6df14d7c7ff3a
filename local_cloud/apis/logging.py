"""Cloud Logging v2: entries written, listed and tailed, logs, and log-based metrics (kept, not computed).

Entries live in logs/entries.py; this module owns the API around them, and takes the cloud's own events in as entries of
the log `local-cloud`. Sources: google/logging/v2/*.proto, https://cloud.google.com/logging/docs/reference/v2/rest.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import invalid
from local_cloud.logs.compare import Entry
from local_cloud.logs.entries import Entries, PageTokenError
from local_cloud.logs.query import Query, QueryError, parse
from local_cloud.plain import Plain, page
from local_cloud.registry import Api, Call
from local_cloud.server.json_codec import decode_into, encode

API = Api("logging", services=["google.logging.v2.LoggingServiceV2", "google.logging.v2.MetricsServiceV2"])

METRIC = "google.logging.v2.LogMetric"
LogEntry = message("google.logging.v2.LogEntry")
Empty = message("google.protobuf.Empty")

#: An entry may have this many bytes (quota page of Logging).
MAX_ENTRY_BYTES = 256 * 1024
MAX_PAGE = 1000
_LOG_NAME = re.compile(r"(projects|folders|organizations|billingAccounts)/[^/]+/logs/[A-Za-z0-9/_.\-%]{1,511}")
_METRIC_ID = re.compile(r"[A-Za-z0-9_\-.,+!*',()%/]{1,100}")


class Metrics(Plain):
    """The log-based metrics of the project."""


@API.on_start
async def start(cloud: Cloud) -> None:
    """Open the kept entries, and listen to the cloud's own events."""
    entries = Entries(cloud.settings.state / "logs", cloud.project, cloud.now)
    cloud.provide(entries)
    cloud.provide(Metrics(cloud, METRIC, noun="Metric"))
    cloud.log.sinks.append(lambda event: _own_event(entries, event))


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """Write what is left."""
    cloud.log.sinks.clear()
    cloud.use(Entries).close()


def _own_event(entries: Entries, event: dict[str, Any]) -> None:
    if event["severity"] != "DEBUG":
        payload = {name: value for name, value in event.items() if name not in ("time", "severity")}
        entries.write({"logName": "local-cloud", "severity": event["severity"], "jsonPayload": payload})


def _project_of_write(request: Message) -> str:
    names = [request.log_name, *(entry.log_name for entry in request.entries)]
    return next((name.partition("/logs/")[0] for name in names if name), "")


@API.rpc("WriteLogEntries", permission="logging.logEntries.create", resource=_project_of_write)
async def write_log_entries(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Write entries; the request's log name, resource and labels are the defaults of each."""
    made = [_checked(cloud, request, index) for index in range(len(request.entries))]
    if not request.dry_run:
        for entry in made:
            cloud.use(Entries).write(entry)
    return message("google.logging.v2.WriteLogEntriesResponse")()


def _checked(cloud: Cloud, request: Message, index: int) -> Entry:
    given = request.entries[index]
    if given.ByteSize() > MAX_ENTRY_BYTES:
        raise invalid(f"Log entry with size {given.ByteSize()} exceeds maximum size of {MAX_ENTRY_BYTES}")
    entry = LogEntry()
    entry.CopyFrom(given)
    entry.log_name = cloud.canonical(given.log_name or request.log_name)
    if not _LOG_NAME.fullmatch(entry.log_name):
        raise invalid(f'Invalid log name in entry {index}: "{entry.log_name}". It looks like projects/P/logs/LOG_ID.')
    if not entry.HasField("resource"):
        if not request.HasField("resource"):
            raise invalid(f"Log entry {index} has no resource: a monitored resource with its type is required.")
        entry.resource.CopyFrom(request.resource)
    if entry.resource.type == "":
        raise invalid(f"Unsupported resource type in entry {index}: ''.")
    for key, value in request.labels.items():
        if key not in entry.labels:
            entry.labels[key] = value
    found: Entry = encode(entry)
    if not found.get("insertId"):
        found.pop("insertId", None)
    found.pop("receiveTimestamp", None)
    return found


def _query(text: str) -> Query:
    try:
        return parse(text)
    except QueryError as error:
        raise invalid(f"Unparseable filter: {error}") from None


def _message(entry: Entry) -> Message:
    made = LogEntry()
    decode_into(made, entry, "entry", [])  # what a line of an instance has wrong is left out
    return made


def _project_of_list(request: Message) -> str:
    name = request.resource_names[0] if request.resource_names else ""
    return "/".join(name.split("/")[:2])


@API.rpc("ListLogEntries", permission="logging.logEntries.list", resource=_project_of_list)
async def list_log_entries(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Entries that match, oldest first unless asked otherwise."""
    for name in request.resource_names:
        cloud.canonical("/".join(name.split("/")[:2]))
    if not request.resource_names:
        raise invalid("The request must name at least one resource in resource_names.")
    if request.page_size < 0 or request.page_size > MAX_PAGE:
        raise invalid(f"page_size must be between 0 and {MAX_PAGE}.")
    if request.order_by not in ("", "timestamp asc", "timestamp desc", "timestamp"):
        raise invalid(f'Unsupported order_by "{request.order_by}": "timestamp asc" and "timestamp desc" are known.')
    try:
        found, token = await cloud.use(Entries).find(
            _query(request.filter),
            page_size=request.page_size or 50,
            page_token=request.page_token,
            descending=request.order_by == "timestamp desc",
        )
    except PageTokenError:
        raise invalid("page_token is invalid.") from None
    response = message("google.logging.v2.ListLogEntriesResponse")(next_page_token=token)
    response.entries.extend(_message(entry) for entry in found)
    return response


@API.rpc("TailLogEntries")
async def tail_log_entries(cloud: Cloud, call: Call, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """Entries as they are written, until the caller hangs up."""
    first = await anext(aiter(requests))
    cloud.iam.require(call.principal, "logging.logEntries.list", f"projects/{cloud.project}")
    query = _query(first.filter)
    async for entry in cloud.use(Entries).tail():
        if query.matches(entry):
            yield message("google.logging.v2.TailLogEntriesResponse")(entries=[_message(entry)])


@API.rpc("ListLogs", permission="logging.logs.list")
async def list_logs(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Names of logs that have entries."""
    names = [name for name in cloud.use(Entries).names if name.startswith(f"{request.parent}/")]
    taken, token = page(names, request.page_size, request.page_token, str, default=50)
    return message("google.logging.v2.ListLogsResponse")(log_names=taken, next_page_token=token)


@API.rpc("DeleteLog", permission="logging.logs.delete")
async def delete_log(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a log's entries."""
    cloud.use(Entries).delete(request.log_name)
    return Empty()


@API.rpc("CreateLogMetric", permission="logging.logMetrics.create")
async def create_log_metric(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Keep a log-based metric."""
    return _keep_metric(cloud, request.parent, request.metric, replace=False)


@API.rpc("UpdateLogMetric", permission="logging.logMetrics.update")
async def update_log_metric(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Replace a log-based metric, or make it."""
    parent, _, name = request.metric_name.partition("/metrics/")
    request.metric.name = request.metric.name or name
    return _keep_metric(cloud, parent, request.metric, replace=True)


def _keep_metric(cloud: Cloud, parent: str, metric: Message, *, replace: bool) -> Message:
    if not _METRIC_ID.fullmatch(metric.name):
        raise invalid(
            f"Invalid metric name '{metric.name}': at most 100 letters, digits and _-.,+!*',()%/ are allowed."
        )
    if not metric.filter:
        raise invalid("A log-based metric needs a filter.")
    _query(metric.filter)
    kind = message("google.api.MetricDescriptor").ValueType
    if metric.metric_descriptor.value_type == kind.Value("DISTRIBUTION") and not metric.value_extractor:
        raise invalid("A metric of value type DISTRIBUTION must have a value extractor.")
    metrics, full = cloud.use(Metrics), f"{parent}/metrics/{metric.name}"
    now = cloud.now()
    known = metrics.kept.get(full)
    if known is not None and not replace:
        return metrics.create(full, metric)  # says that it exists
    made = message(METRIC)()
    made.CopyFrom(metric)
    made.metric_descriptor.name = f"{parent}/metricDescriptors/logging.googleapis.com/user/{metric.name}"
    made.metric_descriptor.type = f"logging.googleapis.com/user/{metric.name}"
    made.create_time.FromNanoseconds(known.create_time.ToNanoseconds() if known is not None else int(now * 1e9))
    made.update_time.FromNanoseconds(int(now * 1e9))
    metrics.kept[full] = made
    return made


@API.rpc("GetLogMetric", permission="logging.logMetrics.get")
async def get_log_metric(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a log-based metric back."""
    return cloud.use(Metrics).get(request.metric_name)


@API.rpc("DeleteLogMetric", permission="logging.logMetrics.delete")
async def delete_log_metric(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a log-based metric."""
    cloud.use(Metrics).delete(request.metric_name)
    return Empty()


@API.rpc("ListLogMetrics", permission="logging.logMetrics.list")
async def list_log_metrics(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All log-based metrics."""
    found = cloud.use(Metrics).below(request.parent)
    taken, token = page(found, request.page_size, request.page_token, lambda m: str(m.name))
    return message("google.logging.v2.ListLogMetricsResponse")(metrics=taken, next_page_token=token)
