"""Big-endian token bytes: writing, reading, URL-safe base64 without padding. Which fields a token has is not ours."""

from __future__ import annotations

import base64
import binascii
import struct

#: No token of ours is near this long: longer text is refused before it is decoded.
LONGEST_TOKEN = 2000


class TokenError(ValueError):
    """The token cannot be accepted."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


def armour(raw: bytes) -> str:
    """Return URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unarmour(text: str) -> bytes:
    """Undo `armour`, refusing every text that `armour` would not have made (padding, spaces, stray bits)."""
    if not text or len(text) > LONGEST_TOKEN or not text.isascii():
        raise TokenError("TOKEN_INVALID", "not a token")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenError("TOKEN_INVALID", "not a token") from error
    if armour(raw) != text:
        raise TokenError("TOKEN_INVALID", "not a token")
    return raw


def short(text: str) -> bytes:
    """Return a length byte and the text."""
    raw = text.encode()
    if len(raw) > 255:
        raise TokenError("TOKEN_INVALID", "a token's text has at most 255 bytes")
    return bytes([len(raw)]) + raw


def fixed(text: str, size: int) -> bytes:
    """Return the text padded with nulls to a fixed size."""
    raw = text.encode()
    if len(raw) > size:
        raise TokenError("TOKEN_INVALID", f"{len(raw)} bytes do not fit in {size}")
    return raw.ljust(size, b"\0")


class Reader:
    """Reads fields one after the other; running out of bytes is a TokenError."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        piece = self._raw[self._at : self._at + size]
        if len(piece) != size:
            raise TokenError("TOKEN_INVALID", "the token is cut short")
        self._at += size
        return piece

    def unpack(self, layout: str) -> int:
        """Return the next whole number of a struct layout such as '>Q'."""
        value: int = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value

    def double(self) -> float:
        """Return the next big-endian double."""
        value: float = struct.unpack(">d", self.take(8))[0]
        return value

    def u256(self) -> int:
        """Return the next 32 bytes as a whole number."""
        return int.from_bytes(self.take(32), "big")

    def short(self) -> str:
        """Return the next text with a length byte."""
        return self._text(self.take(self.unpack(">B")))

    def fixed(self, size: int) -> str:
        """Return the next null-padded text."""
        return self._text(self.take(size).rstrip(b"\0"))

    def end(self) -> None:
        """Refuse bytes that nobody read."""
        if self._at != len(self._raw):
            raise TokenError("TOKEN_INVALID", "the token is too long")

    @staticmethod
    def _text(raw: bytes) -> str:
        try:
            text = raw.decode("ascii")
        except UnicodeDecodeError as error:
            raise TokenError("TOKEN_INVALID", "a token's text is ASCII") from error
        if not text.isprintable():
            raise TokenError("TOKEN_INVALID", "a token's text is printable")
        return text
