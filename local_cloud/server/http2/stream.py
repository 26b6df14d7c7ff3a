"""One stream: what has come, what goes out, and both its windows.

Owns the stream's state and its flow control; the application's end of it is a Receiver. What is received is paid back
to the peer when the receiver says that it has been taken; a message that is larger than the window is given more when
there is room for the whole of it (lending.py). Source: RFC 9113, sections 5.1, 6.9 and 8.1.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from local_cloud.server.http2 import frames
from local_cloud.server.http2.frames import StreamFault

if TYPE_CHECKING:
    from local_cloud.server.http2.connection import Connection
    from local_cloud.server.http2.sending import Piece

#: What a peer may send on one stream unasked, before it is taken.
WINDOW: Final = 32 * 1024
#: A larger message asks for room: this much is always left when all before it was taken.
SMALL: Final = WINDOW // 2
#: More than this of a body waits for the peer: its maker waits too.
HIGH_WATER: Final = 64 * 1024


class Receiver(Protocol):
    """The application's end of a stream."""

    def data(self, chunk: bytes) -> None:
        """A part of the body."""

    def end(self) -> None:
        """The body is whole."""

    def gone(self) -> None:
        """The stream was cut off, by whichever end: nothing more comes, and nothing can be sent."""

    def leave(self) -> None:
        """The server stops: what might go on for ever should end."""


class _Nobody:
    """Receives for a stream that is over: stream and call let go of each other, so that no cycle is left to find."""

    def data(self, chunk: bytes) -> None: ...

    def end(self) -> None: ...

    def gone(self) -> None: ...

    def leave(self) -> None: ...


NOBODY: Final[Receiver] = _Nobody()


class Stream:
    """One request and its answer."""

    __slots__ = (
        "_asked",
        "_connection",
        "_drained",
        "_floor",
        "_length_left",
        "_owed",
        "_receive_window",
        "_widened",
        "ended",
        "id",
        "peer_ended",
        "pending",
        "queued",
        "receiver",
        "send_window",
    )

    def __init__(
        self, connection: "Connection", number: int, send_window: int, length: int | None, *, told: bool
    ) -> None:
        """`length` is the body's if it was said, `told` whether the peer knows our settings."""
        self._connection = connection
        self.id = number
        self.receiver: Receiver = NOBODY
        #: No more is sent, or no more comes.
        self.ended = self.peer_ended = False
        self.send_window = send_window
        #: What is still to be sent, and how many bytes of bodies are in it.
        self.pending: deque[Piece] = deque()
        self.queued = 0
        self._receive_window = WINDOW
        #: A peer that has not heard of our window takes it for the protocol's.
        self._floor = 0 if told else WINDOW - frames.DEFAULT_WINDOW
        #: Taken and not paid back yet; beyond the window and not taken yet; whether room was asked for.
        self._owed = self._widened = 0
        self._asked = False
        self._length_left = length
        self._drained: asyncio.Future[None] | None = None

    # What comes in

    def received(self, chunk: bytes, size: int, *, last: bool) -> None:
        """A DATA frame: its data, and its size with padding."""
        if self.peer_ended:
            raise StreamFault(frames.STREAM_CLOSED, "data after the end")
        self._receive_window -= size
        if self._receive_window < self._floor:
            raise StreamFault(frames.FLOW_CONTROL_ERROR, "more than the stream's window")
        if size != len(chunk):
            self.taken(size - len(chunk))
        if self._asked:
            self._connection.lender.moved(self)
        if self._length_left is not None:
            self._length_left -= len(chunk)
            if self._length_left < 0:
                raise StreamFault(frames.PROTOCOL_ERROR, "more data than content-length says")
        if chunk:
            self.receiver.data(chunk)
        if last and not self.ended:
            self.finish()

    def finish(self) -> None:
        """The peer has said all."""
        if self._length_left:
            raise StreamFault(frames.PROTOCOL_ERROR, "less data than content-length says")
        self.peer_ended = True
        self.give_back()
        if not self.ended:
            self.receiver.end()

    def taken(self, size: int) -> None:
        """So much of what has come was taken: the peer may send as much again, but for what was more than a window."""
        beyond = min(size, self._widened)
        self._widened -= beyond
        self._owed += size - beyond
        if self._owed >= SMALL and not self.peer_ended and not self.ended:
            self._connection.sender.write(frames.window_update(self.id, self._owed))
            self._receive_window += self._owed
            self._owed = 0

    def ask(self, size: int) -> None:
        """A message of this size has begun: if it is large, the rest of it may come when there is room for it."""
        if size > SMALL and not self._asked and not self.peer_ended and not self.ended:
            self._asked = True
            self._connection.lender.ask(self, size)

    def widen(self, size: int) -> None:
        """There is room."""
        self._widened += size
        self._receive_window += size
        self._connection.sender.write(frames.window_update(self.id, size))

    def give_back(self) -> None:
        """The message is whole, or not wanted any more."""
        if self._asked:
            self._asked = False
            self._connection.lender.give_back(self)

    # What goes out

    def answer(self, head: bytes, body: bytes, trailers: bytes) -> None:
        """A whole answer: header blocks and a body between them, in one piece where the windows allow it."""
        sender, size = self._connection.sender, len(body)
        if not sender.takes_all(self, size):
            self.queued += size
            sender.push(self, (True, head, False), (False, body, False), (True, trailers, True))
            return
        number = self.id.to_bytes(4, "big")
        made = (
            *(len(head).to_bytes(3, "big"), b"\x01\x04", number, head),
            *(size.to_bytes(3, "big"), b"\x00\x00", number, body),
            *(len(trailers).to_bytes(3, "big"), b"\x01\x05", number, trailers),
        )
        sender.write(b"".join(made))
        self.sent_all()

    def head(self, block: bytes, *, last: bool = False) -> None:
        """A header block."""
        self._connection.sender.push(self, (True, block, last))

    def body(self, data: bytes, *, last: bool = False) -> None:
        """A part of the body."""
        self.queued += len(data)
        self._connection.sender.push(self, (False, data, last))

    async def drain(self) -> None:
        """Returns when the peer has room for more."""
        while self.queued > HIGH_WATER and not self.ended:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        if not self._connection.sender.free:
            await self._connection.sender.reading()

    def moved(self) -> None:
        """Some of what waited was sent."""
        waiter = self._drained
        if waiter is not None and (self.queued <= HIGH_WATER or self.ended) and not waiter.done():
            waiter.set_result(None)

    def sent_all(self) -> None:
        """The answer is whole; what the peer still meant to send is not wanted."""
        self.ended = True
        self.receiver = NOBODY
        self._connection.over(self)

    def reset(self, code: int) -> None:
        """Ends the stream in both directions."""
        if not self.ended:
            self._connection.reset(self.id, code)
