"""MD5 and CRC-32C of objects, as the JSON API writes them.

Source: https://cloud.google.com/storage/docs/hashes-etags (CRC-32C big-endian, both in Base64).
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c

from local_cloud.files import CHUNK
from local_cloud.storage.refusals import StorageError


class Checksums:
    """Both, over bytes that come piece by piece."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = google_crc32c.Checksum()  # type: ignore[no-untyped-call]

    def update(self, data: bytes) -> None:
        """More bytes."""
        self._md5.update(data)
        self._crc32c.update(data)  # type: ignore[no-untyped-call]

    @property
    def md5(self) -> str:
        """In Base64."""
        return base64.b64encode(self._md5.digest()).decode()

    @property
    def crc32c(self) -> str:
        """In Base64."""
        return base64.b64encode(self._crc32c.digest()).decode()  # type: ignore[no-untyped-call]


def of_file(path: Path, size: int) -> Checksums:
    """Those of the first bytes of a file."""
    made, left = Checksums(), size
    if left:
        with path.open("rb") as file:
            while left and (data := file.read(min(CHUNK, left))):
                made.update(data)
                left -= len(data)
    return made


def compare(made: Checksums, said: Mapping[str, Any]) -> None:
    """Refuse bytes that are not what their sender says."""
    for field, name, found in (("crc32c", "CRC32C", made.crc32c), ("md5Hash", "MD5 hash", made.md5)):
        wanted = said.get(field)
        if wanted and wanted != found:
            text = f'Provided {name} "{wanted}" doesn\'t match calculated {name} "{found}".'
            raise StorageError(400, "invalid", text)


def from_header(header: str) -> dict[str, str]:
    """What an x-goog-hash header says, by the names of an object's fields."""
    names = {"crc32c": "crc32c", "md5": "md5Hash"}
    pairs = (part.strip().partition("=") for part in header.split(","))
    return {names[name]: value for name, _, value in pairs if name in names}
