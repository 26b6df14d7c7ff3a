"""The machine's certificates are read once, however many receivers are called over TLS."""

import asyncio
import socket
import ssl
from typing import Any

from local_cloud.engines.outgoing import Client, Origin, Reply


async def test_one_set_of_certificates_serves_all_origins(monkeypatch: Any) -> None:
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    client, ends = Client(), []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, and nobody listens
        port = closed.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "127.0.0.2"):
            end: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            client.send(Origin(host, port, True), b"GET / HTTP/1.1\r\n\r\n", end.set_result)
            ends.append(end)
        replies = await asyncio.gather(*ends)
    client.close()
    assert [reply.status for reply in replies] == [0, 0, 0]
    assert len(made) == 1
