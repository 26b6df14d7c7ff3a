"""What a request's header block says, and whether a request may say that.

Owns the rules for fields; a head that breaks them is malformed, which ends its stream only.
Source: RFC 9113, sections 8.1.1, 8.2 and 8.3.
"""

import re
from typing import Any, Final

from local_cloud.server.http2.frames import PROTOCOL_ERROR, StreamFault

#: Fields that belong to a connection in HTTP/1.
_OF_CONNECTIONS: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]|^[ \t]|[ \t]$")


class Head:
    """One decoded block. `request` is what the application has made of it, kept with it."""

    __slots__ = ("_checked", "_fault", "fields", "length", "request", "too_long")

    def __init__(self, fields: list[tuple[bytes, bytes]], *, too_long: bool = False) -> None:
        self.fields = fields
        #: The peer sent more than was allowed; what is beyond is not here.
        self.too_long = too_long
        #: The announced length of the body.
        self.length: int | None = None
        self.request: Any = None
        self._checked = False
        self._fault = ""

    def check(self) -> None:
        """As the head of a request."""
        if not self._checked:
            self._checked = True
            self._fault = self._wrong()
        if self._fault:
            raise StreamFault(PROTOCOL_ERROR, self._fault)

    def check_trailers(self) -> None:
        """As what comes after a request's body."""
        if any(name.startswith(b":") for name, _ in self.fields):
            raise StreamFault(PROTOCOL_ERROR, "a pseudo-header in trailers")
        if fault := self._bad_field():
            raise StreamFault(PROTOCOL_ERROR, fault)

    def pseudo(self, name: bytes) -> bytes | None:
        """The value of a pseudo-header."""
        return next((value for key, value in self.fields if key == name), None)

    def _wrong(self) -> str:
        found: dict[bytes, bytes] = {}
        regular = False
        for name, value in self.fields:
            if not name.startswith(b":"):
                regular = True
            elif regular:
                return "a pseudo-header after a regular one"
            elif name not in _PSEUDO or name in found:
                return "an unknown or repeated pseudo-header"
            else:
                found[name] = value
        if not self.too_long:
            wanted = (b":method",) if found.get(b":method") == b"CONNECT" else (b":method", b":scheme", b":path")
            if not all(found.get(name) for name in wanted):
                return "a request without method, scheme or path"
        return self._bad_field()

    def _bad_field(self) -> str:
        for name, value in self.fields:
            if not _NAME.fullmatch(name[1:] if name[:1] == b":" else name):
                return "a field name that is none"
            if _BAD_VALUE.search(value):
                return "a field value that is none"
            if name in _OF_CONNECTIONS:
                return "a field that belongs to a connection"
            if name == b"te" and value != b"trailers":
                return "te may say trailers only"
            if name == b"content-length":
                if not value.isdigit() or len(value) > 18 or self.length not in (None, int(value)):
                    return "a content-length that is none"
                self.length = int(value)
        return ""
