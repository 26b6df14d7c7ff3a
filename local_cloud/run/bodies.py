"""The caller's side of one request: its body piece by piece, and the moment at which it hangs up.

Owns the reading from the ASGI server, which is done by one reader at a time: the body first, then the waiting for the
end. Source of the limit: https://cloud.google.com/run/quotas (HTTP/1 requests).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: The largest request body over HTTP/1.
MAX_BODY = 32 * 1024 * 1024


class ClientGoneError(Exception):
    """The caller hung up."""


class TooLargeError(Exception):
    """The body is larger than a request may be."""


class Body:
    """A request's body. What comes with the head is here at once, the rest is read as the instance takes it."""

    def __init__(self, receive: Receive, declared: bytes | None) -> None:
        self._receive = receive
        self._declared = int(declared) if declared is not None and declared.isdigit() else None
        self._all_read: asyncio.Event | None = None
        self.first = b""
        self.more = False
        self.size = 0

    async def begin(self) -> None:
        """Read the first piece."""
        if (self._declared or 0) > MAX_BODY:
            raise TooLargeError
        self.more = True
        self.first = await self._next()

    @property
    def length(self) -> int | None:
        """How long it is, None where only its end will tell."""
        return self._declared if self.more else self.size

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """The pieces after the first one."""
        while self.more:
            yield await self._next()

    async def gone(self) -> None:
        """Returns when the caller has hung up, which nobody can see before the body is read."""
        if self.more:
            self._all_read = asyncio.Event()
            await self._all_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> bytes:
        event = await self._receive()
        if event["type"] != "http.request":
            raise ClientGoneError
        chunk: bytes = event.get("body", b"")
        self.size += len(chunk)
        if self.size > MAX_BODY:
            raise TooLargeError
        self.more = bool(event.get("more_body"))
        if not self.more and self._all_read is not None:
            self._all_read.set()
        return chunk
