"""The moved clock, as the local cloud keeps it.

Owns: reading the offset from the shared file (8 bytes, little-endian float64: seconds to add to the time).
Leaves alone: moving it, which only the local cloud does. Without a file the clock is the machine's.
"""

from __future__ import annotations

import mmap
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

_WIDTH = 8


class Clock:
    """The time that payments, blocks and rates live by."""

    def __init__(self, url: str | None) -> None:
        self._path = Path(unquote(urlsplit(url).path)) if url else None
        self._map: mmap.mmap | None = None

    def offset(self) -> float:
        """Seconds by which the clock is ahead; 0 until the file exists."""
        if self._map is None and not self._open():
            return 0.0
        assert self._map is not None
        return float(struct.unpack_from("<d", self._map)[0])

    def _open(self) -> bool:
        if self._path is None:
            return False
        try:
            with self._path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), _WIDTH, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return False
        return True

    def now(self) -> float:
        """Seconds since the epoch, moved."""
        return time.time() + self.offset()

    def iso(self, at: float | None = None) -> str:
        """The time as JSON APIs write it, with milliseconds and Z."""
        moment = datetime.fromtimestamp(self.now() if at is None else at, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
