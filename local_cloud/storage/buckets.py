"""Buckets: what one may be, what Google fills in, and how one is changed.

Owns the documents of buckets and their law; objects are objects.py's, access is iam/'s.
Sources: https://cloud.google.com/storage/docs/json_api/v1/buckets, .../buckets#naming, .../bucket-lock.
"""

import datetime
import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.storage import lifecycle
from local_cloud.storage.conditions import ANY, Conditions
from local_cloud.storage.refusals import StorageError, invalid, no_bucket, required

Json = dict[str, Any]

STORAGE_CLASSES = frozenset({
    "STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL", "DURABLE_REDUCED_AVAILABILITY",
})  # fmt: skip
MULTI_REGIONS, DUAL_REGIONS = frozenset({"US", "EU", "ASIA"}), frozenset({"NAM4", "EUR4", "ASIA1", "EUR5", "EUR7"})
#: What callers may say of a bucket; the rest is the platform's.
WRITABLE = frozenset({
    "acl", "autoclass", "billing", "cors", "customPlacementConfig", "defaultEventBasedHold", "defaultObjectAcl",
    "encryption", "hierarchicalNamespace", "iamConfiguration", "ipFilter", "labels", "lifecycle", "location", "logging",
    "name", "objectRetention", "retentionPolicy", "rpo", "softDeletePolicy", "storageClass", "versioning", "website",
})  # fmt: skip
#: Fields that are objects of their own.
OBJECTS = frozenset({
    "autoclass", "billing", "customPlacementConfig", "encryption", "hierarchicalNamespace", "iamConfiguration",
    "ipFilter", "labels", "lifecycle", "logging", "objectRetention", "retentionPolicy", "softDeletePolicy",
    "versioning", "website",
})  # fmt: skip
#: What cannot be changed once the bucket is there.
FIXED = ("name", "location", "customPlacementConfig", "hierarchicalNamespace", "objectRetention")
DAY = 86_400
#: Deleted objects can be restored for so long by default; kept, nothing acts on it.
SOFT_DELETE = 7 * DAY
#: A retention period is at most a hundred years.
MAX_RETENTION = 3_155_760_000

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LABEL_KEY, _LABEL_VALUE = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")


def moment(at: float) -> str:
    """A time as the API writes it."""
    when = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z"


def seconds(text: str) -> float:
    """A time of the API as the clock counts."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise invalid(f"Invalid date/time format: {text}") from None


class Buckets:
    """The project's buckets by name."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.kept = cloud.store.json("storage.buckets")

    def get(self, name: str, conditions: Conditions = ANY, *, reading: bool = False) -> Json:
        """A bucket as it is kept."""
        found: Json | None = self.kept.get(name)
        if found is None:
            raise no_bucket()
        conditions.check(found, reading=reading)
        return found

    def create(self, wanted: Mapping[str, Any]) -> Json:
        """Keep a new bucket."""
        name = wanted.get("name")
        if not isinstance(name, str) or not name:
            raise required("Required parameter: name")
        check_name(name)
        if name in self.kept:
            text = "Your previous request to create the named bucket succeeded and you already own it."
            raise StorageError(409, "conflict", text)
        now = self.cloud.now()
        made: Json = {
            "kind": "storage#bucket",
            "id": name,
            "name": name,
            "projectNumber": self.cloud.settings.project_number,
            "generation": str(int(now * 1e6)),
            "metageneration": "1",
            "timeCreated": moment(now),
            "location": "US",
            "storageClass": "STANDARD",
            "iamConfiguration": {},
            "softDeletePolicy": {"retentionDurationSeconds": str(SOFT_DELETE)},
            **{field: value for field, value in wanted.items() if field in WRITABLE and value is not None},
        }
        self._complete(made, {})
        self.kept[name] = made
        return made

    def change(self, name: str, wanted: Mapping[str, Any], conditions: Conditions, *, whole: bool) -> Json:
        """Patch a bucket, or replace it as a whole."""
        current = self.get(name, conditions)
        given = {field: value for field, value in wanted.items() if field in WRITABLE}
        if whole:
            kept = {f: v for f, v in current.items() if f not in WRITABLE or f in (*FIXED, "storageClass")}
            made = kept | {"iamConfiguration": {}} | {f: v for f, v in given.items() if v is not None}
        else:
            made = merged(current, given)
        for field in FIXED:
            if field in given and made.get(field) != current.get(field):
                raise invalid(f"The {field} of a bucket cannot be changed.")
        self._complete(made, current)
        made["metageneration"] = str(int(current["metageneration"]) + 1)
        self.kept[name] = made
        return made

    def touch(self, name: str) -> None:
        """Count a change that is kept elsewhere: of the bucket's policy."""
        self.change(name, {}, ANY, whole=False)

    def delete(self, name: str, conditions: Conditions, *, empty: bool) -> None:
        """Delete a bucket in which nothing is left."""
        self.get(name, conditions)
        if not empty:
            raise StorageError(409, "conflict", "The bucket you tried to delete is not empty.")
        del self.kept[name]

    def lock(self, name: str, conditions: Conditions) -> Json:
        """Lock a bucket's retention policy, for good."""
        made = merged(self.get(name, conditions), {})
        if not made.get("retentionPolicy"):
            raise invalid("Cannot lock a bucket without a retention policy.")
        made["retentionPolicy"]["isLocked"] = True
        made["metageneration"] = str(int(made["metageneration"]) + 1)
        made["updated"] = moment(self.cloud.now())
        self.kept[name] = made
        return made

    def _complete(self, made: Json, current: Mapping[str, Any]) -> None:
        """Check what was said and add what was not."""
        for field in OBJECTS & made.keys():
            if not isinstance(made[field], dict):
                raise invalid(f"Invalid value for {field}: it must be an object.")
        now = moment(self.cloud.now())
        made["updated"] = now
        made["location"] = str(made["location"]).upper()
        place = made["location"]
        kind = "multi-region" if place in MULTI_REGIONS else "dual-region" if place in DUAL_REGIONS else "region"
        made["locationType"] = "dual-region" if made.get("customPlacementConfig") else kind
        if made["locationType"] != "region":
            made.setdefault("rpo", "DEFAULT")
        if made["storageClass"] not in STORAGE_CLASSES:
            raise invalid(f"Invalid argument: {made['storageClass']} is no storage class.")
        check_labels(made.get("labels") or {})
        lifecycle.check(made.get("lifecycle"))
        _complete_access(made, current, self.cloud.now())
        _complete_retention(made, current, now)
        soft = made.get("softDeletePolicy")
        if isinstance(soft, dict) and "effectiveTime" not in soft:
            soft["effectiveTime"] = now


def check_name(name: str) -> None:
    """Refuse names that no bucket can have."""
    good = _NAME.fullmatch(name) and ".." not in name and not name.startswith("goog") and "google" not in name
    parts = name.split(".")
    longest = max(len(part) for part in parts)
    if not good or longest > 63 or (len(parts) == 1 and len(name) > 63) or _is_address(name):
        raise invalid(f"Invalid bucket name: '{name}'")


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def check_labels(labels: Mapping[str, Any]) -> None:
    """Refuse labels that Google would."""
    if not isinstance(labels, dict) or len(labels) > 64:
        raise invalid("A bucket has at most 64 labels.")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            raise invalid(f"Invalid label: {key}={value}")


def _complete_access(made: Json, current: Mapping[str, Any], now: float) -> None:
    said = made.get("iamConfiguration") or {}
    if not isinstance(said, dict):
        raise invalid("iamConfiguration must be an object.")
    uniform = dict(said.get("uniformBucketLevelAccess") or said.get("bucketPolicyOnly") or {})
    before = (current.get("iamConfiguration") or {}).get("uniformBucketLevelAccess") or {}
    if not uniform.get("enabled"):
        locked = before.get("lockedTime")
        if before.get("enabled") and locked and seconds(locked) < now:
            raise invalid("Uniform bucket-level access is locked and cannot be disabled.")
        uniform = {"enabled": False}
    else:
        uniform["lockedTime"] = before.get("lockedTime") or moment(now + 90 * DAY)
    prevention = said.get("publicAccessPrevention") or "inherited"
    prevention = "inherited" if prevention == "unspecified" else prevention
    if prevention not in ("inherited", "enforced"):
        raise invalid(f"Invalid argument: {prevention} is no publicAccessPrevention.")
    made["iamConfiguration"] = {
        "bucketPolicyOnly": uniform,
        "uniformBucketLevelAccess": uniform,
        "publicAccessPrevention": prevention,
    }


def _complete_retention(made: Json, current: Mapping[str, Any], now: str) -> None:
    before, after = current.get("retentionPolicy") or {}, made.get("retentionPolicy") or {}
    if before.get("isLocked"):
        shorter = int(after.get("retentionPeriod") or 0) < int(before["retentionPeriod"])
        if shorter:
            text = "Cannot reduce retention duration of a locked Retention Policy for bucket."
            raise StorageError(403, "forbidden", text)
        after["isLocked"] = True
    if not after:
        made.pop("retentionPolicy", None)
        return
    period = str(after.get("retentionPeriod", ""))
    if not period.isdecimal() or not 0 < int(period) <= MAX_RETENTION:
        raise invalid("Retention period must be greater than zero and at most 3,155,760,000 seconds.")
    after["retentionPeriod"] = period
    if before.get("retentionPeriod") != period or "effectiveTime" not in after:
        after["effectiveTime"] = now
    made["retentionPolicy"] = after


def merged(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> Json:
    """What a patch makes of a resource: objects are merged, null takes away, all else is replaced."""
    made = {field: merged(value, {}) if isinstance(value, dict) else value for field, value in current.items()}
    for field, value in wanted.items():
        if value is None:
            made.pop(field, None)
        elif isinstance(value, dict) and isinstance(made.get(field), dict) and field != "lifecycle":
            made[field] = merged(made[field], value)
        else:
            made[field] = value
    return made
