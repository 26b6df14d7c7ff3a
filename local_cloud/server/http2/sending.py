"""What a connection sends: one buffer a loop turn, and bodies as the peer's windows let them go.

Owns the connection's and the streams' windows for sending, who waits for them (each in turn gets one frame through),
and the transport's own word that the peer does not read. Source: RFC 9113, sections 5.2 and 6.9.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from local_cloud.server.http2 import frames
from local_cloud.server.http2.frames import ConnectionFault
from local_cloud.server.http2.guards import MOST_UNREAD
from local_cloud.server.http2.header_blocks import NO_TABLE

if TYPE_CHECKING:
    from local_cloud.server.http2.stream import Stream

#: A header block or a body (or what is left of one), and whether the stream ends with it.
Piece = tuple[bool, "bytes | memoryview", bool]


#: So much is written at once, that the transport may say when it is too much.
FLUSH_AT = 64 * 1024


class Sender:
    """The sending half of one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.transport: Any = None
        self.window = frames.DEFAULT_WINDOW
        self.frame_size = frames.DEFAULT_FRAME_SIZE
        #: What new streams may send.
        self.initial_window = frames.DEFAULT_WINDOW
        #: False while the peer does not read what was written.
        self.free = True
        self._open = True
        #: True while frames are read: what they cause is sent when all were.
        self.corked = False
        self._scheduled = False
        self._out: list[bytes] = []
        self._size = 0
        self._blocked: dict[Stream, None] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._unread = 0
        self._table_shrunk = False

    def write(self, data: bytes) -> None:
        """Goes out with all else of this turn."""
        if not self._open:
            return
        self._out.append(data)
        self._size += len(data)
        if self._size > FLUSH_AT:
            self.flush()
        elif not self.corked and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush_later)

    def control(self, data: bytes) -> None:
        """The answer to a control frame: a peer that asks for many and reads none is hung up on."""
        if not self.free:
            self._unread += 1
            if self._unread > MOST_UNREAD:
                raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "too many answers are not read")
        self.write(data)

    def flush(self) -> None:
        """Writes what has come together."""
        out = self._out
        if out:
            if not self.transport.is_closing():
                self.transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
            self._size = 0

    def stop(self) -> None:
        """Writes what there is, and nothing from then on."""
        self.flush()
        self._open = False

    def _flush_later(self) -> None:
        self._scheduled = False
        self.flush()

    def pause(self) -> None:
        """The peer does not read."""
        self.free = False

    def resume(self) -> None:
        """It does again."""
        self.free = True
        self._unread = 0
        self.pump()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def reading(self) -> None:
        """Returns when the peer reads."""
        while not self.free:
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            await waiter

    def configure(self, key: int, value: int, streams: "list[Stream]") -> None:
        """One of the peer's settings; `streams` are those that are open."""
        if key == frames.INITIAL_WINDOW_SIZE:
            if value > frames.LARGEST_WINDOW:
                raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window larger than there can be")
            more = value - self.initial_window
            self.initial_window = value
            for stream in streams:
                stream.send_window += more
                if stream.send_window > frames.LARGEST_WINDOW:
                    raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window larger than there can be")
                self.push_on(stream)
        elif key == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME_SIZE <= value <= frames.LARGEST_FRAME_SIZE:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame size that there cannot be")
            self.frame_size = value
        elif key == frames.ENABLE_PUSH and value > 1:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "push is on or off")
        elif key == frames.HEADER_TABLE_SIZE and value < frames.DEFAULT_TABLE_SIZE:
            self._table_shrunk = True  # the peer must hear once that no table is used

    def grow(self, more: int) -> None:
        """The peer has room for more on all streams together."""
        self.window += more
        if self.window > frames.LARGEST_WINDOW:
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window larger than there can be")
        self.pump()

    def takes_all(self, stream: "Stream", size: int) -> bool:
        """Whether a whole answer with a body of this size may go out at once; if so its body is paid for."""
        if (
            self.free
            and size <= stream.send_window
            and size <= self.window
            and size <= self.frame_size
            and not stream.pending
            and not self._table_shrunk
        ):
            self.window -= size
            return True
        return False

    def push(self, stream: "Stream", *pieces: Piece) -> None:
        """Sends pieces of a stream in order, as far as windows allow; the rest waits."""
        stream.pending.extend(pieces)
        self.push_on(stream)

    def push_on(self, stream: "Stream") -> None:
        """A stream's window has grown, or it has more to send."""
        while stream.pending and self._one(stream):
            pass
        self._note(stream)

    def pump(self) -> None:
        """Lets everybody who waits send a frame, again and again while windows allow."""
        moved = True
        while moved and self._blocked and self.free:
            moved = False
            for stream in list(self._blocked):
                if stream.pending and self._one(stream):
                    moved = True
                self._note(stream)

    def forget(self, stream: "Stream") -> None:
        """The stream is over."""
        self._blocked.pop(stream, None)

    def _note(self, stream: "Stream") -> None:
        if stream.pending:
            self._blocked[stream] = None
        else:
            self._blocked.pop(stream, None)
        stream.moved()

    def _one(self, stream: "Stream") -> bool:
        """Sends one frame of what a stream has waiting; False when it may not."""
        if not self.free:
            return False
        is_head, payload, last = stream.pending[0]
        if is_head:
            block = bytes(payload)
            if self._table_shrunk:
                self._table_shrunk = False
                block = NO_TABLE + block
            self.write(frames.headers(stream.id, block, self.frame_size, end_stream=last))
        else:
            size = len(payload)
            room = min(stream.send_window, self.window, self.frame_size)
            if size > room:
                if room <= 0:
                    return False
                view = memoryview(payload)
                stream.pending[0] = (False, view[room:], last)
                self._data(stream, view[:room], last=False)
                return True
            self._data(stream, payload, last=last)
        stream.pending.popleft()
        if last:
            stream.sent_all()
        return True

    def _data(self, stream: "Stream", payload: "bytes | memoryview", *, last: bool) -> None:
        size = len(payload)
        stream.send_window -= size
        stream.queued -= size
        self.window -= size
        self.write(frames.frame(frames.DATA, frames.END_STREAM if last else 0, stream.id, bytes(payload)))
