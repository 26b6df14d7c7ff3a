"""What differs between asyncio's own loop and the one that the cloud runs on: writing to who has gone."""

import asyncio
from typing import Any

import uvloop

from tests.local_cloud.http2.echo import Echo
from tests.local_cloud.http2.peer import Peer


async def leave_at_every_moment() -> list[Any]:
    """Clients that vanish before, while and after they are answered; gives what the loop was told of."""
    told: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    echo = Echo()
    server = await loop.create_server(echo.connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for turns in range(12):
        peer = await Peer.open(port)
        peer.send(*(peer.call(2 * n + 1, ("Wait", "Hold", "Unary", "Size")[n % 4], b"100000") for n in range(40)))
        await echo.until(lambda: echo.waiting == 20)
        echo.go_on.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        closed = [connection.closed for connection in echo.connections]
        if turns % 3 == 0:
            for connection in list(echo.connections):
                connection.shutdown()
        peer.vanish()
        await asyncio.gather(*closed)
        await echo.until(lambda: echo.waiting == 0)
        echo.go_on.clear()
    async with await Peer.open(port) as peer:
        assert (await peer.ask(1, "Unary", b"x")).message == b"x"
    server.close()
    echo.acceptor.stop()
    return told


def test_clients_that_leave_at_any_moment_are_no_mistake_of_ours() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(leave_at_every_moment()) == []
