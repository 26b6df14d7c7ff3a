"""Calls of gRPC, in the cases of its interop tests, by the C core's client and by hand where that would not do it."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2  # type: ignore[import-untyped]

from local_cloud.server.http2 import frames
from local_cloud.settings import MAX_REQUEST_BYTES
from tests.fidelity import pins
from tests.local_cloud.http2.echo import Echo
from tests.local_cloud.http2.peer import Peer, message


def unary(channel: grpc.aio.Channel, name: str) -> Any:
    return channel.unary_unary(f"/test.Echo/{name}")


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_empty_unary(channel: grpc.aio.Channel) -> None:
    assert await unary(channel, "Unary")(b"") == b""


async def test_large_unary(channel: grpc.aio.Channel) -> None:
    sent = bytes(range(256)) * 12_000
    assert await unary(channel, "Unary")(sent) == sent


async def test_client_streaming(channel: grpc.aio.Channel) -> None:
    async def sizes() -> AsyncIterator[bytes]:
        for size in (27182, 8, 0, 1828, 300_000):
            yield bytes(size)

    call: Any = channel.stream_unary("/test.Echo/Collect")
    assert await call(sizes()) == b"329018"


async def test_server_streaming(channel: grpc.aio.Channel) -> None:
    call: Any = channel.unary_stream("/test.Echo/Pour")
    assert [len(part) async for part in call(b"31415,9,0,2653,400000")] == [31415, 9, 0, 2653, 400_000]


async def test_ping_pong(channel: grpc.aio.Channel) -> None:
    method: Any = channel.stream_stream("/test.Echo/Talk")
    call = method()
    for part in (b"a", b"", b"b" * 200_000):
        await call.write(part)
        assert await call.read() == part
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_without_messages_ends_well(channel: grpc.aio.Channel) -> None:
    method: Any = channel.stream_stream("/test.Echo/Talk")
    call = method()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_that_fails_keeps_what_it_has_sent(channel: grpc.aio.Channel) -> None:
    method: Any = channel.stream_stream("/test.Echo/Talk")
    call = method()
    await call.write(b"first")
    assert await call.read() == b"first"
    await call.write(b"fail with these words")
    error = await refused(call.read())
    assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "with these words")


@pytest.mark.parametrize("name", ["Wait", "Hold"])
async def test_cancel_after_begin(channel: grpc.aio.Channel, echo: Echo, name: str) -> None:
    call = unary(channel, name)(b"")
    await asyncio.gather(asyncio.ensure_future(echo.until(lambda: echo.waiting == 1)))
    call.cancel()
    await echo.until(lambda: echo.cancelled == 1)
    assert await unary(channel, "Unary")(b"next") == b"next"


async def test_cancel_after_first_response(channel: grpc.aio.Channel, echo: Echo) -> None:
    method: Any = channel.stream_stream("/test.Echo/Talk")
    call = method()
    await call.write(b"one")
    assert await call.read() == b"one"
    call.cancel()
    assert await unary(channel, "Unary")(b"next") == b"next"


@pins(
    "front_end",
    "REST and gRPC",
    "grpc-timeout: DEADLINE_EXCEEDED when it is over, and the handler stops",
    documented="gRPC over HTTP2",
)
@pytest.mark.parametrize("name", ["Wait", "Hold"])
async def test_timeout_on_sleeping_server(peer: Peer, echo: Echo, name: str) -> None:
    answer = await peer.ask(1, name, b"", ("grpc-timeout", "1m"))
    assert answer.fields["grpc-status"] == "4"
    await echo.until(lambda: echo.waiting == 0)
    assert echo.cancelled == 1
    assert (await peer.ask(3, "Unary", b"next")).message == b"next"


async def test_a_deadline_counts_while_the_request_is_on_its_way(peer: Peer) -> None:
    peer.send(peer.head(1, "/test.Echo/Unary", ("grpc-timeout", "1000u")), peer.data(1, b"\x00\x00"))
    answer = await peer.answer(1)
    assert answer.fields["grpc-status"] == "4"


async def test_a_call_that_is_quick_enough_meets_its_deadline(peer: Peer) -> None:
    for number, timeout in enumerate(["1H", "1M", "99999999S", "60000m"]):
        answer = await peer.ask(2 * number + 1, "Unary", b"x", ("grpc-timeout", timeout))
        assert answer.message == b"x"
    assert (await peer.ask(11, "Unary", b"x", ("grpc-timeout", "soon"))).fields[":status"] == "400"


@pytest.mark.parametrize(
    "text", ["a plain message", "\t\ntest with whitespace\r\nand Unicode BMP ☺ and 😈 and 100 %\t\n", ""]
)
async def test_status_code_and_special_status_message(channel: grpc.aio.Channel, text: str) -> None:
    error = await refused(unary(channel, "Fail")(f"OUT_OF_RANGE {text}".encode()))
    assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, text)
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    assert status_pb2.Status.FromString(details).message == text


@pytest.mark.parametrize("letter", ["a", "\u00e4", "\U0001f608", "%"])
async def test_words_without_end_reach_the_client_cut(channel: grpc.aio.Channel, peer: Peer, letter: str) -> None:
    for size in (900, 2_000, 2_900, 50_000):
        sent = b"OUT_OF_RANGE " + letter.encode() * size
        for _ in range(5):  # the C core refuses what is a bit too long by lot
            error = await refused(unary(channel, "Fail")(sent))
            assert error.code() is grpc.StatusCode.OUT_OF_RANGE
        assert str(error.details()).startswith(letter * 250)
        assert size < 1_000 or str(error.details()).endswith((" ...", letter))
        peer.answers.clear()
        answer = await peer.ask(size * 2 + 1, "Fail", sent)
        assert sum(len(name) + len(value) + 32 for name, value in answer.fields.items()) < 8_000


async def test_unimplemented_method(channel: grpc.aio.Channel) -> None:
    assert (await refused(unary(channel, "Nothing")(b""))).code() is grpc.StatusCode.UNIMPLEMENTED
    stream: Any = channel.stream_stream("/test.Echo/Nothing")
    assert (await refused(stream().read())).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_custom_metadata(channel: grpc.aio.Channel) -> None:
    sent = (("x-one", "1"), ("x-goog-request-params", "name=a%2Fb"), ("x-some-bin", b"\x00\xff"), ("x-one", "2"))
    seen = json.loads(await unary(channel, "Metadata")(b"", metadata=sent))
    assert (seen["x-one"], seen["x-goog-request-params"]) == ("2", "name=a%2Fb")
    assert "x-some-bin" not in seen  # handlers read text
    assert "grpc" in seen["user-agent"]


@pins(
    "front_end", "REST and gRPC", "gRPC messages may come compressed by gzip or deflate", documented="gRPC compression"
)
@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests(channel: grpc.aio.Channel, compression: grpc.Compression) -> None:
    assert await unary(channel, "Unary")(b"a" * 100_000, compression=compression) == b"a" * 100_000


def packed(data: bytes, flag: int = 1) -> bytes:
    return bytes([flag]) + len(data).to_bytes(4, "big") + data


BOMB = zlib.compress(bytes(MAX_REQUEST_BYTES + 1))


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("identity", packed(b"x"), "13"),
        ("gzip", packed(b"x"), "13"),
        ("gzip", packed(gzip.compress(b"x" * 99)[:-9]), "13"),
        ("gzip", packed(b"x", 2), "13"),
        ("deflate", packed(BOMB), "8"),
        ("snappy", packed(b"x"), "12"),
        ("identity", b"\x00\xff\xff\xff\xff", "8"),
        ("identity", b"\x00\x00\x00\x00\x05half", "13"),
        ("identity", b"\x00\x00", "13"),
        ("identity", b"", "12"),
        ("identity", message(b"a") + message(b"b"), "12"),
    ],
    ids=["unsaid", "no gzip", "cut", "flag", "bomb", "unknown", "endless", "half", "less", "none", "two"],
)
async def test_bodies_that_are_no_message_are_refused(peer: Peer, encoding: str, body: bytes, status: str) -> None:
    peer.send(peer.head(1, "/test.Echo/Unary", ("grpc-encoding", encoding)), peer.data(1, body, end=True))
    assert (await peer.answer(1)).fields["grpc-status"] == status
    assert (await peer.ask(3, "Unary", b"next")).message == b"next"


async def test_messages_may_come_in_any_pieces(peer: Peer) -> None:
    whole = message(b"one") + message(b"") + message(b"three")
    peer.send(peer.head(1, "/test.Echo/Talk"))
    peer.send(*(peer.data(1, whole[n : n + 1]) for n in range(len(whole))), peer.data(1, b"", end=True))
    assert (await peer.answer(1)).body == whole


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(":method", "GET"), (":path", "/test.Echo/Unary")], "405"),
        ([(":method", "POST"), (":path", "/test.Echo/Unary")], "415"),
        ([(":method", "POST"), (":path", "/test.Echo/Unary"), ("content-type", "application/json")], "415"),
        ([(":method", "POST"), (":path", "/test.Echo/Unary"), ("content-type", "application/grpc-web")], "415"),
    ],
    ids=["GET", "no type", "json", "web"],
)
async def test_what_is_no_call_gets_an_http_status(peer: Peer, fields: list[tuple[str, str]], status: str) -> None:
    block = peer.encoder.encode([*fields[:2], (":scheme", "http"), *fields[2:]])
    peer.send(frames.headers(1, block, 16384, end_stream=False), peer.data(1, b"{}", end=True))
    answer = await peer.answer(1)
    assert answer.fields[":status"] == status
    assert b"gRPC" in answer.body
    assert (await peer.ask(3, "Unary", b"next")).message == b"next"


async def test_who_is_refused_early_is_told_to_send_no_more(peer: Peer) -> None:
    peer.send(peer.head(1, "/test.Echo/Nothing"))
    assert (await peer.answer(1)).fields["grpc-status"] == "12"
    assert (await peer.until(frames.RST_STREAM)).number == frames.NO_ERROR
    peer.send(peer.data(1, b"still on its way"))
    assert (await peer.ask(3, "Unary", b"next")).message == b"next"


async def test_a_call_that_waits_holds_up_nobody(peer: Peer, echo: Echo) -> None:
    peer.send(*(peer.call(2 * n + 1, "Wait", b"w") for n in range(40)), peer.call(81, "Unary", b"quick"))
    assert (await peer.answer(81)).message == b"quick"
    assert not any(answer.body for number, answer in peer.answers.items() if number != 81)
    echo.go_on.set()
    for number in range(1, 81, 2):
        assert (await peer.answer(number)).message == b"w"


async def test_nothing_is_answered_before_it_is_on_disk_and_many_wait_together(peer: Peer, echo: Echo) -> None:
    echo.disk = asyncio.get_running_loop().create_future()
    peer.send(*(peer.call(2 * n + 1, "Unary", b"x") for n in range(20)))
    peer.send(frames.frame(frames.PING, 0, 0, b"12345678"))
    await peer.until(frames.PING)
    await echo.until(lambda: echo.waits > 0)
    assert not any(answer.body for answer in peer.answers.values())
    echo.disk.set_result(None)
    for number in range(1, 41, 2):
        assert (await peer.answer(number)).message == b"x"
    assert echo.waits == 1


async def test_a_disk_that_fails_fails_the_calls_that_wait_for_it(peer: Peer, echo: Echo) -> None:
    echo.disk = asyncio.get_running_loop().create_future()
    echo.disk.set_exception(OSError("full"))
    assert (await peer.ask(1, "Unary", b"x")).fields["grpc-status"] == "13"
    echo.disk = None
    assert (await peer.ask(3, "Unary", b"x")).message == b"x"


async def test_a_mistake_of_our_own_is_told_as_such_and_harms_nobody_else(peer: Peer) -> None:
    seen: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["exception"]))
    peer.send(*(peer.call(2 * n + 1, "Break" if n == 3 else "Unary", b"x") for n in range(10)))
    peer.send(peer.head(21, "/test.Echo/Talk"), peer.data(21, message(b"break"), end=True))
    assert [(await peer.answer(2 * n + 1)).fields["grpc-status"] for n in range(11)] == ["0"] * 3 + ["13"] + [
        "0"
    ] * 6 + ["13"]
    assert [type(error) for error in seen] == [ValueError, ValueError]


async def test_a_thousand_calls_at_once(channel: grpc.aio.Channel, echo: Echo) -> None:
    calls = [asyncio.ensure_future(unary(channel, name)(b"")) for name in ("Wait", "Hold") for _ in range(500)]
    await echo.until(lambda: echo.waiting == 1000)
    echo.go_on.set()
    assert sorted(await asyncio.gather(*calls)) == [b""] * 500 + [b"held"] * 500


async def test_clients_that_vanish_leave_nothing_at_work(port: int, echo: Echo) -> None:
    for _ in range(5):
        peer = await Peer.open(port)
        peer.send(*(peer.call(2 * n + 1, ("Wait", "Hold")[n % 2], b"") for n in range(20)))
        await echo.until(lambda: echo.waiting == 20)
        peer.vanish()
        await echo.until(lambda: echo.waiting == 0)
    assert echo.cancelled == 100
    async with await Peer.open(port) as peer:
        assert (await peer.ask(1, "Unary", b"x")).message == b"x"
