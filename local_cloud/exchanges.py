"""One HTTP request of a mount, and its answer: for surfaces whose bodies are too large to be held, or not JSON.

Owns the reading of a body piece by piece, ranges, and the sending; who may call is asked by caller(), as at every
other surface (server/calls.py). The words of errors are the surface's own.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from local_cloud.cloud import Cloud
from local_cloud.registry import Door, Principal
from local_cloud.server import calls

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class ClientGoneError(Exception):
    """The caller hung up in the middle of its body."""


class BodyTooLargeError(Exception):
    """A body that is to be held in memory is too large for that."""


class Exchange:
    """A request that is being answered."""

    def __init__(self, cloud: Cloud, scope: Scope, receive: Receive, send: Send) -> None:
        self.cloud = cloud
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: str = scope["raw_path"].decode("latin-1")
        self.door: Door = scope.get("sluice.door", Door.OWNER)
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.query: dict[str, str] = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self._query_string: bytes = scope["query_string"]
        self.answered = False
        self._receive, self._send = receive, send
        self._more = True

    @property
    def base(self) -> str:
        """The address that the caller knows the door by."""
        return f"http://{self.headers.get('host') or self.cloud.rest_url.partition('//')[2]}"

    def values(self, name: str) -> list[str]:
        """All values of a parameter of the query, in their order."""
        pairs = parse_qsl(self._query_string.decode("latin-1"), keep_blank_values=True)
        return [value for key, value in pairs if key == name]

    def caller(self, api: str, authorization: str | None = None) -> Principal:
        """Who calls the API of this host, by the request's credentials or by others; refused while it is disabled."""
        metadata = self.headers if authorization is None else {"authorization": authorization}
        principal = calls.authenticate(self.cloud, self.door, metadata, api)
        if api in self.cloud.disabled:
            raise self.cloud.disabled[api]()
        return principal

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        while self._more:
            event = await self._receive()
            if event["type"] != "http.request":
                raise ClientGoneError
            self._more = bool(event.get("more_body"))
            if piece := event.get("body", b""):
                yield piece

    async def body(self, most: int) -> bytes:
        """A body that is to be held."""
        found = bytearray()
        async for piece in self.pieces():
            found += piece
            if len(found) > most:
                raise BodyTooLargeError
        return bytes(found)

    async def answer(
        self,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> None:
        """The whole answer, when all that was changed until then is on disk."""
        if self.cloud.store.pending:
            await self.cloud.store.committed()
        sent = {"content-length": str(len(body)), **{name.lower(): value for name, value in (headers or {}).items()}}
        if body or self.method == "HEAD":
            sent.setdefault("content-type", content_type)
        await self._head(status, sent)
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def stream(self, status: int, pieces: AsyncIterator[bytes], headers: Mapping[str, str]) -> None:
        """An answer whose body comes piece by piece; its length stands in the headers."""
        if self.cloud.store.pending:
            await self.cloud.store.committed()
        await self._head(status, {name.lower(): value for name, value in headers.items()})
        if self.method != "HEAD":
            async for piece in pieces:
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.answered = True
        sent = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": sent})


def wanted_range(header: str, size: int) -> tuple[int, int] | None:
    """What a Range header asks for of so many bytes, from and to before; None for all. ValueError: it cannot be had."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        last = int(match[2])
        if not last or not size:
            raise ValueError(header)
        return max(size - last, 0), size
    start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
    if start >= size or end <= start:
        raise ValueError(header)
    return start, end
