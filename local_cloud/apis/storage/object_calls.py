"""Objects without their bytes: listed, changed, deleted, copied, composed. The law is storage/objects.py's.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects.
"""

import asyncio
from pathlib import Path

from local_cloud.apis.storage.api import Json, Request, shown_object
from local_cloud.files import CHUNK, Incoming
from local_cloud.storage import conditions, listing
from local_cloud.storage.checksums import Checksums
from local_cloud.storage.objects import WRITABLE, Content, check_name, pieces
from local_cloud.storage.refusals import invalid, required

#: Objects that one request composes.
MAX_SOURCES = 32


async def list_all(request: Request) -> Json:
    """The objects of a bucket."""
    (bucket,) = request.path
    request.may("storage.objects.list", bucket)
    holder = request.storage.buckets.get(bucket)
    items, prefixes, token = listing.select(request.storage.objects.names(bucket), listing.read(request.query))
    made: Json = {"kind": "storage#objects"}
    if token:
        made["nextPageToken"] = token
    if prefixes:
        made["prefixes"] = prefixes
    if items:
        made["items"] = [shown_object(found, holder, request.base) for found in items]
    return made


async def list_managed_folders(request: Request) -> Json:
    """None: they are made by no call here. gcloud asks before it deletes a bucket with all that is in it."""
    (bucket,) = request.path
    request.may("storage.managedFolders.list", bucket)
    request.storage.buckets.get(bucket)
    return {"kind": "storage#managedFolders"}


async def patch(request: Request) -> Json:
    """Change what the body says of an object."""
    return _change(request, whole=False)


async def update(request: Request) -> Json:
    """Replace all that can be said of an object."""
    return _change(request, whole=True)


def _change(request: Request, *, whole: bool) -> Json:
    bucket, name = request.path
    request.may("storage.objects.update", bucket, name)
    objects, wanted = request.storage.objects, conditions.read(request.query)
    found = objects.get(bucket, name, request.generation(), wanted, reading=False)
    made = objects.patch(found, request.body, whole=whole)
    return shown_object(made, request.storage.buckets.get(bucket), request.base)


async def delete(request: Request) -> None:
    """Delete an object, or one of its versions for good."""
    bucket, name = request.path
    request.may("storage.objects.delete", bucket, name)
    objects, generation = request.storage.objects, request.generation()
    found = objects.get(bucket, name, generation, conditions.read(request.query), reading=False)
    objects.delete(found, for_good=generation is not None)


def may_insert(request: Request, bucket: str, name: str) -> None:
    """Refuse who may not make an object, or not take away the one that is there."""
    request.may("storage.objects.create", bucket, name)
    if request.storage.objects.find(bucket, name) is not None:
        request.may("storage.objects.delete", bucket, name)


async def copy(request: Request) -> Json:
    """Copy an object."""
    return await _copy(request)


async def rewrite(request: Request) -> Json:
    """Copy an object; here that is always done at once."""
    made = await _copy(request)
    size = made["size"]
    return {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": size,
        "objectSize": size,
        "done": True,
        "resource": made,
    }


async def _copy(request: Request) -> Json:
    bucket, name, to_bucket, to_name = request.path
    objects, storage = request.storage.objects, request.storage
    request.may("storage.objects.get", bucket, name)
    storage.buckets.get(to_bucket)
    may_insert(request, to_bucket, to_name)
    check_name(to_name)
    wanted = conditions.read(request.query, "ifSource")
    source = objects.get(bucket, name, request.generation("sourceGeneration"), wanted, reading=False)
    target = conditions.read(request.query)
    target.check(objects.find(to_bucket, to_name))
    said = {field: value for field, value in source.items() if field in WRITABLE and "Hold" not in field}
    if storage.buckets.get(to_bucket)["storageClass"] != storage.buckets.get(bucket)["storageClass"]:
        said.pop("storageClass", None)
    said |= request.body
    try:
        content = await asyncio.to_thread(objects.twin, source)
    except FileNotFoundError:
        if not _changed(request, [source]):
            raise
        return await _copy(request)
    return _kept(request, to_bucket, to_name, content, said)


def _changed(request: Request, sources: list[Json]) -> bool:
    """Whether one of these was overwritten or deleted while it was read: then they are looked up again."""
    find = request.storage.objects.find
    return any(find(one["bucket"], one["name"], int(one["generation"])) is None for one in sources)


def _kept(request: Request, bucket: str, name: str, content: Content, said: Json) -> Json:
    objects, target = request.storage.objects, conditions.read(request.query)
    try:
        may_insert(request, bucket, name)
        made = objects.insert(bucket, name, content, said, target)
    except Exception:
        objects.discard(content)
        raise
    return shown_object(made, request.storage.buckets.get(bucket), request.base)


async def compose(request: Request) -> Json:
    """Make an object of others of its bucket, one behind the other."""
    bucket, name = request.path
    storage, objects = request.storage, request.storage.objects
    storage.buckets.get(bucket)
    may_insert(request, bucket, name)
    check_name(name)
    named = request.body.get("sourceObjects")
    if not isinstance(named, list) or not named or not all(isinstance(one, dict) and one.get("name") for one in named):
        raise required("You must provide at least one source component.")
    if len(named) > MAX_SOURCES:
        raise invalid(f"The number of source components provided ({len(named)}) exceeds the maximum ({MAX_SOURCES})")
    sources = []
    for one in named:
        source, generation = str(one["name"]), str(one.get("generation") or "")
        request.may("storage.objects.get", bucket, source)
        asked = one.get("objectPreconditions") or {}
        if not isinstance(asked, dict):
            raise invalid("objectPreconditions must be an object.")
        wanted = conditions.read({key: str(value) for key, value in asked.items()})
        version = int(generation) if generation.isdecimal() else None
        sources.append(objects.get(bucket, source, version, wanted, reading=False))
    destination = request.body.get("destination") or {}
    if not isinstance(destination, dict):
        raise invalid("destination must be an object.")
    said = dict(destination)
    said.setdefault("contentType", sources[0].get("contentType"))
    conditions.read(request.query).check(objects.find(bucket, name))
    try:
        content = await _joined(request, sources)
    except FileNotFoundError:
        if not _changed(request, sources):
            raise
        return await compose(request)
    return _kept(request, bucket, name, content, said)


async def _joined(request: Request, sources: list[Json]) -> Content:
    objects = request.storage.objects
    incoming, sums = Incoming(objects.folder), Checksums()
    file = objects.new_file()
    try:
        for path in pieces(objects, sources):
            await asyncio.to_thread(_append, incoming, sums, path)
        await incoming.keep(objects.path(file))
    finally:
        incoming.discard()
    components = sum(one.get("componentCount", 1) for one in sources)
    return Content(file=file, size=incoming.size, crc32c=sums.crc32c, components=components)


def _append(incoming: Incoming, sums: Checksums, path: Path) -> None:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            incoming.add(data)
            sums.update(data)
