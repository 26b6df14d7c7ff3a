"""One look at an instance, and the watch that looks again, whatever the instance answers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from local_cloud.engines.probes import Probe, Watch, check

PROBE = Probe(path="/", timeout=30)


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", False),
        (b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", False),
        (b"\x00" * 70_000, False),
        (b"HTTP/1.1", False),
        (b"\r\n", False),
        (b"", False),
    ],
    ids=["good", "bad", "endless reason", "no line at all", "half a line", "an empty line", "nothing"],
)
async def test_whatever_is_answered_is_health_or_not(answer: bytes, healthy: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        assert await check(PROBE, server.sockets[0].getsockname()[1]) == healthy


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300])
async def test_the_health_service_may_have_any_name(length: int) -> None:
    asked: list[str] = []

    async def answer(request: bytes, _: object) -> bytes:
        asked.append(StringValue.FromString(request).value)  # a message of one string, as HealthCheckRequest is
        return b"\x08\x01"

    server = grpc.aio.server()
    method: Any = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert await check(Probe(service="n" * length, timeout=30), port)
    finally:
        await server.stop(None)
    assert asked == ["n" * length]


class Hand:
    """A clock whose timers go off by hand."""

    def __init__(self) -> None:
        self.due: list[Callable[[], Awaitable[None]]] = []

    def later(self, _: float, call: Callable[[], Awaitable[None]]) -> "Hand":
        self.due.append(call)
        return self

    def cancel(self) -> None:
        self.due.clear()

    async def strike(self) -> None:
        await self.due.pop()()


async def test_a_watch_outlives_a_look_that_fails_unforeseen() -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    looks: Iterator[bool | Exception] = iter([ValueError("unforeseen"), False, False])
    said, clock = list[bool](), Hand()

    async def look() -> bool:
        seen = next(looks)
        if isinstance(seen, Exception):
            raise seen
        return seen

    watch = Watch(Probe(threshold=2), look, said.append, clock.later)
    for _ in range(3):
        await clock.strike()
    assert said == [False]
    assert told == ["A health probe of the local cloud failed"]
    watch.stop()
    assert clock.due == []
