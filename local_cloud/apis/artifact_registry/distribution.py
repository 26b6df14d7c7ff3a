"""The registry that images are pushed to and pulled from: Docker's and OCI's distribution API at /v2/.

Owns the wire: which request means what, who may do it, the errors' shape. Cloud Run, Cloud Tasks and Logging have paths
at /v2/ too; images/names.py says which are the registry's. What lies in the registry is images/'s.
Sources: the OCI distribution specification 1.1, https://cloud.google.com/artifact-registry/docs/docker/authentication,
.../docs/access-control.
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn
from urllib.parse import quote

import orjson

from local_cloud.apis.artifact_registry.api import API
from local_cloud.apis.artifact_registry.refusals import BLOB_UNKNOWN, RegistryError, refused
from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.exchanges import BodyTooLargeError, ClientGoneError, Exchange, Receive, Scope, Send, wanted_range
from local_cloud.files import stream
from local_cloud.images import manifests
from local_cloud.images.names import DIGEST, SHAPE, TAG, NameWrongError, is_registrys, package_id, parse
from local_cloud.images.registry import Images, MissingPartError
from local_cloud.images.uploads import BlobTooLargeError, OutOfOrderError, WrongDigestError
from local_cloud.registry import Door, Principal

#: Tags in one answer where the caller names no number, and at most.
TAGS_PAGE = 1000
VERSION = {"docker-distribution-api-version": "registry/2.0"}
UPLOAD, DOWNLOAD, DELETE = (
    f"artifactregistry.repositories.{what}Artifacts" for what in ("upload", "download", "delete")
)


class _Request:
    """One request to an image: who asks, and what of which repository."""

    def __init__(self, exchange: Exchange, match: "re.Match[str]") -> None:
        self.exchange = exchange
        self.cloud = exchange.cloud
        self.images = exchange.cloud.use(Images)
        self.name: str = match["name"]
        self.at = match
        self.principal: Principal = _caller(exchange, self.name)
        host = exchange.headers.get("host", "").partition(":")[0].lower()
        location = host.removesuffix("-docker.pkg.dev") if host.endswith("-docker.pkg.dev") else ""
        try:
            self.path = parse(self.name, location)
        except NameWrongError:
            raise refused("NAME_INVALID", f"{self.name} is no PROJECT/REPOSITORY/IMAGE", 400) from None
        self.repository = self.images.repositories.named(self.path)
        self.package = f"{self.repository}/packages/{package_id(self.path.image)}"

    def may(self, permission: str) -> None:
        """Refuse a caller without a permission on the repository; then one who names a repository that is not there."""
        canonical = self.cloud.canonical(self.repository)
        shown = f'Permission "{permission}" denied on resource "{canonical}" (or it may not exist)'
        self.cloud.iam.require(self.principal, permission, canonical, shown)
        if not self.images.repositories.holds_images(canonical):
            raise refused("NAME_UNKNOWN", f'Repository "{self.path.repository}" not found', 404)


@API.mount("/v2/", is_registrys)
async def serve(cloud: Cloud, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        await send({"type": "tunnel.data", "body": b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"})
        return
    exchange = Exchange(cloud, scope, receive, send)
    try:
        with cloud.clock.busy("artifactregistry"):
            await _answer(exchange)
    except ClientGoneError:
        return
    except RegistryError as error:
        await _refuse(exchange, error)
    except ApiError as error:
        await _refuse(exchange, _as_registrys(exchange, error))
    except Exception as error:
        if exchange.answered:
            raise
        cloud.log.event(
            "ERROR", f"The registry failed at {exchange.method} {exchange.path}: {error!r}", trace=repr(error)
        )
        await _refuse(exchange, refused("UNKNOWN", "Internal error encountered.", 500))


async def _refuse(exchange: Exchange, error: RegistryError) -> None:
    body = {
        "errors": [{"code": error.code, "message": error.text, **({"detail": error.detail} if error.detail else {})}]
    }
    await exchange.answer(error.status, orjson.dumps(body), {**VERSION, **error.headers})


def _as_registrys(exchange: Exchange, error: ApiError) -> RegistryError:
    if error.code == "UNAUTHENTICATED":
        return _challenge(exchange)
    code = {"PERMISSION_DENIED": "DENIED", "FAILED_PRECONDITION": "MANIFEST_INVALID", "NOT_FOUND": "NAME_UNKNOWN"}
    return refused(code.get(error.code, "UNKNOWN"), error.text, error.http_status)


async def _answer(exchange: Exchange) -> None:
    if exchange.path in ("/v2", "/v2/"):
        _caller(exchange)
        await exchange.answer(200, b"{}", VERSION)
    elif exchange.path == "/v2/token":
        await _token(exchange)
    elif match := SHAPE.fullmatch(exchange.path):
        request = _Request(exchange, match)
        kind = next(kind for kind in _HANDLERS if match[kind] is not None)
        handler = _HANDLERS[kind].get(exchange.method)
        if handler is None:
            raise refused("UNSUPPORTED", f"{exchange.method} is not supported here", 405)
        await handler(request)
    else:
        raise refused("NAME_UNKNOWN", f"The registry has nothing at {exchange.path}", 404)


# Who calls


def _caller(exchange: Exchange, name: str = "") -> Principal:
    try:
        return exchange.caller(API.host, _bearer(exchange))
    except ApiError as error:
        if error.code == "UNAUTHENTICATED":
            raise _challenge(exchange, name) from None
        raise


def _bearer(exchange: Exchange) -> str | None:
    """The token of the request as `Bearer`: Basic credentials hold one as the password of `oauth2accesstoken`."""
    kind, _, value = exchange.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value).decode().partition(":")
        if user == "_json_key_base64":
            user, password = "_json_key", base64.b64decode(password).decode()
    except (binascii.Error, UnicodeError):
        return "Bearer invalid"
    if user == "_json_key":
        email = _holder(exchange.cloud, password)
        password = exchange.cloud.identity.access_token(f"serviceAccount:{email}").token if email else ""
    return f"Bearer {password}"


def _holder(cloud: Cloud, file: str) -> str:
    """The account whose key a credentials file has; "" where it is no key of an account that is here."""
    from local_cloud.iam.keys import public_keys
    from local_cloud.rsa_keys import load_key

    try:
        key: dict[str, Any] = orjson.loads(file)
        account = cloud.iam.accounts.find(key["client_email"])
        kept = public_keys(cloud, account)[key["private_key_id"]] if account is not None else None
        mine = load_key(key["private_key"]).public_key()
    except Exception:  # whatever is wrong with it, it proves nothing
        return ""
    return str(key["client_email"]) if kept is not None and kept.public_numbers() == mine.public_numbers() else ""


def _challenge(exchange: Exchange, name: str = "") -> RegistryError:
    host = exchange.base.partition("//")[2]
    scope = (
        f',scope="repository:{name}:{"pull" if exchange.method in ("GET", "HEAD") else "pull,push"}"' if name else ""
    )
    realm = f'Bearer realm="{exchange.base}/v2/token",service="{host}"{scope}'
    return refused("UNAUTHORIZED", "authentication failed", 401, headers={"www-authenticate": realm})


async def _token(exchange: Exchange) -> None:
    """A token for who has shown credentials; without them, the one of nobody, which public repositories take."""
    if exchange.door is Door.OWNER or "authorization" in exchange.headers:
        principal = _caller(exchange)
    else:
        raise _challenge(exchange)
    grant = exchange.cloud.identity.access_token(principal.member)
    left = int(grant.expires - exchange.cloud.now())
    body = {"token": grant.token, "access_token": grant.token, "expires_in": left}
    await exchange.answer(200, orjson.dumps(body))


# Blobs


async def _get_blob(request: _Request) -> None:
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


async def _delete_blob(request: _Request) -> None:
    request.may(DELETE)
    digest = request.at["blob"]
    if request.images.blobs.find(request.repository, digest) is None:
        raise refused("BLOB_UNKNOWN", BLOB_UNKNOWN, 404)
    if digest in request.images.needed(request.repository):
        raise refused("DENIED", f"{digest} is part of an image: delete the image", 405)
    request.images.blobs.drop(request.repository, digest)
    await request.exchange.answer(202, headers=VERSION)


async def _begin(request: _Request) -> None:
    """POST: a session; or a blob at once, by its bytes or from another repository."""
    request.may(UPLOAD)
    query = request.exchange.query
    if (digest := query.get("mount")) is not None:
        if await _mount(request, digest, query.get("from", "")):
            return
    elif (digest := query.get("digest")) is not None:
        _well_formed(digest)
        try:
            await request.images.uploads.take(request.repository, digest, request.exchange.pieces())
        except (WrongDigestError, BlobTooLargeError) as error:
            _wrong(error, digest)
        await _made(request, digest)
        return
    session = request.images.uploads.begin(request.repository)
    await _so_far(request, session, 0)


async def _mount(request: _Request, digest: str, source: str) -> bool:
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


async def _session(request: _Request, permission: str = UPLOAD) -> str:
    request.may(permission)
    session: str = request.at["upload"] or ""
    if request.images.uploads.find(request.repository, session) is None:
        raise refused("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", 404)
    return session


async def _progress(request: _Request) -> None:
    session = await _session(request)
    found = request.images.uploads.find(request.repository, session)
    await _so_far(request, session, found["size"] if found else 0, status=204)


async def _piece(request: _Request) -> None:
    session = await _session(request)
    await _so_far(request, session, await _write(request, session))


async def _write(request: _Request, session: str) -> int:
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
    except BlobTooLargeError as error:
        _wrong(error, "")


async def _finish(request: _Request) -> None:
    session = await _session(request)
    digest = request.exchange.query.get("digest", "")
    _well_formed(digest)
    await _write(request, session)
    try:
        await request.images.uploads.finish(session, digest)
    except (WrongDigestError, OutOfOrderError) as error:
        _wrong(error, digest)
    await _made(request, digest)


async def _cancel(request: _Request) -> None:
    request.images.uploads.cancel(await _session(request))
    await request.exchange.answer(204, headers=VERSION)


def _well_formed(digest: str) -> None:
    if not DIGEST.fullmatch(digest):
        raise refused("DIGEST_INVALID", f"the digest {digest!r} is no sha256", 400)


def _wrong(error: Exception, digest: str) -> NoReturn:
    if isinstance(error, WrongDigestError):
        text = f"provided digest did not match uploaded content: {digest} was said, and it is {error}"
        raise refused("DIGEST_INVALID", text, 400) from None
    if isinstance(error, OutOfOrderError):
        raise refused("BLOB_UPLOAD_INVALID", "a piece of this upload is on its way", 409) from None
    raise refused("SIZE_INVALID", "the blob is larger than the local cloud takes", 413) from None


async def _made(request: _Request, digest: str) -> None:
    at = f"/v2/{request.name}/blobs/{digest}"
    await request.exchange.answer(201, headers={**VERSION, "location": at, "docker-content-digest": digest})


async def _so_far(request: _Request, session: str, size: int, *, status: int = 202) -> None:
    at = f"/v2/{request.name}/blobs/uploads/{session}"
    headers = {"location": at, "range": f"0-{max(size - 1, 0)}", "docker-upload-uuid": session}
    await request.exchange.answer(status, headers={**VERSION, **headers})


# Manifests


def _reference(request: _Request) -> tuple[str, str]:
    """The digest and the tag of the path, one of which is empty."""
    reference = request.at["reference"]
    if DIGEST.fullmatch(reference):
        return reference, ""
    if not TAG.fullmatch(reference):
        raise refused("TAG_INVALID" if ":" not in reference else "DIGEST_INVALID", f"{reference} is no tag", 400)
    return "", reference


async def _get_manifest(request: _Request) -> None:
    request.may(DOWNLOAD)
    digest = request.images.resolve(request.package, request.at["reference"])
    if not digest:
        reference = request.at["reference"]
        raise refused("MANIFEST_UNKNOWN", f'Failed to fetch "{reference}"', 404)
    version = request.images.versions[f"{request.package}/versions/{digest}"]
    data = await request.images.blobs.read(digest)
    headers = {**VERSION, "docker-content-digest": digest, "etag": f'"{digest}"'}
    await request.exchange.answer(200, data, headers, version["media_type"])


async def _put_manifest(request: _Request) -> None:
    request.may(UPLOAD)
    digest, tag = _reference(request)
    try:
        data = await request.exchange.body(manifests.MAX_BYTES)
        manifest = manifests.read(data, request.exchange.headers.get("content-type", ""))
    except BodyTooLargeError:
        raise refused("MANIFEST_INVALID", f"a manifest has at most {manifests.MAX_BYTES} bytes", 413) from None
    except manifests.ManifestError as error:
        raise refused("MANIFEST_INVALID", str(error), 400) from None
    if digest and digest != manifest.digest:
        raise refused("DIGEST_INVALID", f"the manifest's digest is {manifest.digest}", 400)
    if tag:
        verb = "update" if f"{request.package}/tags/{tag}" in request.images.tags else "create"
        request.may(f"artifactregistry.tags.{verb}")
    try:
        await request.images.push(request.repository, request.path.image, data, manifest, tag)
    except MissingPartError as missing:
        detail = {"digest": str(missing)}
        raise refused("MANIFEST_BLOB_UNKNOWN", BLOB_UNKNOWN, 404, detail=detail) from None
    headers = {"location": f"/v2/{request.name}/manifests/{manifest.digest}", "docker-content-digest": manifest.digest}
    if manifest.subject:
        headers["oci-subject"] = manifest.subject
    await request.exchange.answer(201, headers={**VERSION, **headers})


async def _delete_manifest(request: _Request) -> None:
    request.may(DELETE)
    digest, tag = _reference(request)
    if tag:
        name = f"{request.package}/tags/{tag}"
        if name not in request.images.tags:
            raise refused("MANIFEST_UNKNOWN", f'Failed to fetch "{tag}"', 404)
        request.images.untag(name)
    else:
        name = f"{request.package}/versions/{digest}"
        if name not in request.images.versions:
            raise refused("MANIFEST_UNKNOWN", f'Failed to fetch "{digest}"', 404)
        request.images.may_delete(name, force=True)
        request.images.delete(name)
    await request.exchange.answer(202, headers=VERSION)


async def _tags(request: _Request) -> None:
    request.may(DOWNLOAD)
    if not request.images.versions_of(request.package):
        raise refused("NAME_UNKNOWN", f'Package "{request.path.image}" not found', 404)
    query, prefix = request.exchange.query, f"{request.package}/tags/"
    number = query.get("n", str(TAGS_PAGE))
    if not number.isdecimal():
        raise refused("PAGINATION_NUMBER_INVALID", f"n={number} is no number", 400)
    most, last = min(int(number), TAGS_PAGE), query.get("last", "")
    tags = sorted(name[len(prefix) :] for name, _ in request.images.tags_of(request.package))
    left = [tag for tag in tags if tag > last]
    headers = dict(VERSION)
    if 0 < most < len(left):
        after = f"/v2/{request.name}/tags/list?last={quote(left[most - 1])}&n={most}"
        headers["link"] = f'<{after}>; rel="next"'
    await request.exchange.answer(200, orjson.dumps({"name": request.name, "tags": left[:most]}), headers)


async def _referrers(request: _Request) -> None:
    request.may(DOWNLOAD)
    digest, kind = request.at["referrers"], request.exchange.query.get("artifactType", "")
    _well_formed(digest)
    found = []
    for name, version in request.images.referrers(request.package, digest):
        if kind and version["artifact_type"] != kind:
            continue
        one: dict[str, Any] = {"mediaType": version["media_type"], "digest": name.rpartition("/")[2]}
        one |= {"size": version["manifest_size"]}
        if version["artifact_type"]:
            one["artifactType"] = version["artifact_type"]
        if version["annotations"]:
            one["annotations"] = version["annotations"]
        found.append(one)
    body = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": found}
    applied = {"oci-filters-applied": "artifactType"} if kind else {}
    await request.exchange.answer(200, orjson.dumps(body), {**VERSION, **applied}, manifests.OCI_INDEX)


_HANDLERS: dict[str, dict[str, Callable[[_Request], Awaitable[None]]]] = {
    "uploads": {"POST": _begin, "GET": _progress, "PATCH": _piece, "PUT": _finish, "DELETE": _cancel},
    "blob": {"GET": _get_blob, "HEAD": _get_blob, "DELETE": _delete_blob},
    "reference": {"GET": _get_manifest, "HEAD": _get_manifest, "PUT": _put_manifest, "DELETE": _delete_manifest},
    "tags": {"GET": _tags},
    "referrers": {"GET": _referrers},
}
