"""What uvicorn hands a connection to that asks to become a WebSocket: its bytes, raw, to the mount that its path means.

Owns the bytes. It speaks to mounts in events of its own, beside ASGI's: scope type "tunnel", `tunnel.data` both ways,
`tunnel.disconnect` when the caller has gone; whoever answers writes the whole HTTP head itself.
"""

import asyncio
import contextlib
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, cast

import httptools

#: Bytes of a caller that wait for the mount before the caller is asked to pause.
HIGH_WATER = 65536


def refused(status: int, body: bytes) -> bytes:
    """The whole answer to an upgrade that there is none of."""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


class Upgrade(asyncio.Protocol):
    """One connection that is no longer uvicorn's. Its first data is the request's head."""

    def __init__(self, *, config: Any, server_state: Any, app_state: Any) -> None:
        """What uvicorn gives its WebSocket protocols."""
        del app_state
        self._app, self._state = config.app, server_state
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._arrived, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._headers: list[tuple[bytes, bytes]] = []
        self._url = b""
        self._closed = False
        self._work: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the server shuts what stands in its list."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """The head first, then whatever the two sides have agreed upon."""
        if self._work is None:
            self._begin(data)
            return
        self._data += data
        self._arrived.set()
        if len(self._data) > HIGH_WATER and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The caller has gone."""
        self._closed = True
        self._state.connections.discard(self)
        self._arrived.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """The caller is slow to read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()

    def shutdown(self) -> None:
        """The door shuts."""
        if self._transport is not None:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """From the parser."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """From the parser."""
        self._headers.append((name.lower(), value))

    def _begin(self, head: bytes) -> None:
        assert self._transport is not None
        parser = httptools.HttpRequestParser(self)
        with contextlib.suppress(httptools.HttpParserUpgrade):  # which it is for
            parser.feed_data(head)
        path, _, query = self._url.partition(b"?")
        scope: MutableMapping[str, Any] = {
            "type": "tunnel",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": query,
            "headers": self._headers,
            "client": self._transport.get_extra_info("peername"),
            "server": self._transport.get_extra_info("sockname"),
        }
        self._work = asyncio.get_running_loop().create_task(self._run(scope))
        self._state.tasks.add(self._work)
        self._work.add_done_callback(self._state.tasks.discard)

    async def _run(self, scope: MutableMapping[str, Any]) -> None:
        assert self._transport is not None
        try:
            await self._app(scope, self._receive, self._send)
        finally:
            self._transport.close()

    async def _receive(self) -> MutableMapping[str, Any]:
        while not self._data:
            if self._closed:
                return {"type": "tunnel.disconnect"}
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._data)
        self._data.clear()
        if not self._closed and self._transport is not None:
            self._transport.resume_reading()
        return {"type": "tunnel.data", "body": data}

    async def _send(self, event: MutableMapping[str, Any]) -> None:
        assert self._transport is not None
        await self._writable.wait()
        if not self._closed:
            self._transport.write(event["body"])
