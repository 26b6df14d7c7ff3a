"""One HTTP/2 connection: reads frames, holds the peer to the rules, and gives each request to the application.

Owns the streams' numbers and what is said about errors. Sending is sending.py's, SETTINGS and PING control_frames.py's,
the limits are guards.py's, room for large messages is lending.py's. Server push, priorities and upgrades from HTTP/1
are not offered. Source: RFC 9113.
"""

import asyncio
import contextlib
from collections.abc import Callable, MutableSet
from typing import Any, Final

from local_cloud.server.http2 import frames
from local_cloud.server.http2.control_frames import ControlFrames
from local_cloud.server.http2.frames import PREFACE, ConnectionFault, StreamFault
from local_cloud.server.http2.guards import (
    IDLE_FRAMES,
    IDLE_FRAMES_PER_SECOND,
    LONGEST_BLOCK,
    LONGEST_HEADERS,
    MOST_CONTINUATIONS,
    MOST_STREAMS,
    RESETS,
    RESETS_PER_SECOND,
    Allowance,
)
from local_cloud.server.http2.header_blocks import Decoder
from local_cloud.server.http2.heads import Head
from local_cloud.server.http2.lending import House, Lender
from local_cloud.server.http2.sending import Sender
from local_cloud.server.http2.stream import NOBODY, WINDOW, Receiver, Stream

#: What a peer that knows our settings may send on all streams together. It is paid back as it comes, so that no stream
#: holds up another: what may be kept is bounded by the windows of streams.
CONNECTION_WINDOW: Final = 16 * 1024 * 1024
#: Streams that we have ended, whose last frames may still be on their way.
REMEMBERED_ENDS: Final = 1_000
#: A window that grows by less brings nothing.
LEAST_UPDATE: Final = 1_024
#: How long a peer may take to read our last words.
LINGER_SECONDS: Final = 1.0

Application = Callable[[Stream, Head], Receiver]

GREETING: Final = frames.settings(
    {
        frames.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
        frames.INITIAL_WINDOW_SIZE: WINDOW,
        frames.MAX_HEADER_LIST_SIZE: LONGEST_HEADERS,
    }
)


class Connection(asyncio.Protocol):
    """The server's end of a connection; `connections` are those that are open, `house` is what they share."""

    def __init__(self, application: Application, connections: MutableSet[Any], house: House) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._application = application
        self._connections = connections
        self.sender = Sender(loop)
        self._decoder = Decoder(LONGEST_HEADERS)
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._ended: dict[int, None] = {}
        self._house = house
        self.lender = Lender(house, Stream.widen)
        #: What a peer may send before it knows our settings: it takes streams' windows for the protocol's larger ones.
        self._window = frames.DEFAULT_WINDOW
        self._acknowledged = False
        self._rest = b""
        self._greeted = self._settled = False
        #: Done when the transport is gone.
        self.closed: asyncio.Future[None] = loop.create_future()
        #: The stream of a header block that goes on in the next frame, its parts and flags.
        self._open_block: tuple[int, list[bytes], int] | None = None
        self._resets = Allowance("cancelled streams", RESETS, RESETS_PER_SECOND, loop.time)
        self._idle = Allowance("frames that bring nothing", IDLE_FRAMES, IDLE_FRAMES_PER_SECOND, loop.time)
        #: No new streams; the connection ends with the last that is open.
        self._leaving = False
        self._failed = False
        control = ControlFrames(self.sender, self._idle, self._streams, self._on_acknowledged)
        self._on_unknown = control.unknown
        self._on_frame: dict[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_rst_stream,
            frames.SETTINGS: control.settings,
            frames.PUSH_PROMISE: control.push_promise,
            frames.PING: control.ping,
            frames.GOAWAY: control.goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._on_continuation,
        }

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says what we allow."""
        self.sender.transport = transport
        self._connections.add(self)
        self.sender.write(GREETING)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Whoever works for this peer stops."""
        self._connections.discard(self)
        self._failed = True
        self._cut_off()
        self.sender.stop()
        self._on_frame.clear()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """The peer does not read."""
        self.sender.pause()

    def resume_writing(self) -> None:
        """It does again."""
        self.sender.resume()

    def data_received(self, data: bytes) -> None:
        """Reads all whole frames; what they cause goes out together."""
        if self._failed:
            return
        sender = self.sender
        sender.corked = True
        try:
            self._read(self._rest + data if self._rest else data)
        except ConnectionFault as fault:
            self._fail(fault)
        finally:
            sender.corked = False
        sender.flush()

    def shutdown(self) -> None:
        """Takes no new streams, lets calls that are at work end, ends those that might go on for ever."""
        if self._failed or self._leaving:
            return
        self._leaving = True
        self.sender.write(frames.goaway(self._last, frames.NO_ERROR, "the local cloud stops"))
        for stream in list(self._streams.values()):
            stream.receiver.leave()
        self._close_when_done()

    def abort(self) -> None:
        """Ends at once."""
        self.sender.transport.abort()

    # What streams ask for

    def over(self, stream: Stream) -> None:
        """A stream has sent all it had; the peer is told not to go on, if it has not said all."""
        if self._streams.pop(stream.id, None) is None:
            return
        self._house.streams -= 1
        stream.give_back()
        if not stream.peer_ended:
            self._remember(stream.id)
            self.sender.write(frames.rst_stream(stream.id, frames.NO_ERROR))
        self._close_when_done()

    def reset(self, number: int, code: int) -> None:
        """Cuts a stream off."""
        self._remember(number)
        self._drop(number)
        try:
            self.sender.control(frames.rst_stream(number, code))
        except ConnectionFault as fault:
            self._fail(fault)

    # Frames

    def _read(self, data: bytes) -> None:
        at, end = 0, len(data)
        if not self._greeted:
            if end < len(PREFACE) and PREFACE.startswith(data):
                self._rest = data
                return
            if not data.startswith(PREFACE):
                raise ConnectionFault(frames.PROTOCOL_ERROR, "no HTTP/2 preface")
            self._greeted = True
            at = len(PREFACE)
        on_frame = self._on_frame
        while end - at >= 9 and not self._failed:
            size = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if size > frames.DEFAULT_FRAME_SIZE:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a frame larger than allowed")
            start = at + 9
            if start + size > end:
                break
            kind, flags = data[at + 3], data[at + 4]
            number = int.from_bytes(data[at + 5 : start], "big") & 0x7FFFFFFF
            at = start + size
            if (self._open_block is not None) is not (kind == frames.CONTINUATION):
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a header block is open, or none is")
            if not self._settled:
                if kind != frames.SETTINGS or flags & frames.ACK:
                    raise ConnectionFault(frames.PROTOCOL_ERROR, "the first frame is not SETTINGS")
                self._settled = True
            try:
                on_frame.get(kind, self._on_unknown)(number, flags, data[start:at])
            except StreamFault as fault:
                self.reset(number, fault.code)
        self._rest = data[at:]

    def _on_data(self, number: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        self._window -= size
        if self._window < 0:
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "more than the connection's window")
        if self._window < CONNECTION_WINDOW // 2 and self._acknowledged:
            self.sender.write(frames.window_update(0, CONNECTION_WINDOW - self._window))
            self._window = CONNECTION_WINDOW
        if flags & frames.PADDED:
            payload = frames.unpadded(payload, flags)
        stream = self._streams.get(number)
        if stream is None:
            self._check_not_idle(number)
            if number not in self._ended:
                raise StreamFault(frames.STREAM_CLOSED, "data on a stream that is closed")
            return
        last = flags & frames.END_STREAM
        if payload or last:
            self._idle.renew()
        else:
            self._idle.take()
        stream.received(payload, size, last=bool(last))

    def _on_headers(self, number: int, flags: int, payload: bytes) -> None:
        if number % 2 == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a request on a stream of our own")
        payload = frames.unpadded(payload, flags)
        if flags & frames.HAS_PRIORITY:
            if len(payload) < 5:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "no room for a priority")
            self._check_dependency(number, payload)
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._on_block(number, payload, flags)
        else:
            self._open_block = (number, [payload], flags)

    def _on_continuation(self, number: int, flags: int, payload: bytes) -> None:
        assert self._open_block is not None
        opened, parts, first_flags = self._open_block
        if number != opened:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "another stream's header block is open")
        parts.append(payload)
        if len(parts) > MOST_CONTINUATIONS or sum(map(len, parts)) > LONGEST_BLOCK:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            self._open_block = None
            self._on_block(number, b"".join(parts), first_flags)

    def _on_block(self, number: int, block: bytes, flags: int) -> None:
        head = self._decoder.decode(block)  # whatever becomes of it: the table must be kept
        if number <= self._last:
            self._on_trailers(number, head, flags)
            return
        self._last = number
        if self._leaving:
            self._remember(number)
            return
        self._idle.renew()
        if len(self._streams) >= MOST_STREAMS or self._house.streams >= self._house.most_streams:
            raise StreamFault(frames.REFUSED_STREAM, "too many streams")
        head.check()
        stream = Stream(self, number, self.sender.initial_window, head.length, told=self._acknowledged)
        self._streams[number] = stream
        self._house.streams += 1
        receiver = self._application(stream, head)
        if not stream.ended:
            stream.receiver = receiver
        if flags & frames.END_STREAM and number in self._streams:
            stream.finish()

    def _on_trailers(self, number: int, head: Head, flags: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            if number in self._ended or self._leaving:
                return
            raise ConnectionFault(frames.STREAM_CLOSED, "headers on a stream that is closed")
        if stream.peer_ended:
            raise StreamFault(frames.STREAM_CLOSED, "headers after the end")
        if not flags & frames.END_STREAM:
            raise StreamFault(frames.PROTOCOL_ERROR, "headers in the midst of a body")
        head.check_trailers()
        stream.finish()

    def _on_priority(self, number: int, _flags: int, payload: bytes) -> None:
        if number == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a priority of no stream")
        if len(payload) != 5:
            raise StreamFault(frames.FRAME_SIZE_ERROR, "a priority has five bytes")
        self._check_dependency(number, payload)
        self._idle.take()

    def _on_rst_stream(self, number: int, _flags: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a reset has four bytes")
        self._check_not_idle(number)
        self._resets.take()
        self._drop(number)

    def _on_window_update(self, number: int, _flags: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a window update has four bytes")
        more = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if more < LEAST_UPDATE:
            self._idle.take()
        if number == 0:
            if more == 0:
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a window that grows by nothing")
            self.sender.grow(more)
            return
        self._check_not_idle(number)
        if (stream := self._streams.get(number)) is None:
            return
        if more == 0:
            raise StreamFault(frames.PROTOCOL_ERROR, "a window that grows by nothing")
        stream.send_window += more
        if stream.send_window > frames.LARGEST_WINDOW:
            raise StreamFault(frames.FLOW_CONTROL_ERROR, "a window larger than there can be")
        self.sender.push_on(stream)

    def _on_acknowledged(self) -> None:
        if not self._acknowledged:
            self._acknowledged = True
            self.sender.write(frames.window_update(0, CONNECTION_WINDOW - self._window))
            self._window = CONNECTION_WINDOW

    def _check_not_idle(self, number: int) -> None:
        if number == 0 or number > self._last:
            raise ConnectionFault(frames.PROTOCOL_ERROR, f"stream {number} was never opened")

    def _check_dependency(self, number: int, payload: bytes) -> None:
        if int.from_bytes(payload[:4], "big") & 0x7FFFFFFF == number:
            raise StreamFault(frames.PROTOCOL_ERROR, "a stream that depends on itself")

    # Ends

    def _remember(self, number: int) -> None:
        self._last = max(self._last, number)
        self._ended[number] = None
        if len(self._ended) > REMEMBERED_ENDS:
            del self._ended[next(iter(self._ended))]

    def _drop(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._house.streams -= 1
            stream.give_back()
            stream.ended = stream.peer_ended = True
            stream.pending.clear()
            self.sender.forget(stream)
            stream.moved()
            receiver, stream.receiver = stream.receiver, NOBODY
            receiver.gone()
            self._close_when_done()

    def _cut_off(self) -> None:
        for number in list(self._streams):
            self._drop(number)

    def _close_when_done(self) -> None:
        if self._leaving and not self._streams and not self._failed:
            self._failed = True
            self._hang_up()

    def _fail(self, fault: ConnectionFault) -> None:
        """Says why, and is gone."""
        self._failed = True
        self._cut_off()
        self.sender.write(frames.goaway(self._last, fault.code, fault.text))
        self._hang_up()

    def _hang_up(self) -> None:
        """Says no more and waits for the peer to read it: a close with unread data would take it back."""
        self.sender.stop()
        transport = self.sender.transport
        if not transport.is_closing() and transport.can_write_eof():
            with contextlib.suppress(OSError):  # the peer has gone before us
                transport.write_eof()
        self._loop.call_later(LINGER_SECONDS, transport.abort)
