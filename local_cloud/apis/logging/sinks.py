"""Sinks: where entries go, who writes them there, and what is left out. Routing is logs/routing.py's.

Log buckets, Pub/Sub topics and Storage buckets are written; other destinations are kept, with a warning in the cloud's
own log. Sources: google/logging/v2/logging_config.proto, https://cloud.google.com/logging/docs/export/configure_export_v2.
"""

import re

from local_cloud.apis.logging.api import API
from local_cloud.apis.logging.filters import query
from local_cloud.apis.logging.state import SINK, Config
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, already_exists, invalid, not_found
from local_cloud.plain import merge, page
from local_cloud.registry import Call

_SINK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")
_EXCLUSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")
_DESTINATIONS = {
    "storage.googleapis.com/": re.compile(r"[a-z0-9][a-z0-9._\-]{1,220}[a-z0-9]"),
    "bigquery.googleapis.com/": re.compile(r"projects/[^/]+/datasets/\w+"),
    "pubsub.googleapis.com/": re.compile(r"projects/[^/]+/topics/[^/]+"),
    "logging.googleapis.com/": re.compile(r"projects/[^/]+(/locations/[^/]+/buckets/[^/]+)?"),
}
#: Sinks of a project, and exclusions of a sink.
MAX_SINKS, MAX_EXCLUSIONS = 200, 50
#: What an empty mask means, for those who wrote to this API before there were masks.
_OLD_MASK = ("destination", "filter", "include_children")
SHARED_WRITER = "serviceAccount:cloud-logs@system.gserviceaccount.com"


@API.rpc("GetSink", permission="logging.sinks.get")
async def get_sink(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a sink."""
    return sink(cloud, request.sink_name)


@API.rpc("ListSinks", permission="logging.sinks.list")
async def list_sinks(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All sinks, those that every project has among them."""
    found = [one for name, one in cloud.use(Config).sinks.items() if name.startswith(f"{request.parent}/sinks/")]
    taken, token = page(found, request.page_size, request.page_token, lambda one: str(one.name))
    return message("google.logging.v2.ListSinksResponse")(sinks=taken, next_page_token=token)


@API.rpc("CreateSink", permission="logging.sinks.create")
async def create_sink(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Make a sink; entries that come from now on go its way."""
    sinks, name = cloud.use(Config).sinks, f"{request.parent}/sinks/{request.sink.name}"
    if not _SINK_ID.fullmatch(request.sink.name):
        raise invalid(
            f"Invalid sink name '{request.sink.name}': at most 100 letters, digits, underscores, hyphens and periods, "
            "with a letter or digit first."
        )
    if name in sinks:
        raise already_exists(f"Sink {request.sink.name} already exists")
    if len(sinks) >= MAX_SINKS:
        raise ApiError("RESOURCE_EXHAUSTED", f"The project has {MAX_SINKS} sinks, which is the limit.")
    made = message(SINK)()
    made.CopyFrom(request.sink)
    now = int(cloud.now() * 1e6) * 1000
    made.create_time.FromNanoseconds(now)
    made.writer_identity = _writer(cloud, made, unique=request.unique_writer_identity)
    return keep(cloud, request.parent, made, None)


@API.rpc("UpdateSink", permission="logging.sinks.update")
async def update_sink(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a sink."""
    current = sink(cloud, request.sink_name)
    made = merge(current, request.sink, list(request.update_mask.paths) or _OLD_MASK)
    made.name = current.name
    made.ClearField("create_time")
    if current.HasField("create_time"):
        made.create_time.CopyFrom(current.create_time)
    unique = request.unique_writer_identity or current.writer_identity not in ("", SHARED_WRITER)
    made.writer_identity = _writer(cloud, made, unique=unique)
    return keep(cloud, request.sink_name.partition("/sinks/")[0], made, current)


@API.rpc("DeleteSink", permission="logging.sinks.delete")
async def delete_sink(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a sink."""
    found = sink(cloud, request.sink_name)
    if found.name in ("_Default", "_Required"):
        raise invalid(f"The sink {found.name} cannot be deleted.")
    config = cloud.use(Config)
    del config.sinks[request.sink_name]
    config.changed()
    return message("google.protobuf.Empty")()


def sink(cloud: Cloud, name: str) -> Message:
    """A sink that there is."""
    found = cloud.use(Config).sinks.get(name)
    if found is None:
        raise not_found(f"Sink {name.rpartition('/')[2]} does not exist")
    return found


def keep(cloud: Cloud, parent: str, made: Message, current: Message | None) -> Message:
    """Checks a sink as it is to be, and lets entries go its way."""
    if made.name == "_Required":
        raise invalid("The sink _Required cannot be changed.")
    _check_destination(cloud, str(made.destination))
    query(made.filter)
    _check_exclusions(cloud, made, current)
    made.update_time.FromNanoseconds(int(cloud.now() * 1e6) * 1000)
    if made.HasField("bigquery_options"):
        made.bigquery_options.uses_timestamp_column_partitioning = made.bigquery_options.use_partitioned_tables
    config = cloud.use(Config)
    config.sinks[f"{parent}/sinks/{made.name}"] = made
    config.changed()
    if not made.destination.startswith(("logging.", "pubsub.", "storage.")) and current is None:
        cloud.log.event(
            "WARNING", f"The sink {made.name} is kept, but nothing is written to {made.destination} in the local cloud."
        )
    return made


def _check_destination(cloud: Cloud, place: str) -> None:
    for prefix, pattern in _DESTINATIONS.items():
        if place.startswith(prefix):
            if not pattern.fullmatch(rest := place.removeprefix(prefix)):
                raise invalid(f"The sink's destination '{place}' is not valid.")
            if prefix in ("logging.googleapis.com/", "pubsub.googleapis.com/"):
                cloud.canonical(rest)
            return
    known = ", ".join(_DESTINATIONS)
    raise invalid(f"The sink's destination '{place}' is not supported: it begins with one of {known}.")


def _check_exclusions(cloud: Cloud, made: Message, current: Message | None) -> None:
    if len(made.exclusions) > MAX_EXCLUSIONS:
        raise invalid(f"A sink may have at most {MAX_EXCLUSIONS} exclusions.")
    names = [str(one.name) for one in made.exclusions]
    if len(set(names)) < len(names):
        raise invalid("The names of a sink's exclusions must differ.")
    known = {one.name: one for one in current.exclusions} if current is not None else {}
    now = int(cloud.now() * 1e6) * 1000
    for one in made.exclusions:
        check_exclusion(one)
        before = known.get(one.name)
        since = before.create_time.ToNanoseconds() if before is not None else now
        one.create_time.FromNanoseconds(since)
        changed = before is None or (before.filter, before.disabled, before.description) != (
            one.filter, one.disabled, one.description)  # fmt: skip
        one.update_time.FromNanoseconds(now if changed or before is None else before.update_time.ToNanoseconds())


def check_exclusion(one: Message) -> None:
    """An exclusion's name and filter."""
    if not _EXCLUSION_ID.fullmatch(one.name):
        raise invalid(
            f"Invalid exclusion name '{one.name}': at most 100 letters, digits, underscores, hyphens and periods, with "
            "a letter or digit first."
        )
    if not one.filter.strip():
        raise invalid("The filter of an exclusion must be specified.")
    query(one.filter)


def _writer(cloud: Cloud, made: Message, *, unique: bool) -> str:
    """Who writes to the destination; a bucket of the own project needs nobody."""
    home = f"logging.googleapis.com/projects/{cloud.project}/"
    if made.destination.startswith(home) or made.destination.startswith(
        f"logging.googleapis.com/projects/{cloud.settings.project_number}/"
    ):
        return ""
    if not unique:
        return SHARED_WRITER
    return f"serviceAccount:service-{cloud.settings.project_number}@gcp-sa-logging.iam.gserviceaccount.com"
