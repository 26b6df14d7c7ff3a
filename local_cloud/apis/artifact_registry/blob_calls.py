"""Blobs on the wire: pulled whole or in part, pushed in one request or in pieces, taken over from other repositories.

Source: OCI distribution specification 1.1.
"""

import re
from typing import NoReturn

from local_cloud.apis.artifact_registry.refusals import BLOB_UNKNOWN, RegistryError, refused
from local_cloud.apis.artifact_registry.request import DELETE, DOWNLOAD, UPLOAD, VERSION, Request, well_formed
from local_cloud.exchanges import wanted_range
from local_cloud.files import stream
from local_cloud.images.names import DIGEST, NameWrongError, parse
from local_cloud.images.uploads import BlobTooLargeError, OutOfOrderError, SessionGoneError, WrongDigestError


async def _get_blob(request: Request) -> None:
    request.may(DOWNLOAD)
    digest = request.at["blob"]
    found = request.images.blobs.find(request.repository, digest) if DIGEST.fullmatch(digest) else None
    if found is None:
        raise refused("BLOB_UNKNOWN", BLOB_UNKNOWN, 404, detail={"digest": digest})
    size = int(found["size"])
    headers = {**VERSION, "docker-content-digest": digest, "etag": f'"{digest}"', "accept-ranges": "bytes"}
    headers["content-type"] = "application/octet-stream"
    try:
        part = wanted_range(request.exchange.headers.get("range", ""), size)
    except ValueError:
        unmet = {"content-range": f"bytes */{size}"}
        raise refused("RANGE_INVALID", "invalid content range", 416, headers=unmet) from None
    start, end = part or (0, size)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    path = request.images.blobs.path(digest)
    await request.exchange.stream(206 if part else 200, stream(path, start, end), headers)


async def _delete_blob(request: Request) -> None:
    request.may(DELETE)
    digest = request.at["blob"]
    if request.images.blobs.find(request.repository, digest) is None:
        raise refused("BLOB_UNKNOWN", BLOB_UNKNOWN, 404)
    if digest in request.images.needed(request.repository):
        raise refused("DENIED", f"{digest} is part of an image: delete the image", 405)
    request.images.blobs.drop(request.repository, digest)
    await request.exchange.answer(202, headers=VERSION)


async def _begin(request: Request) -> None:
    """POST: a session; or a blob at once, by its bytes or from another repository."""
    request.may(UPLOAD)
    query = request.exchange.query
    if (digest := query.get("mount")) is not None:
        if await _mount(request, digest, query.get("from", "")):
            return
    elif (digest := query.get("digest")) is not None:
        well_formed(digest)
        try:
            await request.images.uploads.take(request.repository, digest, request.exchange.pieces())
        except (WrongDigestError, BlobTooLargeError) as error:
            _wrong(error, digest)
        await _made(request, digest)
        return
    session = request.images.uploads.begin(request.repository)
    await _so_far(request, session, 0)


async def _mount(request: Request, digest: str, source: str) -> bool:
    images = request.images
    found = images.blobs.find(request.repository, digest)
    if found is None and source:
        try:
            other = images.repositories.named(parse(source, request.path.location))
        except NameWrongError:
            return False
        found = images.blobs.find(other, digest)
        if found is None or not request.cloud.iam.allows(request.principal, DOWNLOAD, other):
            return False
    if found is None:
        return False
    images.blobs.link(request.repository, digest, found["size"])
    await _made(request, digest)
    return True


async def _session(request: Request, permission: str = UPLOAD) -> str:
    request.may(permission)
    session: str = request.at["upload"] or ""
    if request.images.uploads.find(request.repository, session) is None:
        raise _no_session()
    return session


def _no_session() -> RegistryError:
    return refused("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", 404)


async def _progress(request: Request) -> None:
    session = await _session(request)
    found = request.images.uploads.find(request.repository, session)
    await _so_far(request, session, found["size"] if found else 0, status=204)


async def _piece(request: Request) -> None:
    session = await _session(request)
    await _so_far(request, session, await _write(request, session))


async def _write(request: Request, session: str) -> int:
    header = request.exchange.headers.get("content-range")
    start = None
    if header is not None:
        match = re.fullmatch(r"(?:bytes )?(\d+)-(\d+)(?:/.*)?", header)
        if match is None:
            raise refused("BLOB_UPLOAD_INVALID", f"Content-Range {header} is no START-END", 400)
        start = int(match[1])
    try:
        return await request.images.uploads.write(session, request.exchange.pieces(), start)
    except OutOfOrderError:
        found = request.images.uploads.find(request.repository, session)
        size = found["size"] if found else 0
        at = {"range": f"0-{max(size - 1, 0)}"}
        raise refused("BLOB_UPLOAD_INVALID", f"the next piece begins at {size}", 416, headers=at) from None
    except (BlobTooLargeError, SessionGoneError) as error:
        _wrong(error, "")


async def _finish(request: Request) -> None:
    session = await _session(request)
    digest = request.exchange.query.get("digest", "")
    well_formed(digest)
    await _write(request, session)
    try:
        await request.images.uploads.finish(session, digest)
    except (WrongDigestError, OutOfOrderError, SessionGoneError) as error:
        _wrong(error, digest)
    await _made(request, digest)


async def _cancel(request: Request) -> None:
    request.images.uploads.cancel(await _session(request))
    await request.exchange.answer(204, headers=VERSION)


def _wrong(error: Exception, digest: str) -> NoReturn:
    if isinstance(error, WrongDigestError):
        text = f"provided digest did not match uploaded content: {digest} was said, and it is {error}"
        raise refused("DIGEST_INVALID", text, 400) from None
    if isinstance(error, SessionGoneError):
        raise _no_session() from None
    if isinstance(error, OutOfOrderError):
        raise refused("BLOB_UPLOAD_INVALID", "a piece of this upload is on its way", 409) from None
    raise refused("SIZE_INVALID", "the blob is larger than the local cloud takes", 413) from None


async def _made(request: Request, digest: str) -> None:
    at = f"/v2/{request.name}/blobs/{digest}"
    await request.exchange.answer(201, headers={**VERSION, "location": at, "docker-content-digest": digest})


async def _so_far(request: Request, session: str, size: int, *, status: int = 202) -> None:
    at = f"/v2/{request.name}/blobs/uploads/{session}"
    headers = {"location": at, "range": f"0-{max(size - 1, 0)}", "docker-upload-uuid": session}
    await request.exchange.answer(status, headers={**VERSION, **headers})


BLOB = {"GET": _get_blob, "HEAD": _get_blob, "DELETE": _delete_blob}
UPLOADS = {"POST": _begin, "GET": _progress, "PATCH": _piece, "PUT": _finish, "DELETE": _cancel}
