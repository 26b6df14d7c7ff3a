"""WriteLogEntries: what is checked of each entry, and what is filled in.

Owns limits and defaults; where an entry goes is the router's affair (logs/routing.py).
Sources: google/logging/v2/logging.proto, https://cloud.google.com/logging/quotas.
"""

import base64
from typing import Any

from google.protobuf.json_format import Error as JsonError

from local_cloud.apis.logging.api import API
from local_cloud.apis.logging.names import LOG_NAME
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, invalid
from local_cloud.logs.compare import Entry
from local_cloud.logs.entries import Entries
from local_cloud.registry import Call
from local_cloud.server.json_codec import encode

LogEntry = message("google.logging.v2.LogEntry")

#: An entry may have this many bytes, a request so many.
MAX_ENTRY_BYTES, MAX_REQUEST_BYTES = 256 * 1024, 10_000_000
#: Labels of an entry, and bytes of their keys and values, of which longer ones are cut.
MAX_LABELS, MAX_KEY, MAX_VALUE = 64, 512, 64 * 1024


def _project_of_write(request: Message) -> str:
    names = [request.log_name, *(entry.log_name for entry in request.entries)]
    return next((name.partition("/logs/")[0] for name in names if name), "")


@API.rpc("WriteLogEntries", permission="logging.logEntries.create", resource=_project_of_write)
async def write_log_entries(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Write entries; the request's log name, resource and labels are the defaults of each.

    One wrong entry keeps all out, unless partial_success lets the others in.
    """
    if request.ByteSize() > MAX_REQUEST_BYTES:
        raise invalid(
            f"Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes. Write fewer entries in one request."
        )
    made: list[Entry] = []
    wrong: dict[int, ApiError] = {}
    for index in range(len(request.entries)):
        try:
            made.append(_checked(cloud, request, index))
        except ApiError as error:
            wrong[index] = error
    if wrong and not request.partial_success:
        raise next(iter(wrong.values()))
    if not request.dry_run:
        for entry in made:
            cloud.use(Entries).write(entry)
    if wrong:
        raise _partial(wrong, written=bool(made))
    return message("google.logging.v2.WriteLogEntriesResponse")()


def _partial(wrong: dict[int, ApiError], *, written: bool) -> ApiError:
    """The error of one entry, with those of all by index where some were written."""
    first = next(iter(wrong.values()))
    if not written:
        return first
    details = message("google.logging.v2.WriteLogEntriesPartialErrors")()
    for index, error in wrong.items():
        details.log_entry_errors[index].CopyFrom(error.to_status())
    return ApiError(first.code, first.text, details)


def _checked(cloud: Cloud, request: Message, index: int) -> Entry:
    given = request.entries[index]
    if given.ByteSize() > MAX_ENTRY_BYTES:
        raise invalid(f"Log entry with size {given.ByteSize()} exceeds maximum size of {MAX_ENTRY_BYTES}")
    entry = LogEntry()
    entry.CopyFrom(given)
    entry.log_name = cloud.canonical(given.log_name or request.log_name)
    if not LOG_NAME.fullmatch(entry.log_name):
        raise invalid(f'Invalid log name in entry {index}: "{entry.log_name}". It looks like projects/P/logs/LOG_ID.')
    if not entry.HasField("resource"):
        if not request.HasField("resource"):
            raise invalid(f"Log entry {index} has no resource: a monitored resource with its type is required.")
        entry.resource.CopyFrom(request.resource)
    if entry.resource.type == "":
        raise invalid(f"Unsupported resource type in entry {index}: ''.")
    if "project_id" not in entry.resource.labels:
        entry.resource.labels["project_id"] = cloud.project
    for key, value in request.labels.items():
        if key not in entry.labels:
            entry.labels[key] = value
    if len(entry.labels) > MAX_LABELS:
        raise invalid(f"Log entry {index} has {len(entry.labels)} labels: at most {MAX_LABELS} are allowed.")
    for key, value in list(entry.labels.items()):
        if len(key) > MAX_KEY or len(value) > MAX_VALUE:
            del entry.labels[key]
            entry.labels[key[:MAX_KEY]] = value[:MAX_VALUE]
    found = _json(entry)
    if not found.get("insertId"):
        found.pop("insertId", None)
    found.pop("receiveTimestamp", None)
    return found


def _json(entry: Message) -> Entry:
    """An entry as JSON; a proto payload of a type that nobody here knows stays as it came."""
    try:
        found: Entry = encode(entry)
    except (JsonError, TypeError, ValueError):
        payload: dict[str, Any] = {
            "@type": entry.proto_payload.type_url,
            "value": base64.b64encode(entry.proto_payload.value).decode(),
        }
        entry.ClearField("proto_payload")
        return {**encode(entry), "protoPayload": payload}
    return found
