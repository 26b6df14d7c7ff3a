"""Messages that are not whole: little of them is kept, however many there are, and each can still get through."""

import asyncio
import contextlib
import zlib
from typing import Any

import grpc.aio

from local_cloud.server.http2 import frames
from local_cloud.server.http2.guards import MOST_STREAMS
from local_cloud.server.http2.lending import ROOM, House
from local_cloud.server.http2.stream import WINDOW
from tests.local_cloud.http2.echo import Echo
from tests.local_cloud.http2.peer import Peer, message

LARGE = 9 * 1024 * 1024
#: How a message of that size begins.
BEGUN = message(bytes(LARGE))[:WINDOW]


async def told(port: int) -> Peer:
    """A peer that has heard of our settings and said so."""
    peer = await Peer.open(port)
    peer.send(frames.frame(frames.PING, 0, 0, bytes(8)))
    await peer.until(frames.SETTINGS)
    await peer.until(frames.PING)
    return peer


async def given(peer: Peer) -> dict[int, int]:
    """The room that streams have been given by now."""
    peer.send(frames.frame(frames.PING, 0, 0, bytes(8)))
    await peer.until(frames.PING)
    return {number: answer.room for number, answer in sorted(peer.answers.items()) if number and answer.room}


async def room_for(peer: Peer, stream: int) -> None:
    """Returns when a stream has been given room."""
    while not peer.on(stream).room:
        await peer.frame()


async def test_unfinished_calls_are_given_no_more_than_there_is_room(port: int) -> None:
    async with await told(port) as peer:
        for name in ("Unary", "Collect"):
            first = 1 if name == "Unary" else 501
            numbers = range(first, first + 400, 2)
            peer.send(*(peer.head(number, f"/test.Echo/{name}") + peer.data(number, BEGUN) for number in numbers))
        room = await given(peer)
        assert list(room) == [1, 3, 5]
        assert ROOM // 2 < sum(room.values()) <= ROOM
        assert WINDOW * MOST_STREAMS + ROOM <= 64 * 1024 * 1024


async def test_who_does_not_keep_to_its_room_is_cut_off(port: int) -> None:
    async with await told(port) as peer:
        for number in (1, 3, 5, 7):
            peer.send(peer.head(number, "/test.Echo/Unary"), peer.data(number, BEGUN))
        peer.send(peer.data(7, b"x"))
        assert (await peer.answer(7)).reset == frames.FLOW_CONTROL_ERROR


async def test_a_peer_that_says_nothing_of_our_settings_is_given_nothing(peer: Peer) -> None:
    peer.send(peer.head(1, "/test.Echo/Unary"), peer.data(1, BEGUN), peer.data(1, bytes(65_536 - WINDOW)))
    assert await peer.goaway() == frames.FLOW_CONTROL_ERROR


async def test_large_calls_get_through_in_turn(port: int) -> None:
    async with await told(port) as peer:
        numbers = range(1, 12, 2)
        for number in numbers:
            peer.send(peer.head(number, "/test.Echo/Collect"), peer.data(number, BEGUN))
        for number in numbers:
            if number > 5:
                await room_for(peer, number)
            peer.send(peer.data(number, message(bytes(LARGE))[WINDOW:], end=True))
            assert (await peer.answer(number)).message == str(LARGE).encode()


async def test_many_large_calls_at_once_all_get_through(channel: grpc.aio.Channel) -> None:
    call: Any = channel.unary_unary("/test.Echo/Metadata")
    stream: Any = channel.stream_unary("/test.Echo/Collect")
    data = bytes(LARGE)
    answers = await asyncio.gather(*(call(data) for _ in range(8)), *(stream(iter([data, data])) for _ in range(4)))
    assert answers[8:] == [str(2 * LARGE).encode()] * 4


async def test_small_calls_pass_large_ones_that_wait(port: int) -> None:
    async with await told(port) as peer:
        for number in range(1, 200, 2):
            peer.send(peer.head(number, "/test.Echo/Unary"), peer.data(number, BEGUN))
        assert (await peer.ask(201, "Unary", bytes(10_000))).message == bytes(10_000)


async def test_a_cancelled_call_leaves_its_room_to_the_next(port: int) -> None:
    async with await told(port) as peer:
        for number in (1, 3, 5, 7):
            peer.send(peer.head(number, "/test.Echo/Unary"), peer.data(number, BEGUN))
        assert 7 not in await given(peer)
        peer.send(frames.rst_stream(3, frames.CANCEL))
        await room_for(peer, 7)


async def test_who_sends_nothing_loses_its_room_to_those_that_wait(port: int, echo: Echo) -> None:
    echo.house = House(stall=0)
    async with await told(port) as peer:
        for number in (1, 3, 5):
            peer.send(peer.head(number, "/test.Echo/Unary"), peer.data(number, BEGUN))
        assert len(await given(peer)) == 3  # nobody waits: they may take their time
        peer.send(peer.head(7, "/test.Echo/Collect"), peer.data(7, BEGUN))
        await room_for(peer, 7)
        peer.send(peer.data(7, message(bytes(LARGE))[WINDOW:], end=True))
        assert (await peer.answer(1)).reset == frames.ENHANCE_YOUR_CALM
        assert (await peer.answer(7)).message == str(LARGE).encode()


async def test_connections_share_what_there_is_by_turns(port: int, echo: Echo) -> None:
    echo.house = House(room=2 * LARGE + 100)
    async with await told(port) as greedy, await told(port) as other:
        for number in (1, 3, 5, 7):
            greedy.send(greedy.head(number, "/test.Echo/Collect"), greedy.data(number, BEGUN))
        assert list(await given(greedy)) == [1, 3]
        other.send(other.head(1, "/test.Echo/Collect"), other.data(1, BEGUN))
        assert not await given(other)
        for number in (1, 3):
            greedy.send(greedy.data(number, message(bytes(LARGE))[WINDOW:], end=True))
        await room_for(other, 1)
        greedy.vanish()
        other.send(other.data(1, message(bytes(LARGE))[WINDOW:], end=True))
        assert (await other.answer(1)).message == str(LARGE).encode()
        await echo.until(lambda: echo.house.streams == 0)
    assert echo.house.room == 2 * LARGE + 100


async def test_streams_of_all_connections_are_counted(port: int, echo: Echo) -> None:
    echo.house = House(streams=3)
    async with await told(port) as first, await told(port) as second:
        first.send(*(first.call(number, "Wait", b"x") for number in (1, 3, 5)))
        await echo.until(lambda: echo.waiting == 3)
        assert (await second.ask(1, "Unary", b"x")).reset == frames.REFUSED_STREAM
        first.vanish()
        await echo.until(lambda: echo.waiting == 0)
        assert (await second.ask(3, "Unary", b"x")).message == b"x"


async def test_a_compressed_message_is_made_plain_when_all_has_come(peer: Peer) -> None:
    maker = zlib.compressobj(wbits=31)
    small = maker.compress(bytes(50 * 1024 * 1024)) + maker.flush()
    body = b"\x01" + len(small).to_bytes(4, "big") + small
    peer.send(peer.head(1, "/test.Echo/Unary", ("grpc-encoding", "gzip")), peer.data(1, body[:WINDOW]))
    peer.send(frames.frame(frames.PING, 0, 0, bytes(8)))
    await peer.until(frames.PING)
    assert not peer.on(1).whole
    peer.send(peer.data(1, body[WINDOW:], end=True))
    assert (await peer.answer(1)).fields["grpc-status"] == "8"


async def test_a_stop_ends_streams_at_once_and_lets_calls_end(peer: Peer, echo: Echo) -> None:
    peer.send(peer.call(1, "Wait", b"x"), peer.head(3, "/test.Echo/Hold"), peer.head(5, "/test.Echo/Unary"))
    peer.send(peer.head(7, "/test.Echo/Collect"))
    await echo.until(lambda: echo.waiting == 2)
    for connection in list(echo.connections):
        connection.shutdown()
    for number in (3, 5, 7):
        assert (await peer.answer(number)).fields["grpc-status"] == "14"
    assert not peer.on(1).whole
    echo.go_on.set()
    assert (await peer.answer(1)).message == b"x"
    with contextlib.suppress(ConnectionError):
        assert await peer.reader.read() == b""
