"""The receiver of the benchmarks of Cloud Tasks, and the bare gRPC server beside which creates are measured.

`python -m bench._tasks_target http` answers every request at once (200; below /fail 500) and does as little as it can,
so that it is never what is measured. GET /_stats says how many came and when the first and the last did; below /log and
/fail it notes the time of each task's name, or pushed message's id, which GET /_log gives and forgets. `... grpc` is
grpc.aio answering CreateTask with what it was sent: what grpc's own Python server costs when it does nothing. Times are
CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from typing import Any

import grpc
import grpc.aio
import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")
_NAME = re.compile(rb"\r\nx-cloudtasks-taskname: *([^\r]*)")
#: A pushed message of Pub/Sub.
_MESSAGE = re.compile(rb'"message_?[iI]d": *"(\d+)"')
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_FAIL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


class Seen:
    """What came since the last look."""

    def __init__(self) -> None:
        self.count = 0
        self.first = self.last = 0.0
        self.log: list[tuple[str, float]] = []


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._rest = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        buffer, at, answers = self._rest + data, 0, []
        while (end := buffer.find(b"\r\n\r\n", at)) >= 0:
            head = buffer[at:end]
            length = _LENGTH.search(head.lower())
            size = int(length[1]) if length else 0
            if len(buffer) < end + 4 + size:
                break
            answers.append(self._answer(head, buffer[end + 4 : end + 4 + size]))
            at = end + 4 + size
        self._rest = buffer[at:]
        if answers:
            self._transport.write(b"".join(answers))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        seen, path = self._seen, head.split(b" ", 2)[1]
        if path.startswith(b"/_"):
            return self._told(path)
        seen.last = now = time.monotonic()
        seen.first = seen.first or now
        seen.count += 1
        if path.startswith((b"/log", b"/fail")):
            name = _NAME.search(head) or _NAME.search(head.lower()) or _MESSAGE.search(body)
            seen.log.append((name[1].decode() if name else "", now))
        return _FAIL if path.startswith(b"/fail") else _OK

    def _told(self, path: bytes) -> bytes:
        seen = self._seen
        body: Any = {"count": seen.count, "first": seen.first, "last": seen.last}
        if path == b"/_log":
            body, seen.log = seen.log, []
        elif path == b"/_reset":
            seen.__init__()  # type: ignore[misc]
        text = json.dumps(body).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


class Echo(grpc.GenericRpcHandler):
    """Answers every unary call with its request's bytes."""

    def service(self, _details: grpc.HandlerCallDetails) -> Any:
        async def answer(request: bytes, _context: Any) -> bytes:
            return request

        return grpc.unary_unary_rpc_method_handler(answer)


async def serve(kind: str) -> None:
    """Runs until SIGTERM; the first line of stdout is the port."""
    if kind == "http":
        seen = Seen()
        server = await asyncio.get_running_loop().create_server(lambda: Receiver(seen), "127.0.0.1", 0, backlog=4096)
        port = server.sockets[0].getsockname()[1]
    else:
        bare = grpc.aio.server(handlers=[Echo()])
        port = bare.add_insecure_port("127.0.0.1:0")
        await bare.start()
    print(port, flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
