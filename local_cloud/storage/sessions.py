"""Resumable uploads: sessions that take an object's bytes in pieces, and go on after a break, a restart or kill -9.

Owns a session's file and how far it has come: what was acknowledged is on disk. A session ends after a week.
Source: https://cloud.google.com/storage/docs/performing-resumable-uploads.
"""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.files import append, forget, sweep, twin
from local_cloud.storage.checksums import Checksums, of_file
from local_cloud.storage.objects import Content, Objects

Json = dict[str, Any]
#: A session lives for so many seconds.
LIFE = 7 * 86_400.0
_GATHER = 1 << 20


class Sessions:
    """All resumable uploads that are not over."""

    def __init__(self, cloud: Cloud, objects: Objects) -> None:
        self._cloud, self._objects = cloud, objects
        self._folder = cloud.settings.state / "sessions"
        self._folder.mkdir(exist_ok=True)
        #: Session -> {"bucket", "name", "said", "query", "member", "owner", "sets", "size", "at"}.
        self._open = cloud.store.json("storage.sessions")
        self._busy: set[str] = set()
        sweep(self._folder, {key for key, _ in self._open.items()})

    def begin(self, what: Json) -> str:
        """A new session."""
        for key, found in self._open.items():
            if found["at"] + LIFE < self._cloud.now() and key not in self._busy:
                self.end(key)
        key = base64.urlsafe_b64encode(os.urandom(48)).decode()
        self._open[key] = {**what, "size": 0, "at": self._cloud.now()}
        return key

    def find(self, key: str) -> Json | None:
        """A session that is open."""
        found: Json | None = self._open.get(key)
        return found if found is not None and found["at"] + LIFE >= self._cloud.now() else None

    def busy(self, key: str) -> bool:
        """Whether a piece is on its way."""
        return key in self._busy

    async def write(self, key: str, pieces: AsyncIterator[bytes], skip: int = 0) -> int:
        """Add a piece, without its first bytes where those are here already; what came before a break is kept."""
        self._busy.add(key)
        found = self._open[key]
        gathered = bytearray()
        try:
            try:
                async for piece in pieces:
                    gathered += piece[skip:] if skip else piece
                    skip = max(skip - len(piece), 0)
                    if len(gathered) >= _GATHER:
                        await self._append(key, found, gathered)
            finally:
                await self._append(key, found, gathered)
        finally:
            self._busy.discard(key)
            if key not in self._open:  # it was cancelled, and the piece has made its file again
                forget(self._path(key))
        return int(found["size"])

    async def _append(self, key: str, found: Json, gathered: bytearray) -> None:
        if gathered:
            data = bytes(gathered)
            gathered.clear()
            await asyncio.to_thread(append, self._path(key), data, found["size"])
            found["size"] += len(data)
            if key in self._open:
                self._open.save(key)

    async def content(self, key: str) -> tuple[Content, Checksums]:
        """The bytes of a session that are all here, as an object's. The session and its file stay until end()."""
        self._busy.add(key)
        try:
            size = int(self._open[key]["size"])
            sums = await asyncio.to_thread(of_file, self._path(key), size)
            file = ""
            if size:
                file = self._objects.new_file()
                await asyncio.to_thread(twin, self._path(key), self._objects.path(file), size)
        finally:
            self._busy.discard(key)
        return Content(file=file, size=size, crc32c=sums.crc32c, md5=sums.md5), sums

    def end(self, key: str) -> None:
        """Forget a session with its bytes: its object is kept, or is not to be."""
        self._open.pop(key)
        self._cloud.store.after_commit(lambda: forget(self._path(key)))

    def _path(self, key: str) -> Path:
        return self._folder / key
