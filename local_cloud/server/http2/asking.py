"""The other side, for one question: a unary gRPC call on a connection that was just opened.

Owns just enough of a client for a health check, so that the local cloud needs no gRPC library. What is asked and
answered must fit the windows that every connection starts with. Source: RFC 9113; grpc/doc/PROTOCOL-HTTP2.md.
"""

import asyncio
from typing import Final

from local_cloud.server.http2 import frames
from local_cloud.server.http2.header_blocks import Decoder, encode

#: The stream that the question goes on.
_STREAM: Final = 1
_LONGEST_HEADERS: Final = 16 * 1024


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, path: str, message: bytes
) -> bytes | None:
    """The answer's message, None for any status but OK. Raises what the connection raises, and EOFError at its end."""
    head = [
        *((":method", b"POST"), (":scheme", b"http"), (":path", path.encode()), (":authority", authority.encode())),
        *(("content-type", b"application/grpc"), ("te", b"trailers"), ("user-agent", b"GoogleHC/1.0")),
    ]
    body = b"\x00" + len(message).to_bytes(4, "big") + message
    writer.write(
        frames.PREFACE
        + frames.settings({frames.ENABLE_PUSH: 0})
        + frames.headers(_STREAM, encode(head), frames.DEFAULT_FRAME_SIZE, end_stream=False)
        + frames.frame(frames.DATA, frames.END_STREAM, _STREAM, body)
    )
    decoder, block, answer, ends = Decoder(_LONGEST_HEADERS), b"", b"", False
    while True:
        kind, flags, number, payload = await _frame(reader)
        if kind in (frames.SETTINGS, frames.PING) and not flags & frames.ACK:
            writer.write(frames.frame(kind, frames.ACK, 0, payload if kind == frames.PING else b""))
        elif kind in (frames.GOAWAY, frames.RST_STREAM):
            return None
        elif kind == frames.DATA and number == _STREAM:
            answer += frames.unpadded(payload, flags)
        elif kind in (frames.HEADERS, frames.CONTINUATION) and number == _STREAM:
            if kind == frames.HEADERS:
                ends = bool(flags & frames.END_STREAM)
                payload = frames.unpadded(payload, flags)
                payload = payload[5:] if flags & frames.HAS_PRIORITY else payload
            block += payload
            if flags & frames.END_HEADERS:
                fields = dict(decoder.decode(block).fields)
                block = b""
                if ends:
                    return answer[5:] if fields.get(b"grpc-status") == b"0" else None


async def _frame(reader: asyncio.StreamReader) -> tuple[int, int, int, bytes]:
    start = await reader.readexactly(9)
    size = int.from_bytes(start[:3], "big")
    if size > frames.DEFAULT_FRAME_SIZE:
        raise EOFError("a frame larger than allowed")
    return start[3], start[4], int.from_bytes(start[5:], "big") & 0x7FFFFFFF, await reader.readexactly(size)
