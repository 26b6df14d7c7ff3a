"""Entries listed, logs listed and deleted, and the monitored resources that entries may be of.

Source: google/logging/v2/logging.proto.
"""

from local_cloud.apis.logging.api import API
from local_cloud.apis.logging.filters import query
from local_cloud.apis.logging.names import scopes
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import invalid, not_found
from local_cloud.logs.compare import Entry
from local_cloud.logs.entries import Entries, PageTokenError
from local_cloud.metrics.descriptors import RESOURCES, resource_message
from local_cloud.plain import page
from local_cloud.registry import Call
from local_cloud.server.json_codec import decode_into

MAX_PAGE = 1000


def to_message(entry: Entry) -> Message:
    """A kept entry as its proto."""
    made = message("google.logging.v2.LogEntry")()
    decode_into(made, entry, "entry", [])  # what a line of an instance has wrong is left out
    return made


@API.rpc("ListLogEntries")
async def list_log_entries(cloud: Cloud, call: Call, request: Message) -> Message:
    """Entries that match, oldest first unless asked otherwise."""
    places = scopes(cloud, call.principal, list(request.resource_names))
    if request.page_size < 0 or request.page_size > MAX_PAGE:
        raise invalid(f"page_size must be between 0 and {MAX_PAGE}.")
    if request.order_by not in ("", "timestamp asc", "timestamp desc", "timestamp"):
        raise invalid(f'Unsupported order_by "{request.order_by}": "timestamp asc" and "timestamp desc" are known.')
    try:
        found, token = await cloud.use(Entries).find(
            query(request.filter),
            page_size=request.page_size or 50,
            page_token=request.page_token,
            descending=request.order_by == "timestamp desc",
            scopes=places,
        )
    except PageTokenError:
        raise invalid("page_token is invalid.") from None
    response = message("google.logging.v2.ListLogEntriesResponse")(next_page_token=token)
    response.entries.extend(to_message(entry) for entry in found)
    return response


@API.rpc("ListLogs", permission="logging.logs.list")
async def list_logs(cloud: Cloud, call: Call, request: Message) -> Message:
    """Names of logs that have entries, in the project or in the views named."""
    places = scopes(cloud, call.principal, list(request.resource_names)) if request.resource_names else None
    entries = cloud.use(Entries)
    names = entries.names(places) if places else entries.names()
    found = [name for name in names if places or name.startswith(f"{request.parent}/")]
    taken, token = page(found, request.page_size, request.page_token, str, default=50)
    return message("google.logging.v2.ListLogsResponse")(log_names=taken, next_page_token=token)


@API.rpc("DeleteLog", permission="logging.logs.delete")
async def delete_log(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a log's entries in the bucket _Default; it is there again with the next one."""
    if not cloud.use(Entries).delete(request.log_name):
        raise not_found(f"Log {request.log_name} does not exist")
    return message("google.protobuf.Empty")()


@API.rpc("ListMonitoredResourceDescriptors")
async def list_resource_descriptors(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The monitored resources that are known; their names have no project here."""
    made = [resource_message(cloud.project, kind) for kind in RESOURCES]
    for descriptor in made:
        descriptor.name = ""
    taken, token = page(made, request.page_size, request.page_token, lambda one: str(one.type))
    response = message("google.logging.v2.ListMonitoredResourceDescriptorsResponse")
    return response(resource_descriptors=taken, next_page_token=token)
