"""Objects with their bytes on the way in: at once, with what is said of them beside, or in pieces.

Source: https://cloud.google.com/storage/docs/json_api/v1/how-tos/upload, .../docs/performing-resumable-uploads.
"""

import email.parser
import email.policy
import re
from urllib.parse import quote

import orjson

from local_cloud.apis.storage.api import Json, Request, shown_object
from local_cloud.apis.storage.object_calls import may_insert
from local_cloud.exchanges import ClientGoneError
from local_cloud.files import Incoming
from local_cloud.registry import Principal
from local_cloud.storage import checksums, conditions
from local_cloud.storage.checksums import Checksums
from local_cloud.storage.objects import Content, check_name
from local_cloud.storage.refusals import StorageError, invalid, required

#: A multipart body, which is held in memory, has at most so many bytes; clients take resumable uploads above 8 MiB.
MAX_MULTIPART = 128 * 1024 * 1024
#: Pieces of a resumable upload, but the last, are multiples of this.
STEP = 256 * 1024
#: gcloud quotes the boundary as Python does.
_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]+)\"|'([^']+)'|([^;\s]+))")
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


async def insert(request: Request) -> Json:
    """POST without /upload: an object without bytes."""
    data = await request.exchange.body(1 << 20)
    return await _keep(request, _parsed(data), b"")


async def begin(request: Request) -> Json | None:
    """POST: by uploadType."""
    kind = request.query.get("uploadType") or request.query.get("upload_type", "")
    if kind == "media":
        return await _media(request)
    if kind == "multipart":
        said, content_type, data = _parts(
            await request.exchange.body(MAX_MULTIPART), request.exchange.headers.get("content-type", "")
        )
        said.setdefault("contentType", content_type)
        return await _keep(request, said, data)
    if kind == "resumable":
        await _resumable(request)
        return None
    raise invalid(f"Invalid value for query parameter uploadType: {kind!r}")


async def _media(request: Request) -> Json:
    said: Json = {"contentType": request.exchange.headers.get("content-type") or "application/octet-stream"}
    if "contentEncoding" in request.query:
        said["contentEncoding"] = request.query["contentEncoding"]
    name = _named(request, said)
    objects = request.storage.objects
    incoming, sums = Incoming(objects.folder), Checksums()
    try:
        async for piece in request.exchange.pieces():
            await incoming.write(piece)
            sums.update(piece)
        return await _finish(request, name, said, incoming, sums)
    finally:
        incoming.discard()


async def _keep(request: Request, said: Json, data: bytes) -> Json:
    name = _named(request, said)
    incoming, sums = Incoming(request.storage.objects.folder), Checksums()
    try:
        await incoming.write(data)
        sums.update(data)
        return await _finish(request, name, said, incoming, sums)
    finally:
        incoming.discard()


def _named(request: Request, said: Json) -> str:
    """The name of the object that is made; refused at once where it cannot be."""
    (bucket,) = request.path
    name = request.query.get("name") or said.get("name")
    if not name or not isinstance(name, str):
        raise required("Required parameter: name")
    may_insert(request, bucket, name)
    request.storage.buckets.get(bucket)
    check_name(name)
    conditions.read(request.query).check(request.storage.objects.find(bucket, name))
    return name


async def _finish(request: Request, name: str, said: Json, incoming: Incoming, sums: Checksums) -> Json:
    objects = request.storage.objects
    header = checksums.from_header(request.exchange.headers.get("x-goog-hash", ""))
    checksums.compare(sums, {**said, **header})
    file = ""
    if incoming.size:
        file = objects.new_file()
        await incoming.keep(objects.path(file))
    content = Content(file=file, size=incoming.size, crc32c=sums.crc32c, md5=sums.md5)
    return _insert(request, name, said, content)


def _insert(request: Request, name: str, said: Json, content: Content) -> Json:
    """Decide and keep, without a pause between."""
    (bucket,) = request.path
    objects = request.storage.objects
    try:
        may_insert(request, bucket, name)
        said = {**said, "contentType": said.get("contentType") or "application/octet-stream"}
        made = objects.insert(bucket, name, content, said, conditions.read(request.query))
    except Exception:
        objects.discard(content)
        raise
    return shown_object(made, request.storage.buckets.get(bucket), request.base)


def _parsed(data: bytes) -> Json:
    if not data.strip():
        return {}
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise StorageError(400, "parseError", "Parse Error") from None
    if not isinstance(value, dict):
        raise invalid("What is said of the object must be a JSON object.")
    return value


def _parts(body: bytes, content_type: str) -> tuple[Json, str, bytes]:
    """What is said, and the bytes with their type, of a multipart/related body."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise invalid("Missing multipart boundary.")
    mark = re.escape(b"--" + next(filter(None, boundary.groups())).encode("latin-1"))
    parts = [part for part in re.split(rb"(?:\A|\r?\n)" + mark, body)[1:] if not part.startswith(b"--")]
    if len(parts) != 2:
        raise invalid("A multipart upload has two parts: what is said of the object, and its bytes.")
    said, _ = _part(parts[0])
    data, kind = _part(parts[1])
    return _parsed(said), kind or "application/octet-stream", data


def _part(part: bytes) -> tuple[bytes, str]:
    """The body of a part, and its content type."""
    end = re.search(rb"\r?\n\r?\n", part)
    if end is None:
        raise invalid("Malformed multipart body.")
    headers = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(part[: end.end()].lstrip(b"\r\n"))
    return part[end.end() :], str(headers.get("content-type", ""))


# In pieces


async def _resumable(request: Request) -> None:
    said = _parsed(await request.exchange.body(1 << 20))
    kind = request.exchange.headers.get("x-upload-content-type")
    if kind:
        said.setdefault("contentType", kind)
    name = _named(request, said)
    (bucket,) = request.path
    query = {key: value for key, value in request.query.items() if key.startswith("if")}
    what = {"bucket": bucket, "name": name, "said": said, "query": query}
    caller = request.principal
    who = {"member": caller.member, "owner": caller.owner, "sets": caller.sets}
    key = request.storage.sessions.begin({**what, **who})
    at = f"{request.exchange.base}/upload/storage/v1/b/{quote(bucket)}/o?uploadType=resumable&upload_id={key}"
    await request.exchange.answer(200, headers={"location": at, "x-guploader-uploadid": key})


async def go_on(request: Request) -> Json | None:
    """A request to a session's own address, which is all the credentials that it needs."""
    key, sessions = request.query["upload_id"], request.storage.sessions
    found = sessions.find(key)
    if found is None or found["bucket"] != request.path[0]:
        raise _no_session()
    if request.exchange.method == "DELETE":
        sessions.end(key)
        await request.exchange.answer(499)
        return None
    if request.exchange.method not in ("PUT", "POST"):
        raise StorageError(405, "methodNotAllowed", "A session takes PUT and DELETE.")
    if sessions.busy(key):
        raise StorageError(503, "backendError", "A piece of this upload is on its way.")
    header = request.exchange.headers.get("content-range")
    match = _RANGE.fullmatch(header) if header is not None else None
    if header is not None and match is None:
        raise invalid(f"Invalid Content-Range: {header}")
    start = int(match[1]) if match and match[1] else 0
    total = int(match[3]) if match and match[3] != "*" else None
    asks_only, broken = match is not None and match[1] is None, False
    if not asks_only:
        if start > found["size"]:
            raise StorageError(503, "backendError", f"Invalid request. The next byte is {found['size']}, not {start}.")
        try:
            await sessions.write(key, request.exchange.pieces(), found["size"] - start)
        except ClientGoneError:
            broken = True  # what has come is kept, and its sender will ask how much that is
        if sessions.find(key) is None:
            raise _no_session()
    size = int(found["size"])
    if match is None:  # the body is the whole object; its end is not always said before
        length = request.exchange.headers.get("content-length", "")
        total = int(length) if length.isdecimal() else size
    if broken or total is None or size < total:
        headers = {"x-guploader-uploadid": key, **({"range": f"bytes=0-{size - 1}"} if size else {})}
        await request.exchange.answer(308, headers=headers)
        return None
    if size > total:
        sessions.end(key)
        raise invalid(f"The upload has {size} bytes, more than the {total} that were said.")
    return await _complete(request, key, found)


def _no_session() -> StorageError:
    return StorageError(404, "notFound", "The upload session was not found, or has ended.")


async def _complete(request: Request, key: str, found: Json) -> Json:
    sessions = request.storage.sessions
    try:
        content, sums = await sessions.content(key)
    except FileNotFoundError:
        if sessions.find(key) is not None:
            raise
        raise _no_session() from None
    request.principal = Principal(found["member"], owner=found["owner"], sets=tuple(found.get("sets", ())))
    request.exchange.query = {**request.query, **found["query"]}
    try:
        header = checksums.from_header(request.exchange.headers.get("x-goog-hash", ""))
        checksums.compare(sums, {**found["said"], **header})
    except StorageError:
        request.storage.objects.discard(content)
        sessions.end(key)
        raise
    try:
        return _insert(request, found["name"], found["said"], content)
    finally:
        sessions.end(key)
