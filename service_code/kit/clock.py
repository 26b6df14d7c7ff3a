"""The one source of time for services: real time, or real time moved by a mapped offset file.

Every age, window and timestamp comes from here, and SQL gets it as a parameter, never from its server. The file
(settings: endpoints.clock) is 8 bytes, a little-endian float64 of seconds to add to the real time; its owner moves it,
we read it.
"""

from __future__ import annotations

import mmap
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit


class Clock(Protocol):
    """Tells the time in seconds since the epoch."""

    def seconds(self) -> float:
        """Return the time as seconds since 1970, UTC."""
        ...


class RealClock:
    """The machine's own time."""

    def seconds(self) -> float:
        """Return the machine's time."""
        return time.time()


class MovedClock:
    """The machine's time plus the offset that another process keeps in a mapped file."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

    def seconds(self) -> float:
        """Return the moved time."""
        offset: float = struct.unpack_from("<d", self._map)[0]
        return time.time() + offset


def open_clock(url: str | None) -> Clock:
    """Open the clock that the settings name: a file:// URL of an offset file, or nothing for real time."""
    return MovedClock(Path(unquote(urlsplit(url).path))) if url else RealClock()


def moment(clock: Clock) -> datetime:
    """Return the clock's time as an aware datetime, the form that SQL parameters take."""
    return datetime.fromtimestamp(clock.seconds(), UTC)


def from_millis(millis: int) -> datetime:
    """Turn milliseconds since the epoch, as messages carry them, into an aware datetime."""
    return datetime.fromtimestamp(millis / 1000, UTC)


def stamp(at: datetime) -> str:
    """Write an aware datetime as people and answers read it: UTC, RFC 3339, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_millis(at: datetime) -> int:
    """Turn an aware datetime into milliseconds since the epoch."""
    return round(at.timestamp() * 1000)
