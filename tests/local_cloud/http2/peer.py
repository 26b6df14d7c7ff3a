"""A client that says what a test wants said, rules or no rules: frames in, frames out."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hpack import Decoder, Encoder

from local_cloud.server.http2 import frames

HEAD = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def number(self) -> int:
        """The error code of a RST_STREAM or a GOAWAY."""
        return int.from_bytes(self.payload[-4:] if self.kind == frames.RST_STREAM else self.payload[4:8], "big")


@dataclass
class Answer:
    """What came on one stream."""

    fields: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    reset: int | None = None
    whole: bool = False
    #: What window updates have given it.
    room: int = 0

    @property
    def message(self) -> bytes:
        """The one message of the body."""
        assert int.from_bytes(self.body[1:5], "big") == len(self.body) - 5
        return bytes(self.body[5:])


def message(data: bytes) -> bytes:
    return b"\x00" + len(data).to_bytes(4, "big") + data


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.encoder, self.decoder = Encoder(), Decoder()
        self.answers: dict[int, Answer] = {}

    @classmethod
    async def open(cls, port: int, settings: dict[int, int] | None = None) -> "Peer":
        peer = cls(*await asyncio.open_connection("127.0.0.1", port))
        peer.send(frames.PREFACE + frames.settings(settings or {}))
        return peer

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    def head(self, stream: int, path: str, *more: tuple[str, str], end: bool = False) -> bytes:
        """The frame that opens a call."""
        block = self.encoder.encode([(":path", path), *HEAD, *more])
        return frames.headers(stream, block, frames.DEFAULT_FRAME_SIZE, end_stream=end)

    def call(self, stream: int, name: str, data: bytes, *more: tuple[str, str]) -> bytes:
        """The frames of a whole unary call."""
        return self.head(stream, f"/test.Echo/{name}", *more) + self.data(stream, message(data), end=True)

    def data(self, stream: int, payload: bytes, *, end: bool = False) -> bytes:
        """DATA frames."""
        parts = [payload[at : at + 16384] for at in range(0, len(payload), 16384)] or [b""]
        last = len(parts) - 1
        return b"".join(frames.frame(frames.DATA, int(end and n == last), stream, part) for n, part in enumerate(parts))

    def on(self, stream: int) -> Answer:
        """What has come on a stream."""
        return self.answers.setdefault(stream, Answer())

    async def frame(self) -> Frame:
        """The next frame; IncompleteReadError at the end."""
        start = await self.reader.readexactly(9)
        number = int.from_bytes(start[5:], "big")
        made = Frame(start[3], start[4], number, await self.reader.readexactly(int.from_bytes(start[:3], "big")))
        answer = self.on(number)
        if made.kind == frames.SETTINGS and not made.flags & frames.ACK:
            self.send(frames.frame(frames.SETTINGS, frames.ACK, 0))
        elif made.kind == frames.HEADERS:
            answer.fields.update((str(name), str(value)) for name, value in self.decoder.decode(made.payload))
        elif made.kind == frames.DATA:
            answer.body += made.payload
        elif made.kind == frames.RST_STREAM:
            answer.reset = made.number
        elif made.kind == frames.WINDOW_UPDATE:
            answer.room += int.from_bytes(made.payload, "big")
        if made.kind in (frames.HEADERS, frames.DATA) and made.flags & frames.END_STREAM:
            answer.whole = True
        return made

    async def until(self, kind: int) -> Frame:
        """The next frame of a kind."""
        while (made := await self.frame()).kind != kind or (kind == frames.SETTINGS and made.flags):
            pass
        return made

    async def answer(self, stream: int) -> Answer:
        """All that comes on a stream."""
        while not (found := self.on(stream)).whole and found.reset is None:
            await self.frame()
        return found

    async def goaway(self) -> int:
        """The code of the GOAWAY that the server ends with; what may come after it is nothing."""
        code = (await self.until(frames.GOAWAY)).number
        assert await self.reader.read() == b""
        return code

    async def ask(self, stream: int, name: str, data: bytes, *more: tuple[str, str]) -> Answer:
        """One unary call."""
        self.send(self.call(stream, name, data, *more))
        return await self.answer(stream)

    def vanish(self) -> None:
        self.writer.transport.abort()

    async def __aenter__(self) -> "Peer":
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.vanish()
