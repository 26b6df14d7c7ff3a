"""Objects: their versions, what may be done to them, and when.

Owns the documents of objects and the law over them: preconditions, generations, versioning, holds and retention. Every
change is decided and made without a pause between, in one transaction with what it replaces: of two that ask for the
same generation one succeeds. An object's bytes are a file that is on disk before its document is kept.
Sources: https://cloud.google.com/storage/docs/json_api/v1/objects, .../object-versioning, .../bucket-lock, .../holds.
"""

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.files import forget, sweep, twin
from local_cloud.storage.buckets import STORAGE_CLASSES, Buckets, merged, moment, seconds
from local_cloud.storage.conditions import ANY, Conditions
from local_cloud.storage.refusals import StorageError, invalid, no_object

Json = dict[str, Any]
#: Told of what happened: the event, the object as it was, and more attributes.
Listener = Callable[[str, Json, Mapping[str, str]], None]

#: What callers may say of an object.
WRITABLE = frozenset({
    "acl", "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "contexts",
    "customTime", "eventBasedHold", "metadata", "retention", "storageClass", "temporaryHold",
})  # fmt: skip
MAX_NAME = 1024
#: An object has at most so much metadata of its caller's.
MAX_METADATA = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Bytes that are on disk ("" where there are none)."""

    file: str
    size: int
    crc32c: str
    md5: str = ""
    components: int = 0


class Objects:
    """All objects: by bucket and name, each with its versions in the order of their generations."""

    def __init__(self, cloud: Cloud, buckets: Buckets) -> None:
        self._cloud, self._buckets = cloud, buckets
        self.folder = cloud.settings.state / "objects"
        self.folder.mkdir(exist_ok=True)
        self._kept = cloud.store.json("storage.objects")
        self._names: dict[str, dict[str, list[Json]]] = {}
        self._last = 0
        for _, found in self._kept.items():
            self._names.setdefault(found["bucket"], {}).setdefault(found["name"], []).append(found)
            self._last = max(self._last, int(found["generation"]))
        for names in self._names.values():
            for versions in names.values():
                versions.sort(key=lambda one: int(one["generation"]))
        sweep(self.folder, {found["file"] for found in self._kept.values()})
        self.listeners: list[Listener] = []

    # Looking up

    def names(self, bucket: str) -> Mapping[str, list[Json]]:
        """The versions in a bucket by name."""
        return self._names.get(bucket, {})

    def find(self, bucket: str, name: str, generation: int | None = None) -> Json | None:
        """The live version, or the one of a generation; None where there is none."""
        for found in reversed(self._names.get(bucket, {}).get(name, [])):
            if int(found["generation"]) == generation or (generation is None and "timeDeleted" not in found):
                return found
        return None

    def get(
        self,
        bucket: str,
        name: str,
        generation: int | None = None,
        conditions: Conditions = ANY,
        *,
        reading: bool = True,
    ) -> Json:
        """The same, or a refusal."""
        self._buckets.get(bucket)
        found = self.find(bucket, name, generation)
        if found is None:
            if conditions.generation_is:
                conditions.check(None, reading=reading)
            raise no_object(bucket, name)
        conditions.check(found, reading=reading)
        return found

    def path(self, file: str) -> Path:
        """Where an object's bytes lie."""
        return self.folder / file[:2] / file

    # Changing

    def insert(self, bucket: str, name: str, content: Content, said: Mapping[str, Any], conditions: Conditions) -> Json:
        """Keep an object; one of its name becomes noncurrent, or goes."""
        holder = self._buckets.get(bucket)
        check_name(name)
        live = self.find(bucket, name)
        conditions.check(live)
        if live is not None:
            self._may_go(live, holder, "overwritten")
        now = self._cloud.now()
        self._last = generation = max(self._last + 1, int(now * 1e6))
        made: Json = {
            "name": name,
            "bucket": bucket,
            "generation": str(generation),
            "metageneration": "1",
            "storageClass": holder["storageClass"],
            "timeCreated": moment(now),
            "updated": moment(now),
            "timeStorageClassUpdated": moment(now),
            "timeFinalized": moment(now),
            "size": str(content.size),
            "crc32c": content.crc32c,
            "file": content.file,
            **{field: value for field, value in said.items() if field in WRITABLE and value is not None},
        }
        if content.md5:
            made["md5Hash"] = content.md5
        if content.components:
            made["componentCount"] = content.components
        if holder.get("defaultEventBasedHold"):
            made.setdefault("eventBasedHold", True)
        check_fields(made)
        attributes: dict[str, str] = {}
        if live is not None:
            attributes["overwroteGeneration"] = live["generation"]
            self._leave(live, holder, {"overwrittenByGeneration": str(generation)})
        self._names.setdefault(bucket, {}).setdefault(name, []).append(made)
        self._kept[key_of(made)] = made
        self._tell("OBJECT_FINALIZE", made, attributes)
        return made

    def patch(self, found: Json, said: Mapping[str, Any], *, whole: bool) -> Json:
        """Change what a caller has said of an object."""
        given = {field: value for field, value in said.items() if field in WRITABLE}
        if "customTime" in found and ("customTime" in given or whole):
            later = given.get("customTime")
            if not isinstance(later, str) or seconds(later) < seconds(found["customTime"]):
                raise invalid("The customTime of an object can neither be removed nor be set to an earlier time.")
        if given.get("storageClass") not in (None, found["storageClass"]):
            raise invalid("The storageClass of an object is changed by rewriting it.")
        base = {f: v for f, v in found.items() if f not in WRITABLE or f == "storageClass"} if whole else found
        made = merged(base, given)
        check_fields(made)
        made["metageneration"] = str(int(found["metageneration"]) + 1)
        made["updated"] = moment(self._cloud.now())
        self._replace(found, made)
        self._tell("OBJECT_METADATA_UPDATE", made, {})
        return made

    def delete(self, found: Json, *, for_good: bool) -> None:
        """Delete an object: with versions kept it becomes noncurrent, unless its generation was named."""
        holder = self._buckets.get(found["bucket"])
        self._may_go(found, holder, "deleted")
        if for_good:
            self._drop(found)
            self._tell("OBJECT_DELETE", found, {})
        else:
            self._leave(found, holder, {})

    def reclass(self, found: Json, storage_class: str) -> None:
        """Give an object another storage class, as lifecycle rules do."""
        now = moment(self._cloud.now())
        changed = {"storageClass": storage_class, "timeStorageClassUpdated": now, "updated": now}
        made = {**found, **changed, "metageneration": str(int(found["metageneration"]) + 1)}
        self._replace(found, made)
        self._tell("OBJECT_METADATA_UPDATE", made, {})

    def discard(self, content: Content) -> None:
        """Delete bytes that become no object."""
        if content.file:
            forget(self.path(content.file))

    def _leave(self, found: Json, holder: Json, attributes: Mapping[str, str]) -> None:
        if (holder.get("versioning") or {}).get("enabled"):
            self._replace(found, {**found, "timeDeleted": moment(self._cloud.now())})
            self._tell("OBJECT_ARCHIVE", found, attributes)
        else:
            self._drop(found)
            self._tell("OBJECT_DELETE", found, attributes)

    def _replace(self, found: Json, made: Json) -> None:
        versions = self._names[found["bucket"]][found["name"]]
        versions[versions.index(found)] = made
        self._kept[key_of(found)] = made

    def _drop(self, found: Json) -> None:
        names = self._names[found["bucket"]]
        names[found["name"]].remove(found)
        if not names[found["name"]]:
            del names[found["name"]]
        self._kept.pop(key_of(found))
        if found["file"]:
            self._cloud.store.after_commit(lambda: forget(self.path(found["file"])))

    def _may_go(self, found: Json, holder: Json, what: str) -> None:
        shown = f"{found['bucket']}/{found['name']}"
        for field, kind in (("temporaryHold", "Temporary"), ("eventBasedHold", "Event-Based")):
            if found.get(field):
                text = f"Object '{shown}' is under active {kind} hold and cannot be deleted, overwritten or archived "
                raise StorageError(403, "forbidden", f"{text}until hold is removed.")
        until = retained_until(found, holder)
        if until is not None and until > self._cloud.now():
            text = f"Object '{shown}' is subject to bucket's retention policy or object retention and cannot be "
            raise StorageError(403, "retentionPolicyNotMet", f"{text}{what} until {moment(until)}")

    def _tell(self, event: str, found: Json, attributes: Mapping[str, str]) -> None:
        for listener in self.listeners:
            listener(event, found, attributes)

    # Bytes

    def new_file(self) -> str:
        """A name for a file of bytes."""
        return secrets.token_hex(16)

    def twin(self, found: Json) -> Content:
        """The bytes of an object for another one, on disk when this returns."""
        file = found["file"]
        if file:
            file = self.new_file()
            twin(self.path(found["file"]), self.path(file), int(found["size"]))
        return Content(
            file=file,
            size=int(found["size"]),
            crc32c=found["crc32c"],
            md5=found.get("md5Hash", ""),
            components=found.get("componentCount", 0),
        )


def key_of(found: Mapping[str, Any]) -> str:
    """Under which an object's document stands."""
    return f"{found['bucket']}/{found['generation']}/{found['name']}"


def retained_until(found: Mapping[str, Any], holder: Mapping[str, Any]) -> float | None:
    """When the bucket's retention policy lets go of an object."""
    policy = holder.get("retentionPolicy")
    if not policy or found.get("eventBasedHold"):
        return None
    return seconds(found["timeCreated"]) + int(policy["retentionPeriod"])


def etag(found: Mapping[str, Any]) -> str:
    """An object's etag: another one with each change."""
    return base64.b64encode(f"{found['generation']}/{found['metageneration']}".encode()).decode()


def check_name(name: str) -> None:
    """Refuse names that no object can have."""
    size = len(name.encode("utf-8", "surrogatepass"))
    bad = not 0 < size <= MAX_NAME or name in (".", "..") or "\r" in name or "\n" in name
    if bad or name.startswith(".well-known/acme-challenge/"):
        raise invalid(f"Invalid object name: {name[:100]!r}")


def check_fields(made: Mapping[str, Any]) -> None:
    """Refuse fields of the wrong kind, and more metadata than is taken."""
    metadata = made.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise invalid("The metadata of an object must be a map of texts.")
    if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > MAX_METADATA:
        raise invalid(f"The metadata of an object has at most {MAX_METADATA} bytes.")
    for field in ("contentType", "contentEncoding", "cacheControl", "contentDisposition", "contentLanguage"):
        value = made.get(field, "")
        if not isinstance(value, str) or any(ord(one) < 32 for one in value):
            raise invalid(f"Invalid value for {field}: {value!r}")
    if made.get("storageClass") not in STORAGE_CLASSES:
        raise invalid(f"Invalid argument: {made.get('storageClass')!r} is no storage class.")
    for field in ("temporaryHold", "eventBasedHold"):
        if not isinstance(made.get(field, False), bool):
            raise invalid(f"Invalid value for {field}: {made[field]!r}")
    if "customTime" in made:
        if not isinstance(made["customTime"], str):
            raise invalid(f"Invalid value for customTime: {made['customTime']!r}")
        seconds(made["customTime"])


def pieces(objects: Objects, sources: Iterable[Json]) -> list[Path]:
    """The files of some objects, in order."""
    return [objects.path(one["file"]) for one in sources if one["file"]]
