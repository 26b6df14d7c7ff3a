"""gRPC's form on HTTP/2: what a request's head says, messages within bodies, and the trailers of an answer.

Owns bytes only. Requests may be compressed (gzip, deflate); answers are not: on loopback it never pays.
Source: grpc/doc/PROTOCOL-HTTP2.md, compression.md and statuscodes.md.
"""

import base64
import re
import zlib
from typing import Final

from local_cloud.errors import NUMBER, ApiError
from local_cloud.server.http2.header_blocks import encode
from local_cloud.server.http2.heads import Head

#: What an answer's head says, after `:status: 200` (the eighth of the static table).
ACCEPTED: Final = "identity, deflate, gzip"
OK_HEAD: Final = b"\x88" + encode([("content-type", b"application/grpc"), ("grpc-accept-encoding", ACCEPTED.encode())])
OK_TRAILERS: Final = encode([("grpc-status", b"0")])

#: Clients of gRPC's C core refuse trailers of more than 16 KB, and from 8 KB on some of them by lot. Longer words are
#: cut, and details that do not fit beside them are left out.
LONGEST_TEXT, LONGEST_TRAILERS = 3_000, 7_500

_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_CONTENT_TYPES: Final = frozenset({b"application/grpc", b"application/grpc+proto"})
#: zlib's name of the format.
_WINDOW_BITS: Final = {"gzip": 31, "deflate": 15}


class Request:
    """A request's head as gRPC reads it."""

    __slots__ = ("encoding", "metadata", "path", "refusal", "status", "timeout")

    def __init__(self, head: Head) -> None:
        found: dict[bytes, bytes] = dict(head.fields)
        self.path = found.get(b":path", b"").decode("latin-1")
        #: As handlers get it: text only.
        self.metadata = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in head.fields
            if not name.startswith(b":") and not name.endswith(b"-bin")
        }
        self.encoding = self.metadata.get("grpc-encoding", "identity")
        self.timeout: float | None = None
        #: Why it is no call at all: an HTTP status with words.
        self.status, self.refusal = 0, ""
        if head.too_long:
            return
        kind = found.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if found[b":method"] != b"POST":
            self.status, self.refusal = 405, "gRPC calls are POST requests."
        elif kind not in _CONTENT_TYPES:
            text = kind.decode("latin-1") or "no content-type"
            self.status, self.refusal = 415, f"This is gRPC with content-type application/grpc; the request has {text}."
        elif (sent := found.get(b"grpc-timeout")) is not None:
            match = _TIMEOUT.fullmatch(sent)
            if match is None:
                self.status, self.refusal = 400, "The grpc-timeout is none."
            else:
                self.timeout = int(match[1]) * _SECONDS[match[2]]


def refusal(status: int) -> bytes:
    """The head of an answer to what is no gRPC call."""
    return encode([(":status", b"%d" % status), ("content-type", b"text/plain; charset=utf-8")])


def trailers(error: ApiError) -> bytes:
    """The status of a call that failed, as trailers."""
    fields = [("grpc-status", b"%d" % NUMBER[error.code])]
    text = percent_encoded(error.text)
    if text:
        fields.append(("grpc-message", text))
    details = base64.b64encode(error.to_status().SerializeToString()).rstrip(b"=")
    if len(text) + len(details) <= LONGEST_TRAILERS:
        fields.append(("grpc-status-details-bin", details))
    return encode(fields)


def percent_encoded(text: str) -> bytes:
    """A grpc-message: printable ASCII but the percent sign stands for itself."""
    if text.isascii() and text.isprintable() and "%" not in text and len(text) <= LONGEST_TEXT:
        return text.encode()
    made = bytearray()
    for letter in text:
        code = ord(letter)
        if 0x20 <= code <= 0x7E and code != 0x25:
            made.append(code)
        else:
            made += b"".join(b"%%%02X" % byte for byte in letter.encode("utf-8", "replace"))
        if len(made) > LONGEST_TEXT:
            return bytes(made) + b" ..."
    return bytes(made)


def framed(message: bytes) -> bytes:
    """A message as it stands in a body."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


class Compressed(bytes):
    """A message as it came: it is made plain when somebody takes it, as it may become a thousand times larger."""

    __slots__ = ()


class Messages:
    """Takes the messages out of a body that comes in chunks."""

    __slots__ = ("_buffer", "_encoding", "_largest")

    def __init__(self, encoding: str, largest: int) -> None:
        self._encoding = encoding
        self._largest = largest
        self._buffer = bytearray()

    @property
    def partial(self) -> bool:
        """Whether a message has begun and is not whole."""
        return bool(self._buffer)

    @property
    def begun(self) -> int:
        """The size on the wire of the message that has begun; 0 while it has not said it."""
        return 5 + int.from_bytes(self._buffer[1:5], "big") if len(self._buffer) >= 5 else 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The messages that are whole now; an ApiError where one is too large or cannot be read."""
        buffer = self._buffer
        if not buffer and len(chunk) >= 5 and int.from_bytes(chunk[1:5], "big") == len(chunk) - 5:
            self._check(len(chunk) - 5)
            return [self._checked(chunk[0], chunk[5:])]
        buffer += chunk
        found = []
        while len(buffer) >= 5:
            end = 5 + int.from_bytes(buffer[1:5], "big")
            self._check(end - 5)
            if len(buffer) < end:
                break
            found.append(self._checked(buffer[0], bytes(buffer[5:end])))
            del buffer[:end]
        return found

    def _check(self, size: int) -> None:
        if size > self._largest:
            raise ApiError("RESOURCE_EXHAUSTED", f"Received message larger than max ({size} vs. {self._largest})")

    def _checked(self, flag: int, message: bytes) -> bytes:
        if flag == 0:
            return message
        if flag != 1:
            raise ApiError("INTERNAL", f"Bad message flag {flag}.")
        if self._encoding == "identity":
            raise ApiError("INTERNAL", "A message is compressed, and grpc-encoding does not say how.")
        return Compressed(message)

    def plain(self, message: bytes) -> bytes:
        """A message that feed() gave, as the client meant it; an ApiError where it cannot be read."""
        if type(message) is not Compressed:
            return message
        inflater = zlib.decompressobj(_WINDOW_BITS[self._encoding])
        try:
            plain = inflater.decompress(message, self._largest + 1)
        except zlib.error:
            raise ApiError("INTERNAL", f"A message cannot be decompressed as {self._encoding}.") from None
        self._check(len(plain))
        if not inflater.eof:
            raise ApiError("INTERNAL", f"A message cannot be decompressed as {self._encoding}.")
        return plain


def check_encoding(encoding: str) -> None:
    """Refuses a compression that is not known."""
    if encoding != "identity" and encoding not in _WINDOW_BITS:
        raise ApiError("UNIMPLEMENTED", f"Compression algorithm '{encoding}' is not supported: use {ACCEPTED}.")
