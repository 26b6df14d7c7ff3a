"""The test's service on a free port, in the test's loop."""

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from tests.local_cloud.http2.echo import Echo
from tests.local_cloud.http2.peer import Peer


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    yield made
    made.acceptor.stop()


@pytest.fixture
async def port(echo: Echo) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(echo.connection, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for connection in list(echo.connections):
        connection.abort()


@pytest.fixture
async def peer(port: int) -> AsyncIterator[Peer]:
    async with await Peer.open(port) as made:
        yield made


@pytest.fixture
async def channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]
    ) as made:
        yield made
