"""A service for tests, in the spirit of gRPC's interop tests: its messages are plain bytes."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from local_cloud.errors import NUMBER, ApiError
from local_cloud.server.http2.connection import Connection
from local_cloud.server.http2.lending import House
from local_cloud.server.rpc import wire
from local_cloud.server.rpc.acceptor import Acceptor, refusing
from local_cloud.server.rpc.call import Call, Method

Answer = Callable[[bytes, wire.Request], Awaitable[bytes]]


class Run:
    """A unary call at work."""

    def __init__(self, answer: Answer, message: bytes, request: wire.Request) -> None:
        self._answer, self._message, self._request = answer, message, request
        self._result: bytes | ApiError = b""

    async def handle(self) -> None:
        try:
            self._result = await self._answer(self._message, self._request)
        except ApiError as error:
            self._result = error

    def end(self, failure: ApiError | None) -> bytes | ApiError:
        return failure or self._result


class Echo:
    """The methods, and what tests see and steer of them."""

    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.cancelled = 0
        self.waiting = 0
        #: Calls of Wait and Hold go on when it is set; `changed` tells of calls that came or were cut off.
        self.go_on = asyncio.Event()
        self.changed = asyncio.Event()
        #: What answers wait for, and how often somebody has begun to.
        self.disk: asyncio.Future[None] | None = None
        self.waits = 0
        #: Sizes of what Talk and Pour have sent so far.
        self.poured = 0
        self.house = House()
        self.acceptor = Acceptor(self._lookup, self._on_disk)

    def connection(self) -> Connection:
        """A new connection's protocol."""
        return Connection(self.acceptor.accept, self.connections, self.house)

    async def until(self, true: Callable[[], bool]) -> None:
        """Returns when something is so."""
        while not true():
            self.changed.clear()
            await self.changed.wait()

    def _on_disk(self) -> Awaitable[None] | None:
        if self.disk is None:
            return None
        self.waits += 1
        self.changed.set()
        return asyncio.shield(self.disk)

    def _lookup(self, path: str) -> Method:
        name = path.removeprefix("/test.Echo/")
        unary: dict[str, Answer] = {
            "Unary": self._unary,
            "Size": self._size,
            "Fail": self._fail,
            "Break": self._break,
            "Wait": self._wait,
            "Metadata": self._metadata,
        }
        if name in unary:
            return Method(unary=lambda message, request: Run(unary[name], message, request))
        if name == "Collect":
            return Method(streaming=self._collect, takes_stream=True)
        if name == "Pour":
            return Method(streaming=self._pour)
        if name == "Talk":
            return Method(streaming=self._talk, takes_stream=True)
        if name == "Hold":
            return Method(streaming=self._hold, takes_stream=True)
        return refusing(ApiError("UNIMPLEMENTED", f"no {path}"))

    async def _unary(self, message: bytes, _request: wire.Request) -> bytes:
        return message

    async def _size(self, message: bytes, _request: wire.Request) -> bytes:
        return bytes(int(message))

    async def _fail(self, message: bytes, _request: wire.Request) -> bytes:
        code, _, text = message.decode().partition(" ")
        raise ApiError(code if code in NUMBER else "UNKNOWN", text)

    async def _break(self, message: bytes, _request: wire.Request) -> bytes:
        raise ValueError(message)

    async def _metadata(self, _message: bytes, request: wire.Request) -> bytes:
        return json.dumps(request.metadata).encode()

    async def _wait(self, message: bytes, _request: wire.Request) -> bytes:
        self.waiting += 1
        self.changed.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.waiting -= 1
            self.changed.set()
        return message

    async def _collect(self, call: Call) -> AsyncGenerator[bytes, None]:
        total = 0
        async for message in call.messages():
            total += len(message)
        yield str(total).encode()

    async def _pour(self, call: Call) -> AsyncGenerator[bytes, None]:
        message = await anext(call.messages())
        for size in map(int, filter(bytes.isdigit, message.split(b","))):
            yield bytes(size)
            self.poured += size

    async def _talk(self, call: Call) -> AsyncGenerator[bytes, None]:
        async for message in call.messages():
            if message == b"break":
                raise ValueError(message)
            if message.startswith(b"fail "):
                raise ApiError("ABORTED", message[5:].decode())
            yield message

    async def _hold(self, call: Call) -> AsyncGenerator[bytes, None]:
        yield await self._wait(b"held", call.request)
