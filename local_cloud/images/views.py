"""Packages, versions, tags, files and Docker images as Artifact Registry shows what was pushed.

Messages out of documents; nothing is changed here. Sources: google/devtools/artifactregistry/v1/{package,version,tag,
file,artifact}.proto.
"""

from typing import Any

import orjson

from local_cloud.descriptors import Message, enum, message
from local_cloud.images.manifests import CONFIGS, INDEXES
from local_cloud.images.names import image_of
from local_cloud.images.registry import Images

_PACKAGE = "google.devtools.artifactregistry.v1"
SHA256 = enum(f"{_PACKAGE}.Hash.HashType")["SHA256"]
#: A configuration above this is not read for what a view shows of it.
MAX_CONFIG = 1 << 20


def uri(repository: str, image: str) -> str:
    """What clients of the registry name an image by."""
    _, project, _, location, _, name = repository.split("/")
    return f"{location}-docker.pkg.dev/{project.replace(':', '/')}/{name}/{image}"


def stamp(moment: Message, at: float) -> None:
    """Put a moment of the clock into a timestamp."""
    moment.FromNanoseconds(int(at * 1e6) * 1000)


def package(images: Images, name: str) -> Message:
    """A package."""
    versions = [one for _, one in images.versions_of(name)]
    made = message(f"{_PACKAGE}.Package")(name=name)
    stamp(made.create_time, min(one["at"] for one in versions))
    stamp(made.update_time, max(one["updated"] for one in versions))
    made.annotations.update((images.annotations.get(name) or {}).items())
    return made


def tag(images: Images, name: str) -> Message:
    """A tag."""
    kept = images.tags[name]
    version = f"{name.partition('/tags/')[0]}/versions/{kept['digest']}"
    return message(f"{_PACKAGE}.Tag")(name=name, version=version)


def version(images: Images, name: str, *, full: bool) -> Message:
    """A version; in full with its tags."""
    kept = images.versions[name]
    parent, _, digest = name.partition("/versions/")
    repository, _, short = parent.partition("/packages/")
    made = message(f"{_PACKAGE}.Version")(name=name, annotations=kept["labels"])
    stamp(made.create_time, kept["at"])
    stamp(made.update_time, kept["updated"])
    if full:
        made.related_tags.extend(tag(images, one) for one, _ in images.tags_of(parent, digest))
    made.fingerprints.add(type=SHA256, value=bytes.fromhex(digest[7:]))
    made.metadata.update(
        {
            "name": f"{repository}/dockerImages/{short}@{digest}",
            "imageSizeBytes": str(kept["size"]),
            "mediaType": kept["media_type"],
            "artifactType": kept["artifact_type"],
        }
    )
    return made


def docker_image(images: Images, name: str) -> Message:
    """A version as a Docker image."""
    kept = images.versions[name]
    parent, _, digest = name.partition("/versions/")
    repository, _, short = parent.partition("/packages/")
    made = message(f"{_PACKAGE}.DockerImage")(
        name=f"{repository}/dockerImages/{short}@{digest}",
        uri=f"{uri(repository, image_of(short))}@{digest}",
        tags=sorted(one.rpartition("/")[2] for one, _ in images.tags_of(parent, digest)),
        image_size_bytes=kept["size"],
        media_type=kept["media_type"],
    )
    if kept["artifact_type"] not in CONFIGS:
        made.artifact_type = kept["artifact_type"]
    stamp(made.upload_time, kept["at"])
    stamp(made.update_time, kept["updated"])
    manifest = _json(images, digest)
    if kept["media_type"] in INDEXES:
        for child in manifest.get("manifests", ()):
            platform = child.get("platform") or {}
            made.image_manifests.add(
                digest=child["digest"],
                media_type=child["mediaType"],
                architecture=str(platform.get("architecture", "")),
                os=str(platform.get("os", "")),
                os_version=str(platform.get("os.version", "")),
                variant=str(platform.get("variant", "")),
            )
    elif kept["artifact_type"] in CONFIGS and manifest["config"]["size"] <= MAX_CONFIG:
        built = _json(images, manifest["config"]["digest"]).get("created")
        if isinstance(built, str):
            _read_time(made.build_time, built)
    return made


def file(images: Images, repository: str, digest: str) -> Message:
    """A blob as a file of its repository."""
    blob = images.blobs.find(repository, digest)
    assert blob is not None
    made = message(f"{_PACKAGE}.File")(name=f"{repository}/files/{digest}", size_bytes=blob["size"])
    made.hashes.add(type=SHA256, value=bytes.fromhex(digest[7:]))
    stamp(made.create_time, blob["at"])
    stamp(made.update_time, blob["at"])
    for versions in images.packages(repository).values():
        for name, one in versions:
            if digest in one["parts"] or name.endswith(digest):
                made.owner = name
                return made
    return made


def _json(images: Images, digest: str) -> dict[str, Any]:
    try:
        found = orjson.loads(images.blobs.path(digest).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_time(moment: Message, text: str) -> None:
    try:
        moment.FromJsonString(text)
    except ValueError:  # the image's own affair
        moment.Clear()
