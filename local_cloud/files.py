"""Bytes that are too many for the store: files that are on disk, or not there at all.

Owns writing a file so that it survives `kill -9` and a power cut (a file of its own, fsync, a rename, fsync of the
folder), streaming it out, and the sweeping of what a cut-short write left behind. Which file means what is its owner's
affair: the owner keeps a document in the store after the file is there and drops it before the file goes.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Container
from pathlib import Path
from typing import Any

#: So much is read or written at a time.
CHUNK = 1 << 18
#: What is no longer than this is written on the loop: a thread costs more.
SMALL = 1 << 14


class Incoming:
    """A file that is being written. Nothing is seen of it before keep(); without it, discard() leaves no trace."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{secrets.token_hex(12)}.part"
        self.size = 0
        self.sha256 = hashlib.sha256()
        self._file = self.path.open("wb")

    async def write(self, data: bytes) -> None:
        """Append."""
        if len(data) <= SMALL:
            self.add(data)
        else:
            await asyncio.to_thread(self.add, data)

    def add(self, data: bytes) -> None:
        """Append, at once."""
        self._file.write(data)
        self.sha256.update(data)
        self.size += len(data)

    async def keep(self, target: Path) -> None:
        """Give it its place, on disk when this returns."""
        await asyncio.to_thread(self._keep, target)

    def _keep(self, target: Path) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        place(self.path, target)

    def discard(self) -> None:
        """Forget it."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def place(path: Path, target: Path, size: int | None = None) -> None:
    """Give a file whose bytes are on disk its place, on disk too; cut to `size` first, where that is said.

    A file of no bytes need not be there; one that has gone is a FileNotFoundError.
    """
    if size is not None:
        append(path, b"", size, make=not size)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    sync_folder(target.parent)
    sync_folder(target.parent.parent)


def end_last_line(path: Path) -> None:
    """End a line that a kill has torn, so that it does not take the next one with it."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size and file.read() != b"\n":
            file.write(b"\n")


def twin(path: Path, target: Path, size: int) -> None:
    """Give the first bytes of a file that will not change any more a second name, on disk when this returns.

    It may be deleted meanwhile: then this is a FileNotFoundError, and never a new file of zeros.
    """
    append(path, b"", size, make=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(path, target)
    sync_folder(target.parent)
    sync_folder(target.parent.parent)


def sync_folder(folder: Path) -> None:
    """See that the names in a folder are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append(path: Path, data: bytes, at: int, *, make: bool = True) -> None:
    """Write at a place of a file that grows piece by piece, on disk when this returns; make it unless it is there."""
    handle = os.open(path, os.O_WRONLY | (os.O_CREAT if make else 0), 0o600)
    try:
        os.ftruncate(handle, at)  # what a cut-short write left behind it goes
        os.lseek(handle, at, os.SEEK_SET)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


async def stream(path: Path, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
    """The bytes of a file from `start` to before `end`. It may be deleted meanwhile."""
    with path.open("rb") as file:
        file.seek(start)
        left = (os.fstat(file.fileno()).st_size if end is None else end) - start
        while left > 0:
            some = min(CHUNK, left)
            data = file.read(some) if some <= SMALL else await asyncio.to_thread(file.read, some)
            if not data:
                return
            left -= len(data)
            yield data


def sweep(folder: Path, known: Container[str]) -> None:
    """Delete the files that nobody knows by name, and what a cut-short write left."""
    for found in folder.rglob("*"):
        if found.is_file() and (found.suffix == ".part" or found.name not in known):
            with contextlib.suppress(OSError):
                found.unlink()


def forget(path: Path, *_: Any) -> None:
    """Delete a file that may be gone already."""
    with contextlib.suppress(OSError):
        path.unlink()
