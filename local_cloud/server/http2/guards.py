"""What keeps one client from making the server work or store without end.

Owns the counting and the limits; each is far above what a client does that means well.
Source: RFC 9113, section 10.5; CVE-2019-9511 to 9518, CVE-2023-44487 (rapid reset), CVE-2024-27316 (CONTINUATION).
"""

from collections.abc import Callable
from typing import Final

from local_cloud.server.http2.frames import ENHANCE_YOUR_CALM, ConnectionFault

#: Streams of one connection that may be open at once.
MOST_STREAMS: Final = 1_000
#: A header list of this size is answered as too large (gRPC's own servers take 16 KB by default, Google's 64 KB).
LONGEST_HEADERS: Final = 64 * 1024
#: Header blocks that are longer on the wire than this, or come in more frames, are no headers any more.
LONGEST_BLOCK, MOST_CONTINUATIONS = 256 * 1024, 64
#: Answers to control frames that wait for a peer that does not read.
MOST_UNREAD: Final = 10_000
#: Cancelled streams: so many at once, then so many a second.
RESETS, RESETS_PER_SECOND = 10_000, 1_000.0
#: Frames that bring nothing (pings, settings, empty data), counted from the last one that did.
IDLE_FRAMES, IDLE_FRAMES_PER_SECOND = 10_000, 500.0


class Allowance:
    """So many at once, and so many more with each second that passes."""

    __slots__ = ("_left", "_most", "_now", "_rate", "_seen", "_what")

    def __init__(self, what: str, most: int, rate: float, now: Callable[[], float]) -> None:
        self._what = what
        self._most = most
        self._rate = rate
        self._now = now
        self._left = float(most)
        self._seen = now()

    def take(self) -> None:
        """One more; a ConnectionFault where there were too many."""
        self._left -= 1
        if self._left >= 0:
            return
        now = self._now()
        self._left = min(self._most, self._left + (now - self._seen) * self._rate)
        self._seen = now
        if self._left < 0:
            raise ConnectionFault(ENHANCE_YOUR_CALM, f"too many {self._what}")

    def renew(self) -> None:
        """Something good came: all is forgiven."""
        self._left = self._most
