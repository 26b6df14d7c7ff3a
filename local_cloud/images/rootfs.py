"""Pushed images as root folders that instances can run in: unpacked once each, kept by digest.

Owns the cache on disk and what an image's configuration says about how it starts. Whether a deployment may have the
image is run/'s affair, how a process gets into the folder engines/container.py's.
Source: https://github.com/opencontainers/image-spec/blob/main/config.md.
"""

import asyncio
import ctypes
import os
import platform
import shutil
from collections.abc import Container
from pathlib import Path
from typing import Any

import orjson

from local_cloud.cloud import Cloud
from local_cloud.engines.forks import Contained, Image
from local_cloud.files import forget
from local_cloud.images import layers
from local_cloud.images.manifests import CONFIGS, INDEXES, Manifest
from local_cloud.images.registry import Images

#: This machine's architecture as images name it.
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


class NotRunnableError(Exception):
    """What was pushed cannot be run here; the text says why."""


class Roots:
    """The root folders by the digest of their image."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._folder = cloud.settings.state / "roots"
        self._folder.mkdir(exist_ok=True)
        self._locks: dict[str, asyncio.Lock] = {}

    def keep_only(self, digests: Container[str]) -> None:
        """Delete the folders of images that nothing runs, and what an unpacking that was cut short has left."""
        for found in list(self._folder.iterdir()):
            if f"sha256:{found.name}" not in digests:
                shutil.rmtree(found, ignore_errors=True)

    def has(self, digest: str) -> bool:
        """Whether an image is unpacked; it stays so when the image is deleted from its repository."""
        return (self._folder / digest[7:] / "image.json").exists()

    async def get(self, package: str, digest: str) -> Image:
        """The image to start instances of; it is unpacked now where it is not yet."""
        async with self._locks.setdefault(digest, asyncio.Lock()):
            home = self._folder / digest[7:]
            if not self.has(digest):
                config, manifest = await self._read(package, digest)
                await asyncio.to_thread(self._unpack, home, config, manifest)
            return _image(digest, home, orjson.loads((home / "image.json").read_bytes()))

    async def _read(self, package: str, digest: str) -> tuple[dict[str, Any], Manifest]:
        images = self._cloud.use(Images)
        _, manifest = await images.manifest(f"{package}/versions/{digest}")
        if manifest.media_type in INDEXES:
            _, manifest = await images.manifest(f"{package}/versions/{_fitting(manifest)}")
        if manifest.config is None or manifest.config.media_type not in CONFIGS:
            raise NotRunnableError(f"it is no image but an artifact of type {manifest.artifact_type or 'unknown'}")
        if any(layer.foreign for layer in manifest.layers):
            raise NotRunnableError("it has layers that lie elsewhere: push it with all of them")
        config = orjson.loads(await images.blobs.read(manifest.config.digest))
        known = config.get("rootfs", {}).get("diff_ids", [])
        if len(known) != len(manifest.layers):
            raise NotRunnableError(f"it has {len(manifest.layers)} layers, and its configuration {len(known)}")
        found = config.get("architecture", ARCHITECTURE), config.get("os", "linux")
        if found not in ((ARCHITECTURE, "linux"), ("", "")):
            raise NotRunnableError(f"it is for {found[1]}/{found[0]}, and this machine is linux/{ARCHITECTURE}")
        return config, manifest

    def _unpack(self, home: Path, config: dict[str, Any], manifest: Manifest) -> None:
        images = self._cloud.use(Images)
        made = home.with_suffix(".part")
        shutil.rmtree(made, ignore_errors=True)
        (made / "root").mkdir(parents=True)
        try:
            budget = layers.Budget()
            for part, diff_id in zip(manifest.layers, config["rootfs"]["diff_ids"], strict=True):
                layers.apply(images.blobs.path(part.digest), part.media_type, diff_id, made / "root", budget)
            (made / "image.json").write_bytes(orjson.dumps(config.get("config") or {}))
            _on_disk(made)
            forget(home / "image.json")
            shutil.rmtree(home, ignore_errors=True)
            made.rename(home)
        except layers.LayerError as error:
            raise NotRunnableError(str(error)) from error
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _fitting(index: Manifest) -> str:
    for child in index.children:
        if child.platform.get("os") == "linux" and child.platform.get("architecture") == ARCHITECTURE:
            return child.digest
    shown = ", ".join(f"{c.platform.get('os')}/{c.platform.get('architecture')}" for c in index.children) or "nothing"
    raise NotRunnableError(f"it is for {shown}, and this machine is linux/{ARCHITECTURE}")


def _image(digest: str, home: Path, config: dict[str, Any]) -> Image:
    contained = Contained(
        rootfs=str(home / "root"),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        cmd=tuple(config.get("Cmd") or ()),
        env=tuple(one for one in config.get("Env") or () if "=" in one),
        workdir=config.get("WorkingDir") or "/",
        user=config.get("User") or "",
    )
    return Image(digest=digest, root=str(home), entry="", contained=contained)


def _on_disk(folder: Path) -> None:
    """See that all of it is on disk before its name says that it is whole."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
        if syncfs is not None:
            syncfs(handle)
        else:
            os.sync()
    finally:
        os.close(handle)
