"""The HTTP client of attempts: what it has seen before it reads as it read it the first time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from local_cloud.engines.outgoing import KNOWN, Client, Origin, Reply

ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Reply(200)),
    (b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", Reply(503, "7")),
    (b"HTTP/1.1 204 No Content\r\n\r\n", Reply(204)),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Reply(200)),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", Reply(500)),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", Reply(200)),
]


class Script:
    """A receiver that answers with what it is told, and a client for it."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.connections = 0
        self.client = Client()
        self.origin = Origin("", 0, False)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = self.answers.pop(0)
                writer.write(answer)
                if b"close" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def ask(self, answer: bytes, *, head: bool = False) -> Reply:
        self.answers.append(answer)
        came: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        text = f"{'HEAD' if head else 'GET'} / HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        self.client.send(self.origin, text, came.set_result, head)
        async with asyncio.timeout(20):
            return await came


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    made = Script()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.origin = Origin("127.0.0.1", server.sockets[0].getsockname()[1], False)
    yield made
    made.client.close()
    server.close()


async def test_an_answer_that_comes_again_means_the_same(script: Script) -> None:
    for _ in range(3):
        for answer, reply in ANSWERS:
            assert await script.ask(answer) == reply
    assert script.connections == 3  # one for each answer that closed it


async def test_the_answer_to_head_is_not_taken_for_that_to_get(script: Script) -> None:
    with_body = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert await script.ask(with_body) == Reply(200)
    assert await script.ask(with_body, head=True) == Reply(200)
    assert await script.ask(with_body) == Reply(200)
    assert script.connections == 2  # after HEAD a connection is not used again


async def test_many_different_answers_are_not_all_kept(script: Script) -> None:
    for number in range(3 * KNOWN):
        text = f"HTTP/1.1 200 OK\r\nX-Number: {number}\r\nContent-Length: 0\r\n\r\n".encode()
        assert await script.ask(text) == Reply(200)
    assert len(script.client._pools[script.origin].known) <= KNOWN
    assert script.connections == 1
