"""One HTTP/1.1 exchange with an instance, on a connection that is kept for the next one.

Owns the wire to the instance. Which instance, and what the answers to failures are, is door.py's. A connection that has
been idle for longer than IDLE is not used again: an instance may be about to close it, and a request is never repeated.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import httptools

Header = tuple[bytes, bytes]

#: Seconds that an idle connection may be used again (uvicorn, the tightest common server, closes its own after 5).
IDLE = 2.0
#: Chunks of an answer that may wait for a slow reader before the instance is asked to pause.
HIGH_WATER = 64


class UpstreamError(Exception):
    """The request failed because the HTTP response was malformed or the connection to the instance had an error."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.idle_since = 0.0
        self._parser: Any = None
        self._events: deque[tuple[str, Any]] = deque()
        self._arrived: asyncio.Event = asyncio.Event()
        self._headers: list[Header] = []
        self._status = 0
        self._framed = self._complete = self._paused = self._head = self._unsent = False
        self._sending: asyncio.Task[None] | None = None
        #: Clear while the instance takes no more of the request.
        self._writable = asyncio.Event()
        self._writable.set()

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Parse what came; bytes that nobody asked for end the connection."""
        if self._parser is None or self._complete:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._put("lost", f"the answer is not HTTP: {error}")
            self.close()
        if len(self._events) > HIGH_WATER and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer without a length ends here, any other is broken off."""
        if self._parser is not None and not self._complete:
            if self._status and not self._framed:
                self._finish()
            else:
                self._put("lost", f"the connection was closed{f': {exc}' if exc else ''}")

    def pause_writing(self) -> None:
        """The instance is slow to read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()

    # From the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header (or a trailer, which is passed over)."""
        lower = name.lower()
        if lower in (b"content-length", b"transfer-encoding"):
            self._framed = True
        self._headers.append((lower, value))

    def on_headers_complete(self) -> None:
        """The head of an answer; interim ones are passed over."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            return
        self._status = status
        self._put("head", (status, self._headers))
        if self._head:
            self._finish()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._put("body", data)

    def on_message_complete(self) -> None:
        """The end of an answer."""
        if self._parser.get_status_code() >= 200 and not self._complete:
            self._finish()

    # For the door

    def begin(self, request: bytes, *, head: bool) -> None:
        """Send a request, or its head and what there is of its body."""
        assert self.transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._events.clear()
        self._headers = []
        self._status, self._framed, self._complete, self._head = 0, False, False, head
        if self.transport.is_closing():
            raise UpstreamError("the connection was closed")
        self.transport.write(request)

    def stream(self, rest: AsyncIterator[bytes]) -> None:
        """Send what comes after the first bytes, framed as the head says, while the answer is read.

        An instance may answer early; then the connection is of no more use.
        """
        self._sending = asyncio.ensure_future(self._send(rest))

    async def end(self) -> None:
        """Stop sending: the answer is there, or nobody wants it any more."""
        if self._sending is not None:
            self._unsent = not self._sending.done()
            self._sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sending
            self._sending = None

    async def _send(self, rest: AsyncIterator[bytes]) -> None:
        try:
            async for piece in rest:
                await self._writable.wait()
                assert self.transport is not None
                self.transport.write(piece)
        except Exception as error:  # the caller hung up or sent too much: whoever waits for the answer hears of it
            self._put("failed", error)

    async def answer(self) -> AsyncGenerator[tuple[str, Any], None]:
        """Yields ("head", (status, headers)) and ("body", data) pieces; UpstreamError when it breaks."""
        while True:
            while self._events:
                kind, value = self._events.popleft()
                if kind == "lost":
                    raise UpstreamError(value)
                if kind == "failed":
                    raise value
                if kind == "end":
                    return
                yield kind, value
            if self._paused and self.transport is not None:
                self._paused = False
                self.transport.resume_reading()
            self._arrived.clear()
            await self._arrived.wait()

    @property
    def reusable(self) -> bool:
        """Whether the exchange is over and the connection good for another."""
        return (
            self._complete
            and not self._unsent
            and not self._head
            and self._framed
            and self._parser.should_keep_alive()
            and self.transport is not None
            and not self.transport.is_closing()
        )

    def close(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abort()

    def _finish(self) -> None:
        self._complete = True
        self._put("end", None)

    def _put(self, kind: str, value: Any) -> None:
        self._events.append((kind, value))
        self._arrived.set()


class Upstream:
    """The connections to one instance."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[Connection] = []

    async def take(self) -> Connection:
        """A fresh enough idle connection, or a new one."""
        loop = asyncio.get_running_loop()
        while self._idle:
            connection = self._idle.pop()
            fresh = loop.time() - connection.idle_since < IDLE
            if fresh and connection.transport is not None and not connection.transport.is_closing():
                return connection
            connection.close()
        try:
            _, made = await loop.create_connection(Connection, "127.0.0.1", self.port)
        except OSError as error:
            raise UpstreamError(f"no connection to the instance: {error}") from None
        return made

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose exchange is over, if it can carry another."""
        if connection.reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Drop all idle connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
