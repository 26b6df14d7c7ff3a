"""One request on its way to an instance and the answer on its way back, both piece by piece.

Owns framing, the headers of an answer and session affinity; which revision is asked and what is answered when it does
not is door.py's, the wire upstream.py's.
Sources: https://cloud.google.com/run/docs/container-contract, .../configuring/session-affinity.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing
from http.cookies import CookieError, SimpleCookie
from typing import Any

from local_cloud.engines.instances import Instance
from local_cloud.engines.revisions import Revision
from local_cloud.run.bodies import Body, ClientGoneError
from local_cloud.run.requests import HOP_BY_HOP, Exchange, upstream_headers
from local_cloud.run.upstream import Header, Upstream, UpstreamError

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: The cookie by which a client comes back to the instance that it had, and how long it lasts.
AFFINITY, AFFINITY_SECONDS = b"GAESA", 30 * 86400


async def forward(
    exchange: Exchange, body: Body, revision: Revision, upstream: Callable[[Instance], Upstream], send: Send
) -> None:
    """Carry the request to an instance and its answer back; a caller that hangs up ends both."""
    work = asyncio.ensure_future(_exchange(exchange, body, revision, upstream, send))
    gone = asyncio.ensure_future(body.gone())
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGoneError
        work.result()
    finally:
        gone.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait([work])


async def _exchange(
    exchange: Exchange, body: Body, revision: Revision, upstream: Callable[[Instance], Upstream], send: Send
) -> None:
    session = cookie_of(exchange) if exchange.affinity else ""
    prefer = next((i.id for i in revision.instances if session and _mark(i) == session), "")
    async with revision.request(prefer=prefer) as instance:
        exchange.instance = instance.id
        if exchange.affinity and _mark(instance) != session:
            exchange.cookie = _mark(instance)
        connections = upstream(instance)
        connection = await connections.take()
        length = body.length
        head = b"\r\n".join(upstream_headers(exchange, length)) + b"\r\n\r\n"
        first = _chunk(body.first) if length is None else body.first
        try:
            connection.begin(head + first, head=exchange.method == "HEAD")
            if body.more:
                connection.stream(_framed(body, chunked=length is None))
            async with aclosing(connection.answer()) as events:
                async for kind, value in events:
                    if kind == "head":
                        await _start(exchange, send, *value)
                    else:
                        exchange.response_size += len(value)
                        await send({"type": "http.response.body", "body": value, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except BaseException as error:
            connection.close()
            if isinstance(error, UpstreamError):
                await instance.lost()
            raise
        finally:
            await connection.end()
            exchange.request_size = body.size
        connections.give_back(connection)


async def _framed(body: Body, *, chunked: bool) -> AsyncGenerator[bytes, None]:
    async for piece in body.rest():
        yield _chunk(piece) if chunked else piece
    if chunked:
        yield b"0\r\n\r\n"


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""


async def _start(exchange: Exchange, send: Send, status: int, headers: list[Header]) -> None:
    exchange.status = status
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    kept = [(name, value) for name, value in headers if name not in HOP_BY_HOP and name not in named]
    kept.append((b"x-cloud-trace-context", f"{exchange.trace};o=1".encode()))
    if exchange.cookie:
        kept.append((b"set-cookie", set_cookie(exchange)))
    await send({"type": "http.response.start", "status": status, "headers": kept})


def _mark(instance: Instance) -> str:
    """What the cookie says of an instance: nothing that anybody could address it by."""
    return hashlib.sha256(instance.id.encode()).hexdigest()[:32]


def cookie_of(exchange: Exchange) -> str:
    """The session that a caller brings along, if any."""
    try:
        found = SimpleCookie(exchange.headers.get(b"cookie", b"").decode("latin-1")).get(AFFINITY.decode())
    except CookieError:
        return ""
    return found.value if found is not None else ""


def set_cookie(exchange: Exchange) -> bytes:
    """The session that it is given, for the paths of its service."""
    return b"%s=%s; Max-Age=%d; Path=%s; HttpOnly" % (
        AFFINITY, exchange.cookie.encode(), AFFINITY_SECONDS, exchange.prefix or b"/",
    )  # fmt: skip
