"""REST and gRPC on one port, as Google serves both on 443: a connection's first bytes say which it is.

HTTP/2 (with prior knowledge, as gRPC speaks it) begins with a preface of its own; all else is uvicorn's. Either gets
the connection and every later byte without us. Who speaks TLS is told what to change: the doors are plain text; and
there is no way through them to other hosts. Source: RFC 9113, section 3.4.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from local_cloud.server.http2.connection import Application, Connection
from local_cloud.server.http2.frames import PREFACE
from local_cloud.server.http2.lending import House

#: A TLS record of the kind handshake.
TLS_HANDSHAKE = 0x16


class FirstBytes(asyncio.Protocol):
    """A connection that has not said yet what it is."""

    def __init__(
        self,
        *,
        grpc: Application,
        house: House,
        on_tls: Callable[[], None],
        server_state: ServerState,
        **http: Any,
    ) -> None:
        """`server_state` and `http` are what uvicorn gives its protocols."""
        self._grpc = grpc
        self._house = house
        self._on_tls = on_tls
        self._http: dict[str, Any] = {"server_state": server_state, **http}
        self._open: set[Any] = server_state.connections  # shut at the end, like those that speak HTTP
        self._transport: Any = None
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for the first bytes."""
        self._transport = transport
        self._open.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Gone without a word."""
        self._open.discard(self)

    def shutdown(self) -> None:
        """The door shuts."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Decides as soon as it can, and hands the connection on."""
        self._seen += data
        if len(self._seen) < len(PREFACE) and PREFACE.startswith(self._seen):
            return
        self._open.discard(self)
        if self._seen[0] == TLS_HANDSHAKE:
            self._on_tls()
            self._transport.close()
        elif self._seen.startswith(PREFACE):
            http2 = Connection(self._grpc, self._open, self._house)
            http2.connection_made(self._transport)
            self._transport.set_protocol(http2)
            http2.data_received(self._seen)
        elif self._seen.startswith(b"CONNECT "):
            self._transport.write(_no_tunnel(self._seen))
            self._transport.close()
        else:
            http = HttpToolsProtocol(**self._http)
            http.connection_made(self._transport)
            self._transport.set_protocol(http)
            http.data_received(self._seen)


def _no_tunnel(seen: bytes) -> bytes:
    """What a client hears that takes the door for its proxy (gcloud) and asks for a host that is not here.

    Clients show the reason and nothing else: it names the host and where to look.
    """
    host = re.sub(rb"[^A-Za-z0-9.-]", b"", seen.split(b" ")[1].partition(b":")[0])[:100]
    return b"HTTP/1.1 501 The local cloud does not emulate %s\r\nconnection: close\r\n\r\n" % host
