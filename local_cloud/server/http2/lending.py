"""How much of messages that are not whole yet is kept in memory: for a connection, and for all of them.

Every stream may send a small window unasked. A message that is larger needs room for all of it before it may go on:
who gets it can always finish, who has to wait stands in line, so that no number of large messages at once locks up.
Room is given back when the message is whole (it is its handler's then) or dropped. Who got room and sends nothing
while others wait loses it with its stream. Owns these books; windows are stream.py's and connection.py's.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from local_cloud.server.http2 import frames

if TYPE_CHECKING:
    from local_cloud.server.http2.stream import Stream

#: Room for the large messages of one connection, and of all. The largest message must fit in either.
ROOM: Final = 32 * 1024 * 1024
ROOM_IN_ALL: Final = 128 * 1024 * 1024
#: Streams of all connections that may be open at once: each may hold one small window.
STREAMS_IN_ALL: Final = 4_000
#: So long may who got room send nothing while others wait.
STALL_SECONDS: Final = 10.0


class House:
    """What the connections of one cloud share."""

    def __init__(self, room: int = ROOM_IN_ALL, streams: int = STREAMS_IN_ALL, stall: float = STALL_SECONDS) -> None:
        self.room = room
        self.most_streams = streams
        self.streams = 0
        self._stall = stall
        #: The lenders that have somebody waiting, each in its turn.
        self._lines: dict[Lender, None] = {}
        #: Who has room, and when something last came of its message.
        self._seen: dict[Stream, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def moved(self, stream: "Stream") -> None:
        """Some more of a message that has room has come."""
        if stream in self._seen:
            self._seen[stream] = asyncio.get_running_loop().time()

    def gave(self, stream: "Stream", size: int) -> None:
        """A stream has got room."""
        self.room -= size
        self._seen[stream] = asyncio.get_running_loop().time()

    def got_back(self, stream: "Stream", size: int) -> None:
        """And gives it back."""
        self.room += size
        del self._seen[stream]

    def serve(self) -> None:
        """Gives whoever is next what there is, one for each connection in turn, until nobody can be given any."""
        served = True
        while served:
            served = False
            for lender in list(self._lines):
                if lender.serve_one():
                    served = True
        if self._lines and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._stall, self._look)

    def line(self, lender: "Lender", *, waits: bool) -> None:
        """Whether somebody waits at a lender."""
        if not waits:
            self._lines.pop(lender, None)
        else:
            self._lines.setdefault(lender)

    def turn_over(self, lender: "Lender") -> None:
        """A lender was served: it comes after all others that wait."""
        if lender in self._lines:
            del self._lines[lender]
            self._lines[lender] = None

    def _look(self) -> None:
        self._timer = None
        if self._lines:
            late = asyncio.get_running_loop().time() - self._stall
            for stream in [stream for stream, seen in self._seen.items() if seen <= late]:
                stream.reset(frames.ENHANCE_YOUR_CALM)
            self.serve()


class Lender:
    """One connection's share. `give` tells a stream of its room."""

    def __init__(self, house: House, give: "Callable[[Stream, int], None]", room: int = ROOM) -> None:
        self._house = house
        self._give = give
        self._room = room
        self._line: dict[Stream, int] = {}
        self._lent: dict[Stream, int] = {}

    def ask(self, stream: "Stream", size: int) -> None:
        """A stream's message is so large: it gets room for it, now or in its turn."""
        if stream not in self._line and stream not in self._lent:
            self._line[stream] = size
            self._house.line(self, waits=True)
            self._house.serve()

    def give_back(self, stream: "Stream") -> None:
        """A stream's message is whole or not wanted any more."""
        if self._line.pop(stream, None) is None:
            size = self._lent.pop(stream, None)
            if size is None:
                return
            self._room += size
            self._house.got_back(stream, size)
        self._house.line(self, waits=bool(self._line))
        self._house.serve()

    def moved(self, stream: "Stream") -> None:
        """Some more of a message has come."""
        self._house.moved(stream)

    def serve_one(self) -> bool:
        """Gives room to the first in line, if there is enough: who comes later and needs less does not overtake."""
        for stream, size in self._line.items():
            if size > self._room or size > self._house.room:
                return False
            del self._line[stream]
            self._room -= size
            self._lent[stream] = size
            self._house.gave(stream, size)
            self._house.line(self, waits=bool(self._line))
            self._house.turn_over(self)
            self._give(stream, size)
            return True
        return False
