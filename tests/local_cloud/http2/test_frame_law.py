"""Whatever bytes come, in whatever pieces: a connection answers or ends, and the next one is served."""

import asyncio
from typing import Any

from hpack import Encoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_cloud.server.http2 import frames
from tests.local_cloud.http2.echo import Echo
from tests.local_cloud.http2.peer import HEAD, message


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.shut = False

    def write(self, data: Any) -> None:
        self.sent += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.shut = True

    def is_closing(self) -> bool:
        return self.shut

    def abort(self) -> None:
        self.shut = True


def block(path: str, *more: tuple[str, str]) -> bytes:
    encoder = Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode([(":path", path), *HEAD, *more]))


def request(number: int, name: str, data: bytes) -> bytes:
    head = frames.headers(number, block(f"/test.Echo/{name}"), 16384, end_stream=False)
    return head + frames.frame(frames.DATA, frames.END_STREAM, number, message(data))


QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
NAMES = st.sampled_from(["Unary", "Talk", "Collect", "Wait", "Hold", "Fail", "Pour", "Nothing"])
NUMBERS = st.one_of(st.integers(0, 9), st.sampled_from([2**31 - 1]))
HEADS = st.builds(lambda name, timeout: block(f"/test.Echo/{name}", ("grpc-timeout", timeout)), NAMES, st.just("1S"))
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=20).map(message),
    HEADS,
    st.tuples(st.integers(0, 6), st.integers(0, 2**32 - 1)).map(lambda s: frames.settings({s[0]: s[1]})[9:]),
    st.integers(0, 2**32 - 1).map(lambda n: n.to_bytes(4, "big")),
)
FRAMES = st.builds(
    frames.frame, st.integers(0, 10), st.sampled_from([0, 1, 4, 5, 8, 9, 12, 13, 44, 45]), NUMBERS, PAYLOADS
)
SANE = st.builds(request, st.sampled_from([1, 3, 5, 7]), NAMES, st.sampled_from([b"", b"1", b"ABORTED x", b"5,6"]))
CUTS = st.lists(st.integers(1, 60), min_size=1, max_size=20)


async def serve(data: bytes, cuts: list[int]) -> None:
    echo = Echo()
    loop = asyncio.get_running_loop()
    mistakes: list[Any] = []
    loop.set_exception_handler(lambda _, context: mistakes.append(context))
    wire, connection = Wire(), echo.connection()
    connection.connection_made(wire)
    at = turn = 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        connection.data_received(data[at : at + size])
        at, turn = at + size, turn + 1
        if turn % 3 == 0:
            await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    other, fresh = Wire(), echo.connection()
    fresh.connection_made(other)
    fresh.data_received(frames.PREFACE + frames.settings({}) + request(1, "Unary", b"still here"))
    for _ in range(8):
        await asyncio.sleep(0)
    assert message(b"still here") in other.sent
    for one in (connection, fresh):
        one.connection_lost(None)
    for _ in range(8):
        await asyncio.sleep(0)
    assert not echo.connections
    assert not echo.waiting
    assert not mistakes
    echo.acceptor.stop()


@settings(QUICK, max_examples=100)
@given(st.lists(st.one_of(FRAMES, SANE), max_size=12), CUTS)
def test_any_frames_in_any_pieces_neither_break_nor_hang_the_server(some: list[bytes], cuts: list[int]) -> None:
    asyncio.run(serve(frames.PREFACE + frames.settings({}) + b"".join(some), cuts))


@settings(QUICK, max_examples=50)
@given(st.binary(max_size=200), CUTS, st.booleans())
def test_any_bytes_neither_break_nor_hang_the_server(rubbish: bytes, cuts: list[int], greeted: bool) -> None:
    asyncio.run(serve((frames.PREFACE + frames.settings({}) if greeted else b"") + rubbish, cuts))


@settings(QUICK, max_examples=50)
@given(CUTS)
def test_requests_are_understood_in_any_pieces(cuts: list[int]) -> None:
    async def run() -> None:
        echo, wire = Echo(), Wire()
        connection = echo.connection()
        connection.connection_made(wire)
        data = frames.PREFACE + frames.settings({}) + request(1, "Unary", b"first") + request(3, "Collect", b"12345678")
        at = turn = 0
        while at < len(data):
            size = cuts[turn % len(cuts)]
            connection.data_received(data[at : at + size])
            at, turn = at + size, turn + 1
        for _ in range(8):
            await asyncio.sleep(0)
        assert message(b"first") in wire.sent
        assert message(b"8") in wire.sent
        connection.connection_lost(None)
        echo.acceptor.stop()
        await asyncio.sleep(0)

    asyncio.run(run())
