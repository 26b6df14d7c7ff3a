"""One gRPC call: a stream's messages in, an answer out, its deadline, and its end from either side.

Owns the call's state. What a method does is a Method's; a unary call is run by a worker (workers.py), any other by a
task of its own. Source: grpc/doc/PROTOCOL-HTTP2.md, statuscodes.md (deadlines, cardinality).
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from local_cloud.errors import ApiError
from local_cloud.server.http2.stream import Stream
from local_cloud.server.rpc import wire
from local_cloud.settings import MAX_REQUEST_BYTES

#: A stream that never has to wait lets others on after so many responses.
IN_A_ROW = 32


class Run(Protocol):
    """One unary call at work. It changes things in `handle`, and says what came of it when those are on disk."""

    async def handle(self) -> None:
        """All but the wait for the disk; raises nothing but CancelledError."""

    def end(self, failure: ApiError | None) -> "bytes | ApiError":
        """The answer; `failure` when the disk failed."""


class Method:
    """One method as the wire sees it: either `unary` or `streaming` is set."""

    __slots__ = ("streaming", "takes_stream", "unary")

    def __init__(
        self,
        *,
        unary: Callable[[bytes, wire.Request], Run] | None = None,
        streaming: "Callable[[Call], AsyncGenerator[bytes, None]] | None" = None,
        takes_stream: bool = False,
    ) -> None:
        self.unary = unary
        self.streaming = streaming
        #: It is called with the first byte; any other when its one message is there.
        self.takes_stream = takes_stream


class Call:
    """The application's end of one stream."""

    __slots__ = (
        "_began",
        "_messages",
        "_over",
        "_reader",
        "_serving",
        "_timer",
        "_waiter",
        "_whole",
        "handled",
        "method",
        "request",
        "run",
        "stream",
        "task",
    )

    def __init__(self, stream: Stream, request: wire.Request, method: Method, serving: "Serving") -> None:
        self.stream = stream
        self.request = request
        self.method = method
        #: Who runs it: to be cancelled with it.
        self.task: asyncio.Task[None] | None = None
        self.run: Run
        #: The handler is through: no deadline can help any more.
        self.handled = False
        self._serving = serving
        self._messages: deque[bytes] = deque()
        self._reader = wire.Messages(request.encoding, MAX_REQUEST_BYTES)
        self._over = self._began = self._whole = False
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The head has come."""
        try:
            wire.check_encoding(self.request.encoding)
        except ApiError as error:
            self.refuse(error)
            return
        if self.request.timeout is not None:
            self._serving.watch(self)
        if self.method.takes_stream:
            self.task = self._serving.spawn(self._stream())

    # The stream's calls

    def data(self, chunk: bytes) -> None:
        """A part of the body."""
        if self._over:
            return
        try:
            found = self._reader.feed(chunk)
        except ApiError as error:
            self.refuse(error)
            return
        self._messages += found
        if self.method.takes_stream:
            if found:
                self.stream.give_back()
                self._wake()
        elif len(self._messages) > 1:
            self.refuse(ApiError("UNIMPLEMENTED", "The method takes one message, and more came."))
            return
        if not self._messages:
            self.stream.ask(self._reader.begun)

    def end(self) -> None:
        """The body is whole."""
        self._whole = True
        if self._over:
            return
        if self._reader.partial:
            self.refuse(ApiError("INTERNAL", "The body ends within a message."))
        elif self.method.takes_stream:
            self._wake()
        elif not self._messages:
            self.refuse(ApiError("UNIMPLEMENTED", "The method takes one message, and none came."))
        elif self.method.unary is not None:
            try:
                message = self._reader.plain(self._messages.popleft())
            except ApiError as error:
                self.refuse(error)
                return
            self.run = self.method.unary(message, self.request)
            self._serving.submit(self)
        else:
            self.task = self._serving.spawn(self._stream())

    def gone(self) -> None:
        """The client has cancelled, or is no more."""
        self._finish()
        self._cancel()

    def leave(self) -> None:
        """The server stops: a call that is at work may end, one that streams or is not all there might never."""
        if self.method.streaming is not None or not self._whole:
            self.refuse(ApiError("UNAVAILABLE", "The local cloud stops."))

    # The call's own

    @property
    def over(self) -> bool:
        """Nobody wants an answer any more, or it was given."""
        return self._over

    def answer(self, message: bytes) -> None:
        """Ends a unary call well."""
        if not self._over:
            self._finish()
            self.stream.answer(wire.OK_HEAD, wire.framed(message), wire.OK_TRAILERS)

    def refuse(self, error: ApiError) -> None:
        """Ends the call with an error, whatever was sent before."""
        if self._over:
            return
        self._finish()
        block = wire.trailers(error)
        self.stream.head(block if self._began else wire.OK_HEAD + block, last=True)
        self._cancel()

    def arm(self, loop: asyncio.AbstractEventLoop, received: float) -> None:
        """Sets the timer of a call that is not through yet."""
        if not self._over and not self.handled and self.request.timeout is not None:
            self._timer = loop.call_at(received + self.request.timeout, self._late)

    async def messages(self) -> AsyncIterator[bytes]:
        """The client's messages as they come; the next is asked for when the one before was taken."""
        while True:
            while not self._messages:
                if self._whole:
                    return
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            message = self._messages.popleft()
            self.stream.taken(5 + len(message))
            if not self._messages:
                self.stream.ask(self._reader.begun)
            yield self._reader.plain(message)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _stream(self) -> None:
        assert self.method.streaming is not None
        responses, sent = self.method.streaming(self), 0
        try:
            async for response in responses:
                if self._over:
                    return
                if not self._began:
                    self._began = True
                    self.stream.head(wire.OK_HEAD)
                self.stream.body(wire.framed(response))
                await self.stream.drain()
                sent += 1
                if sent % IN_A_ROW == 0:
                    await asyncio.sleep(0)
            if not self._over:
                self._finish()
                self.stream.head(wire.OK_TRAILERS if self._began else wire.OK_HEAD + wire.OK_TRAILERS, last=True)
        except ApiError as error:
            self.refuse(error)
        except Exception:  # the method should have made an answer of it
            self.refuse(ApiError("INTERNAL", "Internal error encountered."))
            raise
        finally:
            await responses.aclose()

    def _late(self) -> None:
        if not self.handled:
            self.refuse(ApiError("DEADLINE_EXCEEDED", "Deadline Exceeded"))

    def _finish(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()

    def _cancel(self) -> None:
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()


class Serving(Protocol):
    """Who runs calls."""

    def submit(self, call: Call) -> None:
        """Runs a unary call whose message is there."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a call that streams."""

    def watch(self, call: Call) -> None:
        """Sees to its deadline."""
