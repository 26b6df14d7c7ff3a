"""A base from a registry, by its digest: an image of somebody else's that has CPython 3.11 on glibc for amd64.

Owns choosing the image for amd64 and reading its files. Its layers go into our image as they are, byte for byte.
Sources: OCI image-spec image-index.md, layer.md (whiteouts).
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ops.errors import BadUsage, OpsError
from ops.images.build import Base, Layer
from ops.images.bytecode import INTERPRETERS
from ops.images.debian import MERGED
from ops.images.layout import LAYER
from ops.images.registry import Reference, Registry
from ops.images.sbom import Part
from ops.images.tree import FILE, PROGRAM, Entry, digest

DOCKERS_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"


def base(text: str, say: Callable[[str], None]) -> Base:
    """The base that is named."""
    reference = Reference.parse(text)
    if not reference.digest:
        raise BadUsage(
            f"{text} names no digest",
            why="a tag moves: the same commit would make another image tomorrow",
            fix=f"--base {text}@sha256:...; docker buildx imagetools inspect {text} prints it",
        )
    registry = Registry(reference=reference, say=say)
    value = _for_amd64(registry, json.loads(registry.manifest(reference.digest)), text)
    config = json.loads(registry.blob(value["config"]["digest"]))
    layers: list[Layer] = []
    files: dict[str, Entry] = {}
    for number, (one, diff_id) in enumerate(zip(value["layers"], config["rootfs"]["diff_ids"], strict=True)):
        say(f"the base's layer {one['digest'][:19]}, {one['size'] / 1e6:.1f} MB")
        data = registry.blob(one["digest"])
        if one["mediaType"] not in (LAYER, DOCKERS_LAYER):
            raise OpsError(f"{text} has a layer of type {one['mediaType']}", fix="take a base with gzip layers")
        tar = gzip.decompress(data)
        if digest(tar) != diff_id:
            raise OpsError(f"{text}: the layer {one['digest']} is not what its configuration says")
        _lay(files, tar)
        layers.append(Layer(name=f"base-{number}", data=data, diff_id=diff_id, unpacked=len(tar)))
    home = next((path.rpartition("/")[0] for path in INTERPRETERS if path in files), "")
    if not home:
        raise OpsError(
            f"{text} has no Python 3.11 at /usr/bin or /usr/local/bin",
            why="the services' packages are for CPython 3.11",
            fix="take python:3.11-slim-bookworm, by digest, or no --base at all",
        )
    env = dict(pair.split("=", 1) for pair in config.get("config", {}).get("Env", []))
    name = reference.name.rpartition("/")[2]
    purl = f"pkg:oci/{name}@{quote(reference.digest, safe='')}?repository_url={quote(reference.path, safe='/')}"
    part = Part(name=name, version=reference.digest, purl=purl)
    return Base(layers=layers, tree=files, parts=[part], home=home, env=env, name=text, digest=reference.digest)


def _for_amd64(registry: Registry, value: dict[str, Any], text: str) -> dict[str, Any]:
    """An image's manifest: of an index, the one for Linux on amd64."""
    if "manifests" not in value:
        return value
    wanted = {"os": "linux", "architecture": "amd64"}
    for one in value["manifests"]:
        if wanted.items() <= one.get("platform", {}).items():
            found: dict[str, Any] = json.loads(registry.manifest(one["digest"]))
            return found
    raise OpsError(f"{text} has no image for linux/amd64, which is what Cloud Run runs")


def _lay(files: dict[str, Entry], tar: bytes) -> None:
    """Lay a layer over what is there."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for info in archive:
            path = _merged(info.name)
            folder, _, name = path.rpartition("/")
            if name.startswith(WHITEOUT):
                gone = folder if name == OPAQUE else f"{folder}/{name.removeprefix(WHITEOUT)}".lstrip("/")
                for old in [old for old in files if old == gone or old.startswith(f"{gone}/")]:
                    del files[old]
            elif info.issym():
                files[path] = Entry(link=info.linkname)
            elif info.islnk():
                files[path] = files[_merged(info.linkname)]
            elif info.isfile():
                opened = archive.extractfile(info)
                assert opened is not None
                files[path] = Entry(data=opened.read(), mode=PROGRAM if info.mode & 0o111 else FILE)


def _merged(name: str) -> str:
    """A path as it is under a merged /usr."""
    path = name.removeprefix("./").strip("/")
    return f"usr/{path}" if "/" in path and path.partition("/")[0] in MERGED else path
