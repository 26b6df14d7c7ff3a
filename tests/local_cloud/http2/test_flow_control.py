"""Windows: nobody sends more than the other end has room for, and nobody is held up for ever."""

import pytest

from local_cloud.server.http2 import frames
from local_cloud.server.http2.stream import HIGH_WATER, WINDOW
from tests.local_cloud.http2.echo import Echo
from tests.local_cloud.http2.peer import Peer, message


async def refill(peer: Peer, stream: int, *, by: int) -> None:
    """Reads a stream to its end, giving back room by small steps and never more than was used."""
    answer = peer.on(stream)
    room, seen = by, 0
    while not answer.whole:
        made = await peer.frame()
        if made.kind == frames.DATA and made.stream == stream:
            seen += len(made.payload)
            assert seen <= room
            if seen == room:
                room += by
                peer.send(frames.window_update(stream, by), frames.window_update(0, by))


@pytest.mark.parametrize("window", [1, 7, 1000])
async def test_a_large_answer_goes_through_a_tiny_window(port: int, window: int) -> None:
    size = 300 * window
    async with await Peer.open(port, {frames.INITIAL_WINDOW_SIZE: window}) as peer:
        await peer.until(frames.SETTINGS)
        peer.send(peer.call(1, "Size", str(size).encode()))
        await refill(peer, 1, by=window)
        assert peer.answers[1].message == bytes(size)
        assert peer.answers[1].fields["grpc-status"] == "0"


async def test_the_connections_window_is_shared_by_turns(port: int) -> None:
    async with await Peer.open(port, {frames.INITIAL_WINDOW_SIZE: 10**6}) as peer:
        peer.send(*(peer.call(number, "Size", b"100000") for number in (1, 3, 5)))
        seen = 0
        while seen < 65535:
            made = await peer.frame()
            seen += len(made.payload) if made.kind == frames.DATA else 0
        assert seen == 65535
        assert not any(answer.whole for answer in peer.answers.values())
        peer.send(frames.window_update(0, 10**6))
        began: list[int] = []
        while not all(peer.on(number).whole for number in (1, 3, 5)):
            made = await peer.frame()
            began += [made.stream] if made.kind == frames.DATA and len(began) < 6 else []
        assert sorted(began) == [1, 1, 3, 3, 5, 5]
        assert all(peer.on(number).message == bytes(100_000) for number in (1, 3, 5))


async def test_windows_may_shrink_below_nothing_and_grow_again(port: int) -> None:
    async with await Peer.open(port, {frames.INITIAL_WINDOW_SIZE: 1000}) as peer:
        peer.send(peer.call(1, "Size", b"5000"))
        while len(peer.on(1).body) < 1000:
            await peer.frame()
        peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 0}), frames.window_update(1, 500))
        peer.send(frames.frame(frames.PING, 0, 0, bytes(8)))
        await peer.until(frames.PING)
        assert len(peer.answers[1].body) == 1000
        peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 10_000}))
        assert (await peer.answer(1)).message == bytes(5000)


async def test_the_peers_frame_size_is_kept(port: int) -> None:
    async with await Peer.open(port, {frames.MAX_FRAME_SIZE: 30_000, frames.INITIAL_WINDOW_SIZE: 10**6}) as peer:
        peer.send(peer.call(1, "Size", b"60000"))
        sizes = []
        while not peer.on(1).whole:
            made = await peer.frame()
            sizes += [len(made.payload)] if made.kind == frames.DATA and made.payload else []
        assert sizes == [30_000, 30_000, 5]


async def test_large_requests_get_room_as_they_come(peer: Peer) -> None:
    sent = bytes(5 * WINDOW)
    peer.send(peer.head(1, "/test.Echo/Collect"))
    room, at = WINDOW, 0
    whole = message(sent)
    while at < len(whole):
        part = whole[at : min(room, len(whole))]
        at += len(part)
        peer.send(peer.data(1, part, end=at == len(whole)))
        while at == room and at < len(whole):
            made = await peer.frame()
            if made.kind == frames.WINDOW_UPDATE and made.stream == 1:
                room += int.from_bytes(made.payload, "big")
    assert (await peer.answer(1)).message == str(len(sent)).encode()


async def test_a_handler_that_takes_nothing_gives_no_room(peer: Peer, echo: Echo) -> None:
    peer.send(peer.head(1, "/test.Echo/Hold"))
    await echo.until(lambda: echo.waiting == 1)
    peer.send(peer.data(1, message(bytes(995)) * (WINDOW // 1000)))
    peer.send(frames.frame(frames.PING, 0, 0, bytes(8)))
    while (made := await peer.frame()).kind != frames.PING:
        assert (made.kind, made.stream) != (frames.WINDOW_UPDATE, 1)


async def test_a_client_that_takes_nothing_stops_its_handler(peer: Peer, echo: Echo) -> None:
    sizes = ",".join(["10000"] * 100)
    peer.send(peer.call(1, "Pour", sizes.encode()))
    while len(peer.on(1).body) < 65535:
        await peer.frame()
    peer.send(frames.frame(frames.PING, 0, 0, bytes(8)))
    await peer.until(frames.PING)
    assert echo.poured <= 65535 + HIGH_WATER + 20_000
    peer.send(frames.window_update(0, 10**7), frames.window_update(1, 10**7))
    answer = await peer.answer(1)
    assert len(answer.body) == 100 * 10_005
    assert echo.poured == 1_000_000


async def test_a_client_that_does_not_read_stops_its_handler_and_nobody_elses(port: int, echo: Echo) -> None:
    peer = await Peer.open(port, {frames.INITIAL_WINDOW_SIZE: 2**30})
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    sizes = ",".join(["1000000"] * 40)
    peer.send(frames.window_update(0, 2**30), peer.call(1, "Pour", sizes.encode()))
    async with await Peer.open(port) as other:
        seen, number = -1, 1
        while seen != echo.poured:
            seen = echo.poured
            for _ in range(20):
                assert (await other.ask(number, "Unary", b"x")).message == b"x"
                number += 2
    assert echo.poured < 20_000_000
    peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
    answer = await peer.answer(1)
    assert len(answer.body) == 40 * 1_000_005
    peer.vanish()
