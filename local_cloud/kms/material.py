"""Key material: made at random, kept in files of its own that only the owner can read, gone when it is destroyed.

A file is written and synced before anything in the store speaks of it, so that a crash leaves at most a file that
nobody needs. Real hardware modules there are none: a key of protection level HSM lies in a file like the others.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from local_cloud.files import sync_folder

#: Loaded private keys that are kept in memory.
MOST_LOADED = 1000


class Material:
    """The folder of keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, Any] = {}

    def write(self, version: str, made: bytes) -> None:
        """Keep the material of a version."""
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True)
            sync_folder(self._folder.parent)
        path = self._path(version)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            left = memoryview(made)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        part.rename(path)
        sync_folder(self._folder)

    def symmetric(self, version: str) -> bytes:
        """The bytes of a symmetric key."""
        return self._path(version).read_bytes()

    def private(self, version: str) -> Any:
        """A private key, ready to use."""
        from local_cloud.kms.generate import load

        if version not in self._loaded:
            if len(self._loaded) >= MOST_LOADED:
                self._loaded.clear()
            self._loaded[version] = load(self._path(version).read_bytes())
        return self._loaded[version]

    def destroy(self, version: str) -> None:
        """Remove it for good."""
        self._loaded.pop(version, None)
        self._path(version).unlink(missing_ok=True)

    def _path(self, version: str) -> Path:
        return self._folder / f"{hashlib.sha256(version.encode()).hexdigest()[:32]}.key"


def tag_of(version: str) -> bytes:
    """How a ciphertext names the version that made it."""
    return hashlib.sha256(version.encode()).digest()[:16]
