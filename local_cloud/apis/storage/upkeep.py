"""What Cloud Storage does by itself: starts with what is kept, applies lifecycle rules once a day by the cloud's clock.

Source: https://cloud.google.com/storage/docs/lifecycle (changes take up to a day).
"""

from local_cloud.apis.storage.api import API, Json, Storage, shown_object
from local_cloud.cloud import Cloud
from local_cloud.storage import lifecycle
from local_cloud.storage.buckets import Buckets
from local_cloud.storage.notifications import Notifications
from local_cloud.storage.objects import Objects
from local_cloud.storage.refusals import StorageError
from local_cloud.storage.sessions import Sessions

#: Between two looks.
PERIOD = 86_400.0


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load buckets and objects."""
    buckets = Buckets(cloud)
    objects = Objects(cloud, buckets)
    notifications = Notifications(cloud, shown_object)
    objects.listeners.append(notifications.tell)
    cloud.provide(Storage(cloud, buckets, objects, Sessions(cloud, objects), notifications))
    cloud.clock.call_later(PERIOD, lambda: _look(cloud))


def _look(cloud: Cloud) -> None:
    cloud.clock.call_later(PERIOD, lambda: _look(cloud))
    storage = cloud.use(Storage)
    for bucket in storage.buckets.kept.values():
        if rules := (bucket.get("lifecycle") or {}).get("rule"):
            _apply(storage, bucket, rules)


def _apply(storage: Storage, bucket: Json, rules: list[Json]) -> None:
    now = storage.cloud.now()
    for versions in list(storage.objects.names(bucket["name"]).values()):
        for place, found in enumerate(list(versions)):
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
