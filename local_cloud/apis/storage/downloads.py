"""An object, or with alt=media its bytes: whole, in part, or unpacked where it is stored packed.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects/get, .../docs/transcoding.
"""

import gzip
import zlib
from collections.abc import AsyncIterator

from local_cloud.apis.storage.api import Json, Request, shown_object
from local_cloud.exchanges import wanted_range
from local_cloud.files import stream
from local_cloud.storage import conditions
from local_cloud.storage.objects import etag
from local_cloud.storage.refusals import StorageError


async def get(request: Request) -> Json | None:
    """Read an object, or what is in it."""
    bucket, name = request.path
    request.may("storage.objects.get", bucket, name)
    wanted = conditions.read(request.query)
    found = request.storage.objects.get(bucket, name, request.generation(), wanted)
    if request.query.get("alt") != "media" and not request.exchange.raw_path.startswith("/download/"):
        return shown_object(found, request.storage.buckets.get(bucket), request.base)
    await _media(request, found)
    return None


async def _media(request: Request, found: Json) -> None:
    objects, size = request.storage.objects, int(found["size"])
    headers = _headers(found)
    accepts = request.exchange.headers.get("accept-encoding", "")
    if found.get("contentEncoding") == "gzip" and "gzip" not in accepts:
        await _unpacked(request, found, headers)
        return
    try:
        part = wanted_range(request.exchange.headers.get("range", ""), size)
    except ValueError:
        text = "The requested range cannot be satisfied."
        raise StorageError(416, "requestedRangeNotSatisfiable", text, location=("header", "Range")) from None
    start, end = part or (0, size)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    pieces = stream(objects.path(found["file"]), start, end) if found["file"] else _nothing()
    await request.exchange.stream(206 if part else 200, pieces, headers)


def _headers(found: Json) -> dict[str, str]:
    hashes = [f"crc32c={found['crc32c']}"] + ([f"md5={found['md5Hash']}"] if "md5Hash" in found else [])
    made = {
        "content-type": found.get("contentType") or "application/octet-stream",
        "etag": etag(found),
        "x-goog-generation": found["generation"],
        "x-goog-metageneration": found["metageneration"],
        "x-goog-storage-class": found["storageClass"],
        "x-goog-stored-content-encoding": found.get("contentEncoding") or "identity",
        "x-goog-stored-content-length": found["size"],
        "x-goog-hash": ",".join(hashes),
        "accept-ranges": "bytes",
        "cache-control": found.get("cacheControl") or "no-cache, no-store, max-age=0, must-revalidate",
    }
    for field, header in (
        ("contentDisposition", "content-disposition"),
        ("contentEncoding", "content-encoding"),
        ("contentLanguage", "content-language"),
    ):
        if found.get(field):
            made[header] = found[field]
    return made


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _unpacked(request: Request, found: Json, headers: dict[str, str]) -> None:
    """For a caller who does not take gzip: the plain bytes, whose length nobody knows before."""
    path = request.storage.objects.path(found["file"])
    try:
        with gzip.open(path) as file:
            file.read(1)
    except (OSError, EOFError, zlib.error):
        raise StorageError(400, "invalid", "The object is not the gzip that its contentEncoding says.") from None
    headers = {name: value for name, value in headers.items() if name != "content-encoding"}
    headers |= {"warning": "214 UploadServer gunzipped", "vary": "Accept-Encoding"}
    await request.exchange.stream(200, _plain(stream(path)), headers)


async def _plain(packed: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    async for piece in packed:
        if plain := unpacker.decompress(piece):
            yield plain
    if rest := unpacker.flush():
        yield rest
