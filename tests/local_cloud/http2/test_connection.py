"""What a client may do on a connection, and what ends it, with the codes that RFC 9113 names."""

import asyncio
import itertools

import pytest

from local_cloud.server.http2 import frames, guards
from local_cloud.server.http2.connection import CONNECTION_WINDOW
from local_cloud.server.http2.stream import WINDOW
from tests.fidelity import pins
from tests.local_cloud.http2.echo import Echo
from tests.local_cloud.http2.peer import Peer, message

P, F, S = frames.PROTOCOL_ERROR, frames.FLOW_CONTROL_ERROR, frames.FRAME_SIZE_ERROR
LARGE = 2**31 - 1


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return frames.frame(kind, flags, stream, payload)


BAD = {
    "a frame larger than allowed": (frame(frames.DATA, 0, 1, bytes(16385)), S),
    "data of no stream": (frame(frames.DATA, 0, 0, b"x"), P),
    "data on an idle stream": (frame(frames.DATA, 0, 5, b"x"), P),
    "a request on an even stream": (frame(frames.HEADERS, 4, 2, b"\x83"), P),
    "padding without room": (frame(frames.HEADERS, 12, 1, b"\x09\x83"), P),
    "a priority without room": (frame(frames.HEADERS, 0x24, 1, b"\x83"), S),
    "a block that is none": (frame(frames.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\x0f"), frames.COMPRESSION_ERROR),
    "a block that ends early": (frame(frames.HEADERS, 4, 1, b"\x00\x05ab"), frames.COMPRESSION_ERROR),
    "a frame within a block": (frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.PING, 0, 0, bytes(8)), P),
    "another stream's continuation": (frame(frames.HEADERS, 0, 1) + frame(frames.CONTINUATION, 4, 3), P),
    "a continuation of nothing": (frame(frames.CONTINUATION, 4, 1), P),
    "a push": (frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), P),
    "a reset of an idle stream": (frame(frames.RST_STREAM, 0, 7, bytes(4)), P),
    "a reset of three bytes": (frame(frames.RST_STREAM, 0, 1, bytes(3)), S),
    "settings of a stream": (frame(frames.SETTINGS, 0, 1), P),
    "settings of five bytes": (frame(frames.SETTINGS, 0, 0, bytes(5)), S),
    "an acknowledgement with settings": (frame(frames.SETTINGS, 1, 0, bytes(6)), S),
    "a window that cannot be": (frames.settings({frames.INITIAL_WINDOW_SIZE: 2**31}), F),
    "a frame size that cannot be": (frames.settings({frames.MAX_FRAME_SIZE: 16383}), P),
    "a push that is neither on nor off": (frames.settings({frames.ENABLE_PUSH: 2}), P),
    "a ping of a stream": (frame(frames.PING, 0, 1, bytes(8)), P),
    "a ping of nine bytes": (frame(frames.PING, 0, 0, bytes(9)), S),
    "a stream that goes away": (frame(frames.GOAWAY, 0, 1, bytes(8)), P),
    "seven bytes of going away": (frame(frames.GOAWAY, 0, 0, bytes(7)), S),
    "an update by nothing": (frames.window_update(0, 0), P),
    "an update of three bytes": (frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)), S),
    "an update of an idle stream": (frames.window_update(9, 1), P),
    "a window that overflows": (frames.window_update(0, LARGE), F),
    "a priority of no stream": (frame(frames.PRIORITY, 0, 0, bytes(5)), P),
}


@pytest.mark.parametrize(("sent", "code"), BAD.values(), ids=BAD)
async def test_who_breaks_the_rules_is_told_which_and_hung_up_on(peer: Peer, port: int, sent: bytes, code: int) -> None:
    peer.send(sent)
    assert await peer.goaway() == code
    async with await Peer.open(port) as other:
        assert (await other.ask(1, "Unary", b"x")).message == b"x"


async def test_the_first_words_must_be_the_preface_and_settings(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await reader.read() != b""  # ours, and then the end
    writer.close()
    peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
    peer.send(frames.PREFACE, frame(frames.PING, 0, 0, bytes(8)))
    assert await peer.goaway() == P
    peer.vanish()


STREAM_FAULTS = {
    "upper case": [("X-Upper", "a")],
    "a connection's field": [("connection", "keep-alive")],
    "te": [("te", "gzip")],
    "a pseudo-header late": [(":authority", "late")],
    "an unknown pseudo-header": [(":status", "200")],
    "a line break": [("x-a", "a\r\nb: c")],
    "a space before": [("x-a", " a")],
    "an empty name": [("", "a")],
    "a content-length that is none": [("content-length", "-1")],
    "two content-lengths": [("content-length", "6"), ("content-length", "7")],
    "too long a body": [("content-length", "3")],
    "too short a body": [("content-length", "30")],
}


@pytest.mark.parametrize("fields", STREAM_FAULTS.values(), ids=STREAM_FAULTS)
async def test_a_malformed_request_ends_alone(peer: Peer, fields: list[tuple[str, str]]) -> None:
    answer = await peer.ask(1, "Unary", b"x", *fields)
    assert answer.reset == P
    assert (await peer.ask(3, "Unary", b"x")).message == b"x"


async def test_data_after_the_end_or_after_a_reset_is_refused_alone(peer: Peer, echo: Echo) -> None:
    peer.send(peer.call(1, "Wait", b""), peer.data(1, b"more"))
    assert (await peer.answer(1)).reset == frames.STREAM_CLOSED
    peer.send(peer.head(3, "/test.Echo/Talk"), frames.rst_stream(3, frames.CANCEL), peer.data(3, b"more"))
    assert (await peer.answer(3)).reset == frames.STREAM_CLOSED
    assert (await peer.ask(5, "Unary", b"x")).message == b"x"
    assert echo.waiting == 0


async def test_headers_on_a_stream_that_is_over_end_the_connection(peer: Peer) -> None:
    await peer.ask(3, "Unary", b"x")
    peer.send(peer.head(1, "/test.Echo/Unary"))
    assert await peer.goaway() == frames.STREAM_CLOSED


async def test_trailers_end_a_request(peer: Peer) -> None:
    trailers = frames.headers(1, peer.encoder.encode([("x-checksum", "1")]), 16384, end_stream=True)
    peer.send(peer.head(1, "/test.Echo/Unary"), peer.data(1, message(b"x")), trailers)
    assert (await peer.answer(1)).message == b"x"
    bad = frames.headers(3, peer.encoder.encode([(":path", "/")]), 16384, end_stream=True)
    peer.send(peer.head(3, "/test.Echo/Unary"), peer.data(3, message(b"x")), bad)
    assert (await peer.answer(3)).reset == P


async def test_padding_priorities_and_unknown_frames_mean_nothing(peer: Peer) -> None:
    block = peer.head(1, "/test.Echo/Unary")[9:]
    peer.send(
        frame(0xFA, 0xFF, 1, b"whatever"),
        frame(frames.PRIORITY, 0, 1, bytes(3) + b"\x09\x10"),
        frame(frames.HEADERS, 0x2C, 1, b"\x03" + bytes(3) + b"\x05\x10" + block + bytes(3)),
        frame(frames.DATA, 0x09, 1, b"\x04" + message(b"padded") + bytes(4)),
        frames.settings({0xF0: 1}),
        frame(frames.GOAWAY, 0, 0, bytes(8)),
    )
    assert (await peer.answer(1)).message == b"padded"


async def test_a_header_block_may_come_in_pieces(peer: Peer) -> None:
    block = peer.head(1, "/test.Echo/Unary")[9:]
    peer.send(frame(frames.HEADERS, 0, 1, block[:1]), frame(frames.CONTINUATION, 0, 1, block[1:7]))
    peer.send(frame(frames.CONTINUATION, 4, 1, block[7:]), peer.data(1, message(b"x"), end=True))
    assert (await peer.answer(1)).message == b"x"


@pins("front_end", "REST and gRPC", "Metadata of a gRPC call above 64 KB: RESOURCE_EXHAUSTED", ours=True)
async def test_metadata_has_a_limit(peer: Peer) -> None:
    def parts(stream: int, size: int) -> bytes:
        block = peer.encoder.encode([(":method", "POST"), ("x-large", "x" * size, True)], huffman=False)
        pieces = [block[at : at + 16384] for at in range(0, len(block), 16384)]
        last = len(pieces) - 1
        first = frame(frames.HEADERS, 4 if last == 0 else 0, stream, pieces[0])
        return first + b"".join(
            frame(frames.CONTINUATION, 4 * (n == last), stream, piece) for n, piece in enumerate(pieces) if n
        )

    peer.send(parts(1, 70_000))
    assert (await peer.answer(1)).fields["grpc-status"] == "8"
    assert (await peer.ask(3, "Unary", b"x")).message == b"x"
    peer.send(parts(5, guards.LONGEST_BLOCK))
    assert await peer.goaway() == frames.ENHANCE_YOUR_CALM


async def test_a_peer_without_a_table_of_headers_is_heeded(port: int) -> None:
    async with await Peer.open(port, {frames.HEADER_TABLE_SIZE: 0}) as peer:
        peer.decoder.max_allowed_table_size = 0  # it raises where it is not told
        assert (await peer.ask(1, "Unary", b"x")).message == b"x"
        assert (await peer.ask(3, "Fail", b"ABORTED x")).fields["grpc-status"] == "10"


async def test_pings_are_answered(peer: Peer) -> None:
    peer.send(frame(frames.PING, 0, 0, b"12345678"), frame(frames.PING, 1, 0, b"answered"))
    answer = await peer.until(frames.PING)
    assert (answer.flags, answer.payload) == (frames.ACK, b"12345678")


FLOODS = {
    "pings": frame(frames.PING, 1, 0, bytes(8)),
    "settings": frame(frames.SETTINGS, 1),
    "empty data": frame(frames.DATA, 0, 1),
    "priorities": frame(frames.PRIORITY, 0, 1, bytes(5)),
    "small windows": frames.window_update(1, 1),
    "unknown frames": frame(0xFA),
}


@pytest.mark.parametrize("one", FLOODS.values(), ids=FLOODS)
async def test_frames_without_end_that_bring_nothing_end_the_connection(
    monkeypatch: pytest.MonkeyPatch, port: int, one: bytes
) -> None:
    monkeypatch.setattr("local_cloud.server.http2.connection.IDLE_FRAMES", 1000)
    monkeypatch.setattr("local_cloud.server.http2.connection.IDLE_FRAMES_PER_SECOND", 0)
    peer = await Peer.open(port)
    peer.send(peer.head(1, "/test.Echo/Talk"))
    peer.send(one * 900)
    assert (await peer.ask(3, "Unary", b"fine so far")).message == b"fine so far"
    peer.send(one * 1100)
    assert await peer.goaway() == frames.ENHANCE_YOUR_CALM
    peer.vanish()


async def test_a_rapid_reset_ends_the_connection(monkeypatch: pytest.MonkeyPatch, port: int, echo: Echo) -> None:
    monkeypatch.setattr("local_cloud.server.http2.connection.RESETS", 1000)
    monkeypatch.setattr("local_cloud.server.http2.connection.RESETS_PER_SECOND", 0)
    peer = await Peer.open(port)
    peer.encoder.header_table_size = 0  # each block says all, so that they may be repeated
    peer.send(peer.head(1, "/test.Echo/Hold"))
    block = peer.head(3, "/test.Echo/Hold")[9:]
    peer.send(
        *(
            frame(frames.HEADERS, 4, number, block) + frames.rst_stream(number, frames.CANCEL)
            for number in range(5, 2100, 2)
        )
    )
    assert await peer.goaway() == frames.ENHANCE_YOUR_CALM
    await echo.until(lambda: echo.waiting == 0)
    peer.vanish()


async def test_empty_continuations_without_end_end_the_connection(peer: Peer) -> None:
    peer.send(frame(frames.HEADERS, 0, 1), frame(frames.CONTINUATION, 0, 1) * 100)
    assert await peer.goaway() == frames.ENHANCE_YOUR_CALM


async def test_who_asks_and_does_not_read_is_hung_up_on(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_cloud.server.http2.connection.LINGER_SECONDS", 0)
    peer = await Peer.open(port)
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def ask() -> None:
        for number in itertools.count(1, 2):
            peer.send(frame(frames.PING, 0, 0, bytes(8)) * 1000, peer.call(number, "Unary", b"x"))
            await peer.writer.drain()

    with pytest.raises(ConnectionError):
        await ask()


async def test_more_streams_than_allowed_are_refused(peer: Peer, echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_cloud.server.http2.connection.MOST_STREAMS", 10)
    peer.send(*(peer.call(2 * n + 1, "Wait", b"x") for n in range(11)))
    assert (await peer.answer(21)).reset == frames.REFUSED_STREAM
    echo.go_on.set()
    assert (await peer.answer(1)).message == b"x"
    assert (await peer.ask(23, "Unary", b"x")).message == b"x"


async def test_more_than_the_windows_allow_is_refused(peer: Peer, echo: Echo) -> None:
    await peer.until(frames.SETTINGS)  # and says so: until then the protocol's window counts
    peer.send(peer.head(1, "/test.Echo/Hold"))
    await echo.until(lambda: echo.waiting == 1)
    peer.send(peer.data(1, message(b"") * (WINDOW // 5 + 1)))  # nobody takes them
    assert (await peer.answer(1)).reset == F
    assert (await peer.ask(3, "Unary", b"x")).message == b"x"
    assert CONNECTION_WINDOW > WINDOW


async def test_who_is_told_to_go_gets_its_answers_first(peer: Peer, echo: Echo) -> None:
    peer.send(peer.call(1, "Wait", b"slow"))
    await echo.until(lambda: echo.waiting == 1)
    for connection in list(echo.connections):
        connection.shutdown()
    goaway = await peer.until(frames.GOAWAY)
    assert (goaway.number, goaway.payload[:4]) == (frames.NO_ERROR, b"\x00\x00\x00\x01")
    peer.send(peer.call(3, "Unary", b"too late"))
    echo.go_on.set()
    assert (await peer.answer(1)).message == b"slow"
    assert await peer.reader.read() == b""
    assert 3 not in peer.answers
    closed = [connection.closed for connection in echo.connections]
    peer.vanish()
    await asyncio.gather(*closed)
    assert not echo.connections


async def test_a_peer_that_is_gone_already_is_no_trouble_to_leave(port: int, echo: Echo) -> None:
    for sent in (b"", frame(frames.DATA, 0, 0, b"wrong")):
        peer = await Peer.open(port)
        await peer.until(frames.SETTINGS)
        (connection,) = echo.connections
        peer.vanish()
        connection.data_received(sent) if sent else connection.shutdown()
        await connection.closed
