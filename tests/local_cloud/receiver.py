"""A receiver of tasks for tests: a real HTTP server that records what came, to the letter, and answers by a script."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Received:
    """One request: header names keep their case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float

    def header(self, name: str) -> str | None:
        """The value of a header by its exact name, or None."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Receiver:
    """Answers in turn what `answers` says (the last one again and again): a status, or raw bytes."""

    now: Callable[[], float]
    answers: list[int | bytes] = field(default_factory=lambda: [200])
    hold: asyncio.Event | None = None
    requests: list[Received] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    port: int = 0
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def times(self) -> list[float]:
        """When requests came, by the clock given."""
        return [request.at for request in self.requests]

    async def arrived(self, count: int, seconds: float = 10) -> list[Received]:
        """Waits until so many requests have come."""
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")[:-2]
                method, target, _ = first.split(" ", 2)
                headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
                length = int(next((value for name, value in headers if name.lower() == "content-length"), "0"))
                body = await reader.readexactly(length)
                index = len(self.requests)
                async with self._arrived:
                    self.requests.append(Received(method, target, headers, body, self.now()))
                    self._arrived.notify_all()
                self.running += 1
                self.most_running = max(self.most_running, self.running)
                try:
                    if self.hold is not None:
                        await self.hold.wait()
                finally:
                    self.running -= 1
                answer = self.answers[min(index, len(self.answers) - 1)]
                if isinstance(answer, int):
                    answer = f"HTTP/1.1 {answer} X\r\nContent-Length: 2\r\n\r\nok".encode()
                if not answer:
                    break
                writer.write(answer)
                if b"Connection: close" in answer or (b"Content-Length" not in answer and b"chunked" not in answer):
                    break
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver(now: Callable[[], float]) -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    made = Receiver(now)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, backlog=1024)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        if made.hold is not None:
            made.hold.set()
        server.close()
