"""TailLogEntries: a session of live tailing (logs/tails.py) over the wire."""

from collections.abc import AsyncIterator

from local_cloud.apis.logging.api import API
from local_cloud.apis.logging.entries import to_message
from local_cloud.apis.logging.filters import query
from local_cloud.apis.logging.names import scopes
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, invalid
from local_cloud.logs.entries import Entries
from local_cloud.logs.tails import MAX_SESSIONS, Tail
from local_cloud.registry import Call

Response = message("google.logging.v2.TailLogEntriesResponse")
REASONS = enum("google.logging.v2.TailLogEntriesResponse.SuppressionInfo.Reason")
#: Seconds: the window where none is given, and the longest.
DEFAULT_WINDOW, MAX_WINDOW = 2.0, 60.0


@API.rpc("TailLogEntries")
async def tail_log_entries(cloud: Cloud, call: Call, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """Entries as they are written, until the caller hangs up."""
    first = await anext(aiter(requests))
    places = scopes(cloud, call.principal, list(first.resource_names))
    window = first.buffer_window.ToNanoseconds() / 1e9 if first.HasField("buffer_window") else DEFAULT_WINDOW
    if not 0 <= window <= MAX_WINDOW:
        raise invalid("buffer_window must be between 0 and 60 seconds.")
    entries = cloud.use(Entries)
    if entries.sessions >= MAX_SESSIONS:
        raise ApiError("RESOURCE_EXHAUSTED", f"There are {MAX_SESSIONS} tail sessions already, which is the limit.")
    tail = Tail(cloud.clock, query(first.filter), places, window)
    async for batch, left_out in tail.batches(entries):
        answer = Response(entries=[to_message(entry) for entry in batch])
        for reason, count in left_out.items():
            answer.suppression_info.add(reason=REASONS[reason], suppressed_count=count)
        yield answer
