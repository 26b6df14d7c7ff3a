"""Log buckets: created, changed, locked, deleted and brought back.

Entries follow their bucket's retention (logs/entries.py). Analytics, keys, indexes and restricted fields are kept and
not acted upon. Sources: google/logging/v2/logging_config.proto, https://cloud.google.com/logging/docs/buckets.
"""

import re

from local_cloud.apis.logging.api import API
from local_cloud.apis.logging.names import bucket
from local_cloud.apis.logging.state import BUCKET, STATES, Config
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, already_exists, failed_precondition, invalid
from local_cloud.logs.entries import DEFAULT_DAYS, Entries
from local_cloud.plain import merge, page
from local_cloud.registry import Call

_BUCKET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")
_LOCATION = re.compile(r"global|eu|us|[a-z]+-[a-z]+\d+")
#: Days that a bucket may keep entries; buckets of a project; indexes of a bucket.
MIN_DAYS, MAX_DAYS, MAX_BUCKETS, MAX_INDEXES = 1, 3650, 100, 20
_KEPT = ("name", "create_time", "update_time", "lifecycle_state")
OPERATION_STATES = enum("google.logging.v2.OperationState")


@API.rpc("GetBucket", permission="logging.buckets.get")
async def get_bucket(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a bucket, one that is being deleted too."""
    return bucket(cloud, request.name)


@API.rpc("ListBuckets", permission="logging.buckets.list")
async def list_buckets(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The buckets of a location, or with `-` of all."""
    parent = request.parent.removesuffix("/locations/-") + ("/" if request.parent.endswith("/-") else "/buckets/")
    found = [one for name, one in cloud.use(Config).buckets.items() if name.startswith(parent)]
    taken, token = page(found, request.page_size, request.page_token, lambda one: str(one.name))
    return message("google.logging.v2.ListBucketsResponse")(buckets=taken, next_page_token=token)


@API.rpc("CreateBucket", permission="logging.buckets.create")
async def create_bucket(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Make a bucket."""
    return _create(cloud, request)


@API.rpc("CreateBucketAsync", permission="logging.buckets.create")
async def create_bucket_async(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Make a bucket; the operation is done as it is answered."""
    return _operation(cloud, request, _create(cloud, request), "create_bucket_request")


@API.rpc("UpdateBucket", permission="logging.buckets.update")
async def update_bucket(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a bucket."""
    return _update(cloud, request)


@API.rpc("UpdateBucketAsync", permission="logging.buckets.update")
async def update_bucket_async(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a bucket; the operation is done as it is answered."""
    return _operation(cloud, request, _update(cloud, request), "update_bucket_request")


@API.rpc("DeleteBucket", permission="logging.buckets.delete")
async def delete_bucket(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Let a bucket go; for a week it can be brought back."""
    found = _active(cloud, request.name)
    if request.name.rpartition("/")[2] in ("_Default", "_Required"):
        raise invalid(f"The bucket {request.name.rpartition('/')[2]} cannot be deleted.")
    if found.locked and cloud.use(Entries).holds(request.name):
        raise failed_precondition("The bucket is locked: it can be deleted only when it is empty.")
    cloud.use(Config).delete_bucket(found)
    return message("google.protobuf.Empty")()


@API.rpc("UndeleteBucket", permission="logging.buckets.undelete")
async def undelete_bucket(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Bring a bucket back that was deleted in the last seven days."""
    found = bucket(cloud, request.name)
    if found.lifecycle_state != STATES["DELETE_REQUESTED"]:
        raise failed_precondition("The bucket is not being deleted.")
    cloud.use(Config).undelete_bucket(found)
    return message("google.protobuf.Empty")()


def _active(cloud: Cloud, name: str) -> Message:
    found = bucket(cloud, name)
    if found.lifecycle_state != STATES["ACTIVE"]:
        raise failed_precondition("The bucket is being deleted: undelete it first.")
    return found


def _create(cloud: Cloud, request: Message) -> Message:
    config, name = cloud.use(Config), f"{request.parent}/buckets/{request.bucket_id}"
    location = request.parent.rpartition("/")[2]
    if not _BUCKET_ID.fullmatch(request.bucket_id):
        raise invalid(
            f"Invalid bucket ID '{request.bucket_id}': at most 100 letters, digits, underscores, hyphens and periods, "
            "with a letter or digit first."
        )
    if not _LOCATION.fullmatch(location):
        raise invalid(f"Location '{location}' is not supported.")
    if name in config.buckets:
        raise already_exists(f"Bucket `{request.bucket_id}` already exists in the given location.")
    if len(config.buckets) >= MAX_BUCKETS:
        raise ApiError("RESOURCE_EXHAUSTED", f"The project has {MAX_BUCKETS} log buckets, which is the limit.")
    made = message(BUCKET)()
    made.CopyFrom(request.bucket)
    made.name = name
    made.lifecycle_state = STATES["ACTIVE"]
    made.retention_days = made.retention_days or DEFAULT_DAYS
    now = int(cloud.now() * 1e6) * 1000
    for field in (made.create_time, made.update_time):
        field.FromNanoseconds(now)
    _complete(cloud, made, now)
    config.add_bucket(made)
    return made


def _update(cloud: Cloud, request: Message) -> Message:
    current = _active(cloud, request.name)
    if request.name.endswith("/_Required"):
        raise invalid("The bucket _Required cannot be changed.")
    if not request.update_mask.paths:
        raise invalid("The update mask must name what is to be changed.")
    made = merge(current, request.bucket, request.update_mask.paths)
    for field in _KEPT:
        made.ClearField(field)
    made.name, made.lifecycle_state = current.name, current.lifecycle_state
    if current.HasField("create_time"):
        made.create_time.CopyFrom(current.create_time)
    made.retention_days = made.retention_days or DEFAULT_DAYS
    if current.locked and (not made.locked or made.retention_days != current.retention_days):
        raise failed_precondition("The bucket is locked: its retention period cannot be changed, and it stays locked.")
    if current.analytics_enabled and not made.analytics_enabled:
        raise invalid("Log Analytics cannot be disabled once it has been enabled.")
    now = int(cloud.now() * 1e6) * 1000
    made.update_time.FromNanoseconds(now)
    _complete(cloud, made, now)
    config = cloud.use(Config)
    config.buckets[made.name] = made
    config.changed()
    return made


def _complete(cloud: Cloud, made: Message, now: int) -> None:
    if not MIN_DAYS <= made.retention_days <= MAX_DAYS:
        raise invalid(f"Retention days must be between {MIN_DAYS} and {MAX_DAYS}, not {made.retention_days}.")
    if len(made.index_configs) > MAX_INDEXES:
        raise invalid(f"A bucket may have at most {MAX_INDEXES} indexes.")
    for index in made.index_configs:
        if not index.HasField("create_time"):
            index.create_time.FromNanoseconds(now)
    if made.HasField("cmek_settings"):
        made.cmek_settings.name = f"{made.name}/cmekSettings"
        made.cmek_settings.service_account_id = (
            f"cmek-p{cloud.settings.project_number}@gcp-sa-logging.iam.gserviceaccount.com"
        )


def _operation(cloud: Cloud, request: Message, made: Message, field: str) -> Message:
    metadata = message("google.logging.v2.BucketMetadata")(
        state=OPERATION_STATES["OPERATION_STATE_SUCCEEDED"], **{field: request}
    )
    metadata.start_time.CopyFrom(made.update_time)
    metadata.end_time.CopyFrom(made.update_time)
    return cloud.operations.done(made.name.partition("/buckets/")[0], made, metadata)
