"""The bytes that images are made of: files by their sha256, shared by all repositories, each of which knows its own.

Owns the files and which repository has which; what they are parts of is registry.py's. A blob is known when its file is
on disk, and a file goes when no repository knows it any more.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.files import Incoming, forget, place, sweep
from local_cloud.images.manifests import digest_of


class Blobs:
    """All blobs of the project."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.folder = cloud.settings.state / "blobs"
        self.folder.mkdir(exist_ok=True)
        #: "REPOSITORY@DIGEST" -> {"size", "at"}.
        self._known = cloud.store.json("images.blobs")
        self._owners: dict[str, set[str]] = {}
        for key, _ in self._known.items():
            repository, _, digest = key.partition("@")
            self._owners.setdefault(digest, set()).add(repository)
        #: Blobs whose file is being placed, and how often: one that comes again while it goes is not deleted.
        self._arriving: Counter[str] = Counter()
        sweep(self.folder, {digest[7:] for digest in self._owners})

    def find(self, repository: str, digest: str) -> dict[str, Any] | None:
        """What a repository knows of a blob: size and time; None where it has none such."""
        found: dict[str, Any] | None = self._known.get(f"{repository}@{digest}")
        return found

    def path(self, digest: str) -> Path:
        """Where a blob's bytes lie."""
        return self.folder / digest[7:9] / digest[7:]

    async def read(self, digest: str) -> bytes:
        """A small blob: a manifest, a configuration."""
        return self.path(digest).read_bytes()

    def of(self, repository: str) -> list[tuple[str, dict[str, Any]]]:
        """A repository's blobs with what is known of each."""
        start = f"{repository}@"
        return [(key[len(start) :], value) for key, value in self._known.items() if key.startswith(start)]

    def incoming(self) -> Incoming:
        """A file for a blob that is on its way."""
        return Incoming(self.folder)

    async def keep(self, repository: str, digest: str, incoming: Incoming) -> None:
        """Take over what has come; its digest has been compared."""
        if digest in self._owners and self.path(digest).exists():
            incoming.discard()
            self.link(repository, digest, incoming.size)
            return
        with self._coming(digest):
            await incoming.keep(self.path(digest))
            self.link(repository, digest, incoming.size)

    async def adopt(self, repository: str, digest: str, path: Path, size: int) -> None:
        """Take over a file that was written elsewhere, on disk as it is; its digest has been compared."""
        if digest in self._owners and self.path(digest).exists():
            forget(path)
            self.link(repository, digest, size)
            return
        with self._coming(digest):
            await asyncio.to_thread(place, path, self.path(digest), size)
            self.link(repository, digest, size)

    @contextmanager
    def _coming(self, digest: str) -> Iterator[None]:
        self._arriving[digest] += 1
        try:
            yield
        finally:
            self._arriving[digest] -= 1
            if not self._arriving[digest]:
                del self._arriving[digest]
                if digest not in self._owners:  # it has not come after all
                    self._cloud.store.after_commit(lambda: self._gone(digest))

    async def put(self, repository: str, data: bytes) -> str:
        """Keep bytes that are all here; their digest."""
        digest = digest_of(data)
        incoming = self.incoming()
        try:
            await incoming.write(data)
            await self.keep(repository, digest, incoming)
        finally:
            incoming.discard()
        return digest

    def link(self, repository: str, digest: str, size: int) -> None:
        """Make a blob, whose file is here, one of a repository's."""
        self._owners.setdefault(digest, set()).add(repository)
        self._known[f"{repository}@{digest}"] = {"size": size, "at": self._cloud.now()}

    def drop(self, repository: str, digest: str) -> None:
        """Take a blob from a repository; its file goes with the last one that has it."""
        if self._known.pop(f"{repository}@{digest}") is None:
            return
        owners = self._owners[digest]
        owners.discard(repository)
        if not owners:
            del self._owners[digest]
            self._cloud.store.after_commit(lambda: self._gone(digest))

    def _gone(self, digest: str) -> None:
        if digest not in self._owners and digest not in self._arriving:  # it may have come again meanwhile
            forget(self.path(digest))
