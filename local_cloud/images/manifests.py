"""What a manifest says: its kind, the blobs and manifests that it is made of, what it is about.

Pure: bytes in, a description out; ManifestError says what is wrong with them.
Sources: https://github.com/opencontainers/image-spec (manifest, index, descriptor), Docker's manifest v2 schema 2.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from local_cloud.images.names import DIGEST

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
KINDS = frozenset({OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST})
#: A manifest has at most so many bytes (distribution specification: registries should take 4 MiB).
MAX_BYTES = 4 * 1024 * 1024
#: Configurations that make a manifest an image, which can be run.
CONFIGS = frozenset({"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"})


class ManifestError(ValueError):
    """The bytes are no manifest that a registry takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a descriptor points to."""

    digest: str
    size: int
    media_type: str
    #: Lies elsewhere and is not pushed ("foreign" layers).
    foreign: bool = False
    platform: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest, read."""

    digest: str
    size: int
    media_type: str
    config: Part | None = None
    layers: tuple[Part, ...] = ()
    children: tuple[Part, ...] = ()
    subject: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str]

    @property
    def blobs(self) -> tuple[Part, ...]:
        """The blobs that must be there for it to be of use."""
        return tuple(part for part in (self.config, *self.layers) if part is not None and not part.foreign)


def digest_of(data: bytes) -> str:
    """What bytes are addressed by."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def read(data: bytes, content_type: str) -> Manifest:
    """Read a manifest that came as `content_type`."""
    if len(data) > MAX_BYTES:
        raise ManifestError(f"the manifest has {len(data)} bytes, more than {MAX_BYTES}")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ManifestError(f"the manifest is no JSON: {error}") from None
    if not isinstance(value, dict) or value.get("schemaVersion") != 2:
        raise ManifestError("the manifest's schemaVersion must be 2")
    declared = value.get("mediaType")
    sent = content_type.partition(";")[0].strip().lower()
    media_type = declared or sent
    if media_type not in KINDS:
        raise ManifestError(f"the media type {media_type or '(none)'} is no manifest's")
    if declared and sent in KINDS and sent != declared:
        raise ManifestError(f"the manifest's mediaType is {declared}, and it was sent as {sent}")
    annotations = value.get("annotations")
    if annotations is None:
        annotations = {}
    if not isinstance(annotations, dict) or not all(isinstance(v, str) for v in annotations.values()):
        raise ManifestError("annotations must be a map of texts")
    subject = value.get("subject")
    common: dict[str, Any] = {
        "digest": digest_of(data),
        "size": len(data),
        "media_type": media_type,
        "subject": _part(subject, "subject").digest if subject is not None else "",
        "annotations": annotations,
    }
    kind = value.get("artifactType")
    if media_type in INDEXES:
        children = tuple(_part(one, "manifests") for one in _list(value, "manifests"))
        return Manifest(**common, children=children, artifact_type=kind if isinstance(kind, str) else "")
    config = _part(value.get("config"), "config")
    layers = tuple(_part(one, "layers") for one in _list(value, "layers"))
    named = kind if isinstance(kind, str) and kind else config.media_type
    return Manifest(**common, config=config, layers=layers, artifact_type=named)


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list):
        raise ManifestError(f"{name} must be a list of descriptors")
    return found


def _part(value: Any, where: str) -> Part:
    if not isinstance(value, dict):
        raise ManifestError(f"{where} must be a descriptor")
    digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ManifestError(f"{where}: the digest {digest!r} is no sha256")
    if not isinstance(size, int) or size < 0:
        raise ManifestError(f"{where}: the size {size!r} is no number of bytes")
    if not isinstance(media_type, str) or not media_type:
        raise ManifestError(f"{where}: a descriptor needs a mediaType")
    platform = value.get("platform")
    foreign = "foreign" in media_type or "nondistributable" in media_type
    return Part(
        digest=digest,
        size=size,
        media_type=media_type,
        foreign=foreign,
        platform=platform if isinstance(platform, dict) else {},
    )
