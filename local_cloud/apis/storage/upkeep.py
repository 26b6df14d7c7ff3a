"""What Cloud Storage does by itself: starts with what is kept, applies lifecycle rules once a day by the cloud's clock.

The time of the last look is kept, so that a cloud which never runs for a whole day looks too.
Source: https://cloud.google.com/storage/docs/lifecycle (changes take up to a day).
"""

from typing import Any

from local_cloud.apis.storage.api import API, Json, Storage, shown_object
from local_cloud.cloud import Cloud
from local_cloud.storage import lifecycle
from local_cloud.storage.buckets import Buckets
from local_cloud.storage.notifications import Notifications
from local_cloud.storage.objects import Objects
from local_cloud.storage.refusals import StorageError
from local_cloud.storage.sessions import Sessions
from local_cloud.store import Collection

#: Between two looks.
PERIOD = 86_400.0
#: A look that fell due while the cloud was stopped is had so many seconds after its start, when all APIs are there.
SOON = 60.0


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load buckets and objects."""
    buckets = Buckets(cloud)
    objects = Objects(cloud, buckets)
    notifications = Notifications(cloud, shown_object)
    objects.listeners.append(notifications.tell)
    cloud.provide(Storage(cloud, buckets, objects, Sessions(cloud, objects), notifications))
    looks = cloud.store.json("storage.looks")
    if "last" not in looks:
        looks["last"] = {"at": cloud.now()}
    due = min(looks["last"]["at"], cloud.now()) + PERIOD  # a clock that was set back must not put it off
    cloud.clock.call_at(max(due, cloud.now() + SOON), lambda: _look(cloud, looks))


def _look(cloud: Cloud, looks: Collection[Any]) -> None:
    looks["last"] = {"at": cloud.now()}
    cloud.clock.call_later(PERIOD, lambda: _look(cloud, looks))
    storage = cloud.use(Storage)
    for bucket in storage.buckets.kept.values():
        if rules := (bucket.get("lifecycle") or {}).get("rule"):
            _apply(storage, bucket, rules)


def _apply(storage: Storage, bucket: Json, rules: list[Json]) -> None:
    now = storage.cloud.now()
    # Copies, since what an action deletes is out of the lists at once; it counts until the look is over.
    for versions in [list(some) for some in storage.objects.names(bucket["name"]).values()]:
        for place, found in enumerate(versions):
            newer = len(versions) - 1 - place
            actions = [r["action"] for r in rules if lifecycle.fits(r["condition"], found, newer, now)]
            _act(storage, found, actions)


def _act(storage: Storage, found: Json, actions: list[Json]) -> None:
    """Deletion goes before a change of class; what is held or retained stays."""
    try:
        if any(action["type"] == "Delete" for action in actions):
            storage.objects.delete(found, for_good="timeDeleted" in found)
            return
        for action in actions:
            if action["type"] == "SetStorageClass" and action["storageClass"] != found["storageClass"]:
                storage.objects.reclass(found, action["storageClass"])
                return
    except StorageError as kept:
        storage.cloud.log.event("INFO", f"A lifecycle rule passes over {found['bucket']}/{found['name']}: {kept.text}")
