"""One image from one commit: the base, the packages, our code, as three layers, and its bill of materials.

Owns the order and the image's configuration. The lower layers depend on their locks alone (their times are zero), so
that a release uploads nothing but its code; the upper one has the commit's time. A layer that was made once is kept by
what it was made of.
Sources: OCI image-spec config.md, annotations.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ops.home import code_of
from ops.images import archives, bytecode, code, debian, dockerfile, sbom, tree, wheels
from ops.images.commit import Commit
from ops.images.layout import CONFIG, LAYER, MANIFEST, Artifact, packed
from ops.images.sbom import Part
from ops.images.tree import Entry, Tree

NAME = "services"
#: Layers of one name that are kept: two releases, and one to try.
KEPT = 3


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer as it lies in the registry."""

    name: str
    data: bytes
    #: The digest of its tar.
    diff_id: str
    #: Bytes of its tar.
    unpacked: int


@dataclass(frozen=True, kw_only=True)
class Base:
    """What the image stands on."""

    layers: list[Layer]
    #: Its files, whose interpreter compiles.
    tree: Tree
    parts: list[Part]
    #: The interpreter's folder: usr/bin.
    home: str
    env: dict[str, str] = field(default_factory=dict)
    #: Where it was taken from, where that is a registry.
    name: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Built:
    """An image, its bill of materials, and what to say of them."""

    image: Artifact
    bill: bytes
    layers: list[Layer]
    commit: Commit

    @property
    def attached(self) -> Artifact:
        """The bill as it is pushed."""
        return sbom.attached(self.bill, self.image.descriptor)


@dataclass(frozen=True, kw_only=True)
class Builder:
    """How images are made here."""

    say: Callable[[str], None]
    #: Whether modules are compiled.
    compiles: bool = True
    #: Whether layers are made anew although they are kept.
    fresh: bool = False
    mirror: str = ""

    def base(self, commit: Commit) -> Base:
        """The base of service_code/base.lock."""
        text = commit.text(debian.LOCK)
        lock = debian.read_lock(text)
        user = dockerfile.read(commit.text(dockerfile.PATH)).user.partition(":")[0]
        self.say(f"the base: {len(lock)} packages of Debian")
        packages = archives.packages(lock, self.mirror, debian.dated(text))
        found = debian.tree(packages, user)
        layer = self._layer("base", [str(lock), user], 0, lambda: {**found, **self._compiled(found, found)})
        parts = [
            sbom.debian_package(p.name, p.version, p.sha256, found[f"{debian.STATUS}/{p.name}"].data.decode())
            for p in lock
        ]
        return Base(layers=[layer], tree=found, parts=parts, home="usr/bin")

    def build(self, commit: Commit, base: Base) -> Built:
        """The image."""
        lock = wheels.read_lock(commit.text(wheels.LOCK))
        self.say(f"the packages: {len(lock)} wheels")
        found = wheels.fetch(lock)
        names = [one.sha256 for one in found]
        of_base = [one.diff_id for one in base.layers]
        packages = self._layer("packages", [*names, base.home, *of_base], 0, lambda: self._packages(found, base))
        self.say(f"the code: commit {commit.name[:12]}")
        files = code.tree(commit)
        ours = _packed("code", {**files, **self._compiled(base.tree, files)}, commit.time)
        layers = [*base.layers, packages, ours]
        image = _image(commit, base, layers)
        wheel_parts = [sbom.python_package(one.name, one.version, one.sha256, one.metadata) for one in found]
        purl = f"pkg:oci/{NAME}@{image.digest.replace(':', '%3A')}"
        whole = Part(name=NAME, version=image.digest, purl=purl)
        bill = sbom.document(whole, commit.created, commit.name, [*base.parts, *wheel_parts])
        return Built(image=image, bill=bill, layers=layers, commit=commit)

    def _packages(self, found: list[wheels.Wheel], base: Base) -> dict[str, Entry]:
        made = wheels.tree(found, base.home)
        return {**made, **self._compiled(base.tree, made)}

    def _compiled(self, base: Tree, files: Tree) -> dict[str, Entry]:
        return bytecode.compiled(base, files) if self.compiles else {}

    def _layer(self, name: str, made_of: list[str], time: int, make: Callable[[], Tree]) -> Layer:
        """A layer by what it is made of, this code included."""
        key = sha256("\0".join([code_of("ops/images"), str(self.compiles), name, *made_of]).encode()).hexdigest()
        folder = archives.cache("layers")
        if not self.fresh and (kept := _kept(folder / f"{name}-{key}", name)):
            return kept
        layer = _packed(name, make(), time)
        head = packed([tree.digest(layer.data), layer.diff_id, layer.unpacked])
        archives.keep(folder, head + b"\n" + layer.data, f"{name}-{key}")
        for old in sorted(folder.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink(missing_ok=True)
        return layer


def _kept(place: Path, name: str) -> Layer | None:
    """A layer that was kept, where it is whole."""
    try:
        head, _, data = place.read_bytes().partition(b"\n")
        digest, diff_id, unpacked = json.loads(head)
    except (OSError, ValueError):
        return None
    if tree.digest(data) != digest:
        return None
    return Layer(name=name, data=data, diff_id=diff_id, unpacked=unpacked)


def _packed(name: str, files: Tree, time: int) -> Layer:
    tar = tree.tar(files, time)
    return Layer(name=name, data=tree.gzipped(tar), diff_id=tree.digest(tar), unpacked=len(tar))


def _image(commit: Commit, base: Base, layers: list[Layer]) -> Artifact:
    said = dockerfile.read(commit.text(dockerfile.PATH), base.env)
    labels = {
        **said.labels,
        "org.opencontainers.image.created": commit.created,
        "org.opencontainers.image.revision": commit.name,
    }
    if base.name:
        labels |= {"org.opencontainers.image.base.name": base.name, "org.opencontainers.image.base.digest": base.digest}
    config = packed(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": commit.created,
            "config": {**said.config(), "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in layers]},
            "history": [{"created": commit.created, "created_by": f"sluice image build: {one.name}"} for one in layers],
        }
    )
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": tree.digest(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": tree.digest(one.data), "size": len(one.data)} for one in layers],
        "annotations": labels,
    }
    blobs = {tree.digest(one.data): one.data for one in layers}
    return Artifact(manifest=packed(value), blobs={tree.digest(config): config, **blobs})
