"""Blobs on their way in: sessions that take pieces, outlive a restart, and end as a blob whose digest was checked.

Owns a session's file and how far it has come: a piece that was acknowledged is on disk. Sessions of a day's age are
dropped. Source: OCI distribution specification 1.1, "Pushing a blob in chunks".
"""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.files import Incoming, append, forget, sweep
from local_cloud.images.blobs import Blobs

#: A session that nobody has ended is dropped after so many seconds.
LIFE = 86_400.0
#: A blob has at most so many bytes (ours; Google's limit is 5 TB for a file of a repository).
MAX_BLOB = 16 * 1024**3
#: So much of a piece is gathered before it is written.
_GATHER = 1 << 20


class OutOfOrderError(Exception):
    """A piece does not begin where the one before it ended."""


class SessionGoneError(Exception):
    """The session was cancelled while a piece was on its way, or while it ended."""


class BlobTooLargeError(Exception):
    """A blob has more bytes than are taken."""


class WrongDigestError(Exception):
    """What was uploaded is not what its digest says; the text is the digest that it has."""


class Uploads:
    """All sessions."""

    def __init__(self, cloud: Cloud, blobs: Blobs) -> None:
        self._cloud, self._blobs = cloud, blobs
        self._folder = cloud.settings.state / "uploads"
        self._folder.mkdir(exist_ok=True)
        #: Session -> {"repository", "size", "at"}.
        self._open = cloud.store.json("images.uploads")
        self._busy: set[str] = set()
        sweep(self._folder, {key for key, _ in self._open.items()})

    def begin(self, repository: str) -> str:
        """A new session."""
        self._expire()
        session = str(uuid.uuid4())
        self._open[session] = {"repository": repository, "size": 0, "at": self._cloud.now()}
        return session

    def find(self, repository: str, session: str) -> dict[str, Any] | None:
        """A repository's session that is open; None where there is none."""
        found: dict[str, Any] | None = self._open.get(session)
        return found if found is not None and found["repository"] == repository else None

    async def write(self, session: str, pieces: AsyncIterator[bytes], start: int | None = None) -> int:
        """Add a piece, which begins at `start` where that is said; how many bytes are there now."""
        found = self._open[session]
        if session in self._busy or start not in (None, found["size"]):
            raise OutOfOrderError
        self._busy.add(session)
        size, gathered = found["size"], bytearray()
        try:
            async for piece in pieces:
                gathered += piece
                if size + len(gathered) > MAX_BLOB:
                    raise BlobTooLargeError
                if len(gathered) >= _GATHER:
                    await asyncio.to_thread(append, self._path(session), bytes(gathered), size)
                    size += len(gathered)
                    gathered.clear()
            if gathered:
                await asyncio.to_thread(append, self._path(session), bytes(gathered), size)
                size += len(gathered)
        finally:
            self._busy.discard(session)
            if session not in self._open:  # it was cancelled, and the piece has made its file again
                forget(self._path(session))
        if session not in self._open:
            raise SessionGoneError
        found["size"] = size
        self._open.save(session)
        return int(size)

    async def finish(self, session: str, digest: str) -> int:
        """Make a blob of it; its size."""
        found = self._open[session]
        if session in self._busy:
            raise OutOfOrderError
        self._busy.add(session)
        try:
            path, size = self._path(session), int(found["size"])
            known = await asyncio.to_thread(_sha256, path, size)
            if known != digest:
                raise WrongDigestError(known)
            await self._blobs.adopt(found["repository"], digest, path, size)
            self._open.pop(session)
        except FileNotFoundError:
            if session in self._open:
                raise
            raise SessionGoneError from None
        finally:
            self._busy.discard(session)
        return size

    async def take(self, repository: str, digest: str, pieces: AsyncIterator[bytes]) -> int:
        """A blob in one request; its size."""
        incoming: Incoming = self._blobs.incoming()
        try:
            async for piece in pieces:
                await incoming.write(piece)
                if incoming.size > MAX_BLOB:
                    raise BlobTooLargeError
            known = f"sha256:{incoming.sha256.hexdigest()}"
            if known != digest:
                raise WrongDigestError(known)
            await self._blobs.keep(repository, digest, incoming)
        finally:
            incoming.discard()
        return incoming.size

    def cancel(self, session: str) -> None:
        """Drop a session."""
        self._open.pop(session)
        self._cloud.store.after_commit(lambda: forget(self._path(session)))

    def _expire(self) -> None:
        for session, found in self._open.items():
            if found["at"] + LIFE < self._cloud.now() and session not in self._busy:
                self.cancel(session)

    def _path(self, session: str) -> Path:
        return self._folder / session


def _sha256(path: Path, size: int) -> str:
    made, left = hashlib.sha256(), size
    if size:
        with path.open("rb") as file:
            while left and (data := file.read(min(1 << 20, left))):
                made.update(data)
                left -= len(data)
    return f"sha256:{made.hexdigest()}"
