"""What a connection gives its requests to: each becomes the call of a method, or is refused.

Owns nothing of what methods mean: `lookup` knows those, also what to do with a path that there is none for.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable

from local_cloud.errors import ApiError
from local_cloud.server.http2.heads import Head
from local_cloud.server.http2.stream import Stream
from local_cloud.server.rpc import wire
from local_cloud.server.rpc.call import Call, Method
from local_cloud.server.rpc.workers import Workers

#: Paths that are remembered, so that nobody fills the memory with names.
MOST_PATHS = 10_000


class Acceptor:
    """One door's calls."""

    def __init__(self, lookup: Callable[[str], Method], on_disk: Callable[[], Awaitable[None] | None]) -> None:
        self._lookup = lookup
        self._methods: dict[str, Method] = {}
        self._workers = Workers(on_disk)

    def accept(self, stream: Stream, head: Head) -> "Call | Refused":
        """A new request."""
        request: wire.Request = head.request
        if request is None:
            request = head.request = wire.Request(head)
        if request.status:
            return Refused(stream, request)
        method = _TOO_LONG if head.too_long else self._methods.get(request.path) or self._find(request.path)
        call = Call(stream, request, method, self._workers)
        call.begin()
        return call

    def stop(self) -> None:
        """Ends what is still at work."""
        self._workers.stop()

    def _find(self, path: str) -> Method:
        method = self._lookup(path)
        if len(self._methods) < MOST_PATHS:
            self._methods[path] = method
        return method


class Refused:
    """What is no gRPC call: it gets an HTTP status with words when it has said all, and is not listened to."""

    def __init__(self, stream: Stream, request: wire.Request) -> None:
        self._stream = stream
        self._request = request

    def data(self, chunk: bytes) -> None:
        """Not wanted."""
        self._stream.taken(len(chunk))

    def end(self) -> None:
        """Now it is read."""
        self._stream.head(wire.refusal(self._request.status))
        self._stream.body(self._request.refusal.encode(), last=True)

    def gone(self) -> None:
        """Nothing is at work."""

    def leave(self) -> None:
        """Nothing more is waited for."""
        self.end()


def refusing(error: ApiError) -> Method:
    """A method that is always refused: as a stream, before a first message, which a mere listener would never send."""

    async def refuse(_call: Call) -> AsyncGenerator[bytes, None]:
        raise error
        yield b""

    return Method(streaming=refuse, takes_stream=True)


_TOO_LONG = refusing(ApiError("RESOURCE_EXHAUSTED", "The request's metadata is larger than 64 KB."))
