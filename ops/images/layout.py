"""An image on disk: an OCI image layout, as a folder or as one tar.

Owns the folder's shape and reading it back. A folder of another kind is never written into.
Source: OCI image-spec image-layout.md, image-index.md, manifest.md.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import BadUsage, OpsError
from ops.images import tree
from ops.images.tree import Entry, digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
MARK = "oci-layout"


def packed(value: Any) -> bytes:
    """JSON in the one way in which it is digested here."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A manifest with its media type, and the blobs that it names, the configuration among them."""

    manifest: bytes
    blobs: Mapping[str, bytes]
    #: What it is about, "" for an image: "application/spdx+json".
    kind: str = ""

    @property
    def digest(self) -> str:
        """The name that deployments give."""
        return digest(self.manifest)

    @property
    def descriptor(self) -> dict[str, Any]:
        """As an index names it."""
        about = {"artifactType": self.kind} if self.kind else {"platform": {"architecture": "amd64", "os": "linux"}}
        return {"mediaType": MANIFEST, "digest": self.digest, "size": len(self.manifest), **about}


def check(place: Path) -> None:
    """Refuse a place that holds something else than an earlier image."""
    archive = place.suffix == ".tar"
    if not place.exists():
        return
    if not archive and place.is_dir() and ((place / MARK).is_file() or not any(place.iterdir())):
        return
    if archive and place.is_file():
        with contextlib.suppress(OSError, tarfile.TarError), tarfile.open(place) as tar:
            if MARK in tar.getnames():
                return
    raise BadUsage(
        f"{place} is there and is no image",
        why="writing an image replaces what is there",
        fix="name a new file: --output FILE.tar" if archive else "name a new or empty folder: --output DIR",
    )


def write(place: Path, artifacts: list[Artifact]) -> None:
    """Write a layout: as one file where the name ends in .tar, or else as a folder."""
    check(place)
    files = {MARK: packed({"imageLayoutVersion": "1.0.0"})}
    files["index.json"] = packed(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [one.descriptor for one in artifacts]}
    )
    for one in artifacts:
        for name, data in {one.digest: one.manifest, **one.blobs}.items():
            files[f"blobs/{name.replace(':', '/')}"] = data
    if place.suffix == ".tar":
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(tree.tar({path: Entry(data=data) for path, data in files.items()}, 0))
        return
    draft = place.with_name(f"{place.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    for path, data in files.items():
        target = draft / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    if place.exists():
        shutil.rmtree(place)
    draft.rename(place)


def read(place: Path) -> list[Artifact]:
    """What a layout holds, every blob checked against its name; the image first."""
    try:
        files = _files(place)
        index = json.loads(files["index.json"])
        return [_artifact(place, files, one) for one in index["manifests"]]
    except (OSError, KeyError, ValueError, tarfile.TarError) as error:
        raise BadUsage(
            f"{place} is no image: {error}",
            why="an OCI image layout is read, as a folder or as a .tar",
            fix=f"make one: ./sluice image build --output {place}",
        ) from error


def _files(place: Path) -> dict[str, bytes]:
    if place.is_dir():
        return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with tarfile.open(place) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]


def _artifact(place: Path, files: Mapping[str, bytes], descriptor: Mapping[str, Any]) -> Artifact:
    def blob(name: str) -> bytes:
        data = files[f"blobs/{name.replace(':', '/')}"]
        if digest(data) != name:
            raise OpsError(
                f"{place}: the blob {name} has another digest",
                why="the image is damaged: it would be deployed by a digest that it does not have",
                fix="build it again: ./sluice image build",
            )
        return data

    manifest = blob(descriptor["digest"])
    value = json.loads(manifest)
    names = [value["config"]["digest"], *(layer["digest"] for layer in value["layers"])]
    return Artifact(
        manifest=manifest, blobs={name: blob(name) for name in names}, kind=descriptor.get("artifactType", "")
    )
