"""Frames that are of a connection and bring no request: SETTINGS, PING, GOAWAY, and those that are not known.

Owns what they mean and how they are answered; the windows that settings change are sending.py's.
Source: RFC 9113, sections 6.5 to 6.8 and 5.5.
"""

from collections.abc import Callable

from local_cloud.server.http2 import frames
from local_cloud.server.http2.frames import ConnectionFault
from local_cloud.server.http2.guards import Allowance
from local_cloud.server.http2.sending import Sender
from local_cloud.server.http2.stream import Stream


class ControlFrames:
    """One connection's. `streams` are those that are open, `acknowledged` is called when the peer has our settings."""

    def __init__(
        self, sender: Sender, idle: Allowance, streams: dict[int, Stream], acknowledged: Callable[[], None]
    ) -> None:
        self._sender = sender
        self._idle = idle
        self._streams = streams
        self._acknowledged = acknowledged

    def settings(self, number: int, flags: int, payload: bytes) -> None:
        """What the peer allows, or that it knows what we do."""
        if number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "settings of a stream")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "settings have six bytes each")
        self._idle.take()
        if flags & frames.ACK:
            self._acknowledged()
            return
        self._sender.control(frames.frame(frames.SETTINGS, frames.ACK, 0))  # before what they let go
        for at in range(0, len(payload), 6):
            key, value = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 6], "big")
            self._sender.configure(key, value, list(self._streams.values()))
        self._sender.pump()

    def push_promise(self, _number: int, _flags: int, _payload: bytes) -> None:
        """A client has nothing to push."""
        raise ConnectionFault(frames.PROTOCOL_ERROR, "a client promises nothing")

    def ping(self, number: int, flags: int, payload: bytes) -> None:
        """Whether we are there."""
        if number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a ping of a stream")
        if len(payload) != 8:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a ping has eight bytes")
        self._idle.take()
        if not flags & frames.ACK:
            self._sender.control(frames.frame(frames.PING, frames.ACK, 0, payload))

    def goaway(self, number: int, _flags: int, payload: bytes) -> None:
        """It opens no more streams, and closes the connection when it has its answers."""
        if number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a stream does not go away")
        if len(payload) < 8:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "eight bytes say who goes away")

    def unknown(self, _number: int, _flags: int, _payload: bytes) -> None:
        """A frame of a kind that came after us."""
        self._idle.take()
