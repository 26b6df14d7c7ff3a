"""WebSockets: a request that asks for an upgrade is carried to an instance byte by byte, in both directions.

Owns the relay; admission is door.py's. As on Cloud Run, a WebSocket is one request: it takes one place of the
instance's concurrency, keeps its CPU, and ends with the service's request timeout.
Source: https://cloud.google.com/run/docs/triggering/websockets.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from local_cloud.engines.instances import Instance
from local_cloud.engines.revisions import Revision
from local_cloud.run.bodies import ClientGoneError
from local_cloud.run.requests import Exchange, upstream_headers
from local_cloud.run.upstream import UpstreamError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_READ = 65536


async def tunnel(exchange: Exchange, revision: Revision, receive: Receive, send: Send) -> None:
    """Relay until one side closes."""
    async with revision.request() as instance:
        exchange.instance = instance.id
        reader, writer = await _open(instance)
        lines = [*upstream_headers(exchange, 0), b"connection: Upgrade", b"upgrade: " + exchange.headers[b"upgrade"]]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
        there = asyncio.ensure_future(_there(exchange, receive, writer))
        back = asyncio.ensure_future(_back(exchange, reader, send))
        try:
            done, _ = await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            for finished in done:
                finished.result()
        finally:
            for half in (there, back):
                half.cancel()
            await asyncio.wait([there, back])
            writer.transport.abort()


async def _open(instance: Instance) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection("127.0.0.1", instance.port)
    except OSError as error:
        raise UpstreamError(f"no connection to the instance: {error}") from None


async def _there(exchange: Exchange, receive: Receive, writer: asyncio.StreamWriter) -> None:
    while (event := await receive())["type"] == "tunnel.data":
        exchange.request_size += len(event["body"])
        writer.write(event["body"])
        await writer.drain()
    if not exchange.status:
        raise ClientGoneError


async def _back(exchange: Exchange, reader: asyncio.StreamReader, send: Send) -> None:
    first = b""
    while data := await reader.read(_READ):
        if not exchange.status:
            first += data
            match = _STATUS.match(first)
            exchange.status = int(match[1]) if match else 0
        exchange.response_size += len(data)
        await send({"type": "tunnel.data", "body": data})
    if not exchange.status:
        raise UpstreamError("the connection was closed before it was upgraded")
