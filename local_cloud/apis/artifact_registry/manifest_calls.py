"""Manifests, tags and referrers on the wire.

Source: OCI distribution specification 1.1.
"""

from typing import Any
from urllib.parse import quote

import orjson

from local_cloud.apis.artifact_registry.refusals import BLOB_UNKNOWN, refused
from local_cloud.apis.artifact_registry.request import DELETE, DOWNLOAD, UPLOAD, VERSION, Request, well_formed
from local_cloud.exchanges import BodyTooLargeError
from local_cloud.images import manifests
from local_cloud.images.names import DIGEST, TAG
from local_cloud.images.registry import MissingPartError

#: Tags in one answer where the caller names no number, and at most.
TAGS_PAGE = 1000


def _reference(request: Request) -> tuple[str, str]:
    """The digest and the tag of the path, one of which is empty."""
    reference = request.at["reference"]
    if DIGEST.fullmatch(reference):
        return reference, ""
    if not TAG.fullmatch(reference):
        raise refused("TAG_INVALID" if ":" not in reference else "DIGEST_INVALID", f"{reference} is no tag", 400)
    return "", reference


async def _get_manifest(request: Request) -> None:
    request.may(DOWNLOAD)
    digest = request.images.resolve(request.package, request.at["reference"])
    if not digest:
        reference = request.at["reference"]
        raise refused("MANIFEST_UNKNOWN", f'Failed to fetch "{reference}"', 404)
    version = request.images.versions[f"{request.package}/versions/{digest}"]
    data = await request.images.blobs.read(digest)
    headers = {**VERSION, "docker-content-digest": digest, "etag": f'"{digest}"'}
    await request.exchange.answer(200, data, headers, version["media_type"])


async def _put_manifest(request: Request) -> None:
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


async def _delete_manifest(request: Request) -> None:
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


async def _tags(request: Request) -> None:
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


async def _referrers(request: Request) -> None:
    request.may(DOWNLOAD)
    digest, kind = request.at["referrers"], request.exchange.query.get("artifactType", "")
    well_formed(digest)
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


MANIFEST = {"GET": _get_manifest, "HEAD": _get_manifest, "PUT": _put_manifest, "DELETE": _delete_manifest}
TAGS = {"GET": _tags}
REFERRERS = {"GET": _referrers}
