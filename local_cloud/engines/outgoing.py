"""The HTTP/1.1 client that carries attempts to their receivers.

Owns connections: opening them (a bounded number at a time for each origin), keeping idle ones for reuse, reading
answers with llhttp, saying how a call ended. It writes the bytes that it is given and adds nothing, because a task's
headers go out exactly as they were set. Leaves alone: deadlines (the dispatcher cancels), retries, and redirects, which
Cloud Tasks does not follow. A call is never repeated here: once a byte may have left, only the queue may try again.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httptools

#: Connections that may be opening at once to one origin; more calls wait for one of these or for an idle one.
MAX_OPENING = 32
#: Idle connections kept for each origin.
MAX_IDLE = 256
#: An idle connection is not used again after this many seconds: common servers close theirs at 5.
IDLE_SECONDS = 4.0
#: Answers of at most so many bytes that came whole in one piece are known when the same bytes come again, so many of
#: them for each origin: a receiver of thousands of tasks a second says the same thing over and over.
KNOWN_BYTES, KNOWN = 512, 64
#: The local ends of all connections that clients of this process hold: who listens here knows by them that it is
#: called by the cloud itself.
own_addresses: set[tuple[str, int]] = set()


class Origin(NamedTuple):
    """Where connections go to."""

    host: str
    port: int
    tls: bool


class Reply(NamedTuple):
    """How a call ended: a status, or 0 and the reason why none came."""

    status: int
    retry_after: str = ""
    error: str = ""


class Call:
    """One request on its way. `done` is called once, unless the call was cancelled before."""

    __slots__ = ("_connection", "body", "done", "enough", "head")

    def __init__(
        self, body: bytes, head: bool, done: Callable[[Reply], None], enough: frozenset[int] = frozenset()
    ) -> None:
        self.body = body
        self.head = head
        #: Interim statuses that end the call.
        self.enough = enough
        self.done: Callable[[Reply], None] | None = done
        self._connection: Connection | None = None

    def finish(self, reply: Reply) -> None:
        """Reports the end, once."""
        done, self.done = self.done, None
        if done is not None:
            done(reply)

    def cancel(self) -> None:
        """Stops listening: nothing will be reported, and its connection is not used again."""
        self.done = None
        if self._connection is not None:
            self._connection.abort()

    def ride(self, connection: "Connection | None") -> None:
        """The connection that carries the call now."""
        self._connection = connection


class Connection(asyncio.Protocol):
    """One connection to an origin: carries one call at a time."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._call: Call | None = None
        self._parser: Any = None
        self._retry_after = ""
        self._headers_done = False
        self._framed = False
        self._length = 0
        #: The first piece of an answer: None before it comes, empty when it is not to be remembered.
        self._piece: bytes | None = None
        self._address: tuple[str, int] | None = None
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport; the pool gives the first call."""
        self._parser = httptools.HttpResponseParser(self)
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not its subclasses
        self._address = tuple((transport.get_extra_info("sockname") or ("", 0))[:2])
        own_addresses.add(self._address)

    @property
    def usable(self) -> bool:
        """Whether another call can be written to it."""
        return self._transport is not None and not self._transport.is_closing()

    def carry(self, call: Call) -> None:
        """Writes the call's bytes and waits for its answer."""
        assert self._transport is not None
        self._call = call
        call.ride(self)
        self._retry_after = ""
        self._headers_done = self._framed = False
        self._length, self._piece = 0, None
        self._transport.write(call.body)

    def abort(self) -> None:
        """Drops the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; bytes that nobody asked for, or that are not HTTP, end the connection."""
        if self._call is None:
            self.abort()
            return
        if self._piece is None and not self._call.head:
            known = self._pool.known.get(data)
            if known is not None:
                self._end(known, keep=True)
                return
            self._piece = data if len(data) <= KNOWN_BYTES else b""
        else:
            self._piece = b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(Reply(101), keep=False)
        except httptools.HttpParserError as error:
            self._end(Reply(0, error=f"The answer was not HTTP: {error}"), keep=False)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Notes the few headers that matter."""
        lower = name.lower()
        if lower == b"retry-after":
            self._retry_after = value.decode("latin-1")
        elif lower == b"content-length":
            self._framed, self._length = True, int(value) if value.isdigit() and len(value) < 10 else -1
        elif lower == b"transfer-encoding":
            self._framed, self._length = True, -1

    def on_headers_complete(self) -> None:
        """An answer to HEAD has no body, whatever its headers say."""
        status = self._parser.get_status_code()
        if status < 200 and self._call is not None and status in self._call.enough:
            self._end(Reply(status), keep=False)
        elif status >= 200:
            self._headers_done = True
            if self._call is not None and self._call.head:
                self._end(Reply(status, self._retry_after), keep=False)

    def on_message_complete(self) -> None:
        """The end of an answer; interim ones (100 Continue) are passed over."""
        status = self._parser.get_status_code()
        if status >= 200:
            reply, keep = Reply(status, self._retry_after), self._parser.should_keep_alive()
            if keep and self._piece and self._piece.find(b"\r\n\r\n") + 4 + self._length == len(self._piece):
                self._pool.learn(self._piece, reply)
            self._end(reply, keep=keep)

    def eof_received(self) -> bool:
        """Lets the transport close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer without a length ends with its connection; any other call gets none."""
        if self._address is not None:
            own_addresses.discard(self._address)
        if self._call is None:
            self._pool.forget(self)
        elif self._headers_done and not self._framed and exc is None:
            self._end(Reply(self._parser.get_status_code(), self._retry_after), keep=False)
        else:
            self._end(Reply(0, error=f"The connection was closed before an answer came{_because(exc)}"), keep=False)

    def _end(self, reply: Reply, keep: bool) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        call.ride(None)
        if keep and self.usable:
            self._pool.give_back(self)
        else:
            self.abort()
        call.finish(reply)


class Pool:
    """Connections to one origin."""

    __slots__ = ("_idle", "_loop", "_opening", "_origin", "_tls", "_waiting", "known")

    def __init__(self, origin: Origin, loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._loop = loop
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Call] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._tls = tls
        #: Whole answers that leave the connection open, by their bytes.
        self.known: dict[bytes, Reply] = {}

    def learn(self, answer: bytes, reply: Reply) -> None:
        """Remembers what an answer means; dates change, so it forgets all when it has seen many."""
        if len(self.known) >= KNOWN:
            self.known.clear()
        self.known[answer] = reply

    def send(self, call: Call) -> None:
        """Carries the call on an idle connection, or on one that it opens."""
        stale = self._loop.time() - IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since > stale:
                connection.carry(call)
                return
            connection.abort()
        self._waiting.append(call)
        self._open()

    def give_back(self, connection: Connection) -> None:
        """Takes a connection whose call is over: the next waiting call rides on it."""
        while self._waiting:
            call = self._waiting.popleft()
            if call.done is not None:
                connection.carry(call)
                return
        if len(self._idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """The other side closed an idle connection."""
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def prune(self, before: float) -> bool:
        """Closes what has been idle since before that time. True when nothing is left of the pool."""
        while self._idle and self._idle[0].idle_since < before:
            self._idle.popleft().abort()
        return not (self._idle or self._waiting or self._opening)

    def close(self) -> None:
        """Drops everything without reporting."""
        for task in self._opening:
            task.cancel()
        for connection in self._idle:
            connection.abort()
        self._idle.clear()
        self._waiting.clear()

    def _open(self) -> None:
        if len(self._opening) < min(MAX_OPENING, len(self._waiting)):
            task = self._loop.create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if self._waiting:
            self._open()

    async def _connect(self) -> None:
        host, port, _ = self._origin
        connection = Connection(self)
        try:
            await self._loop.create_connection(lambda: connection, host, port, ssl=self._tls)
        except Exception as error:  # whatever keeps the connection from opening
            while self._waiting:  # the receiver is not there: that is the answer of every call that waits for it
                self._waiting.popleft().finish(Reply(0, error=f"No connection to {host}:{port}{_because(error)}"))
            return
        if connection.usable:
            self.give_back(connection)
        elif self._waiting:  # closed as soon as it was open: one call takes the blame, or this would go on for ever
            self._waiting.popleft().finish(Reply(0, error=f"{host}:{port} closed the connection at once."))


class Client:
    """The pools of all origins."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pools: dict[Origin, Pool] = {}
        self._pruning: asyncio.TimerHandle | None = None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """One for all origins: to read the machine's certificates takes tens of milliseconds."""
        return ssl.create_default_context()

    def send(
        self,
        origin: Origin,
        request: bytes,
        done: Callable[[Reply], None],
        head: bool = False,
        *,
        enough: frozenset[int] = frozenset(),
    ) -> Call:
        """Sends one request (all of its bytes) and calls `done` when it has ended.

        Interim answers are passed over, but for those whose status is `enough`.
        """
        call = Call(request, head, done, enough)
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(origin, self._loop, self._tls if origin.tls else None)
        pool.send(call)
        if self._pruning is None:
            self._pruning = self._loop.call_later(IDLE_SECONDS, self._prune)
        return call

    def close(self) -> None:
        """Drops all connections."""
        if self._pruning is not None:
            self._pruning.cancel()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def _prune(self) -> None:
        before = self._loop.time() - IDLE_SECONDS
        for origin in [origin for origin, pool in self._pools.items() if pool.prune(before)]:
            del self._pools[origin]
        self._pruning = self._loop.call_later(IDLE_SECONDS, self._prune) if self._pools else None


@lru_cache(maxsize=4096)
def split_url(url: str) -> tuple[Origin, str, str]:
    """The origin, the Host header's value and the request target of an absolute http(s) URL.

    Raises ValueError when it has no host or no usable port.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("the URL has no host")
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.hostname, port, tls), parts.netloc.rpartition("@")[2], target


def _because(error: BaseException | None) -> str:
    return f": {error}" if error is not None and str(error) else "."
