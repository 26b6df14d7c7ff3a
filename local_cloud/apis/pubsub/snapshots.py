"""The RPCs of snapshots, and Seek.

Owns who may and what must be there; holding and seeking are the core's. Source: google/pubsub/v1/pubsub.proto.
"""

import secrets

from local_cloud.apis.pubsub.api import API
from local_cloud.apis.pubsub.subscriptions import existing as subscription_of
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import failed_precondition, invalid
from local_cloud.plain import merge
from local_cloud.pubsub import words
from local_cloud.pubsub.expiry import Expiry
from local_cloud.pubsub.snapshots import LONGEST, SNAPSHOT, Snapshots
from local_cloud.pubsub.state import PubSub
from local_cloud.registry import Call

Empty = message("google.protobuf.Empty")
Snapshot = message(SNAPSHOT)
ListSnapshotsResponse = message("google.pubsub.v1.ListSnapshotsResponse")
SeekResponse = message("google.pubsub.v1.SeekResponse")

#: What an update cannot change.
FIXED = ("name", "topic")


def existing(cloud: Cloud, name: str) -> Message:
    """The snapshot of that name."""
    return cloud.use(Snapshots).get(words.checked_name(cloud, name, "snapshots"))


API.iam_policies("projects/*/snapshots/*", permission="pubsub.snapshots", exists=existing)


def _attached(cloud: Cloud, call: Call, name: str) -> Message:
    """A subscription that the caller may take messages from, and that has some."""
    name = words.checked_name(cloud, name, "subscriptions")
    cloud.iam.require(call.principal, "pubsub.subscriptions.consume", name, words.DENIED)
    found = subscription_of(cloud, name)
    if found.detached:
        raise failed_precondition(f"The subscription {name} is detached from its topic.")
    return found


@API.rpc(
    "CreateSnapshot",
    permission="pubsub.snapshots.create",
    resource=lambda request: words.project_of(request.name or request.subscription),
)
async def create_snapshot(cloud: Cloud, call: Call, request: Message) -> Message:
    """Holds what a subscription has not acknowledged; without a name it gets one."""
    given = request.name or f"{words.project_of(request.subscription)}/snapshots/snapshot-{secrets.token_hex(8)}"
    name = words.checked_name(cloud, given, "snapshots", new=True)
    words.check_labels(request.labels)
    subscription = _attached(cloud, call, request.subscription)
    snapshots = cloud.use(Snapshots)
    if name in snapshots.kept:
        raise words.taken(name)
    return snapshots.create(Snapshot(name=name, labels=request.labels), subscription.name)


@API.rpc("GetSnapshot", permission="pubsub.snapshots.get")
async def get_snapshot(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One snapshot."""
    return existing(cloud, request.snapshot)


@API.rpc("ListSnapshots", permission="pubsub.snapshots.list")
async def list_snapshots(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The project's snapshots."""
    words.checked_project(cloud, request.project)
    taken, token = words.page(cloud.use(Snapshots).kept.values(), request)
    return ListSnapshotsResponse(snapshots=taken, next_page_token=token)


@API.rpc("UpdateSnapshot", permission="pubsub.snapshots.update")
async def update_snapshot(cloud: Cloud, call: Call, request: Message) -> Message:
    """Changes labels, or when it expires: at most 7 days from now."""
    current = existing(cloud, request.snapshot.name)
    paths = list(request.update_mask.paths)
    words.check_mask(paths, "Snapshot", current, FIXED, "expire_time")
    made = merge(current, request.snapshot, paths)
    words.check_labels(made.labels)
    if made.expire_time != current.expire_time:
        left = made.expire_time.ToNanoseconds() / 1e9 - call.now
        if not 0 < left <= LONGEST:
            raise invalid("The expiration time of a snapshot must lie in the future, and at most 7 days from now.")
    cloud.use(Snapshots).change(made)
    return made


@API.rpc("DeleteSnapshot", permission="pubsub.snapshots.delete")
async def delete_snapshot(cloud: Cloud, _call: Call, request: Message) -> Message:
    """What it alone held is gone."""
    cloud.use(Snapshots).delete(existing(cloud, request.snapshot).name)
    return Empty()


@API.rpc("Seek", permission="pubsub.subscriptions.consume")
async def seek(cloud: Cloud, call: Call, request: Message) -> Message:
    """What is unacknowledged becomes what a snapshot holds, or what was published since a time."""
    pubsub = cloud.use(PubSub)
    subscription = _attached(cloud, call, request.subscription)
    target = request.WhichOneof("target")
    if target is None:
        raise words.wrong("target")
    if target == "time":
        await pubsub.seek_to_time(subscription.name, request.time.ToNanoseconds() / 1e9)
    else:
        name = words.checked_name(cloud, request.snapshot, "snapshots")
        cloud.iam.require(call.principal, "pubsub.snapshots.seek", name, words.DENIED)
        snapshot = existing(cloud, name)
        if snapshot.topic != subscription.topic:
            raise failed_precondition(
                f"The snapshot's topic ({snapshot.topic}) is not the subscription's ({subscription.topic})."
            )
        pubsub.seek_to_snapshot(subscription.name, name)
    cloud.use(Expiry).touch(subscription.name)
    return SeekResponse()
