"""The front door of Cloud Run: every request below /run/, from admission to the last byte and its log entry.

Owns the order (address, ingress, IAM, traffic, instance), headers, limits and what is answered when no instance does.
Streams answers; reads requests whole, up to Cloud Run's 32 MiB.
Source: https://cloud.google.com/run/docs/container-contract, .../quotas, .../rollouts-rollbacks-traffic-migration.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.instances import Instance, StartError
from local_cloud.engines.revisions import NoInstanceError
from local_cloud.run import admission, names, pages
from local_cloud.run.metrics import RunMetrics
from local_cloud.run.requests import Exchange, log_request, upstream_headers
from local_cloud.run.services import Services
from local_cloud.run.upstream import Header, Upstream, UpstreamError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: The largest request body over HTTP/1.
MAX_BODY = 32 * 1024 * 1024
#: Headers that belong to one connection.
HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"expect",
})  # fmt: skip
#: Steps of the golden ratio spread requests over a split as evenly as possible, in any stretch of them.
_GOLDEN = 0.6180339887498949


class ClientGoneError(Exception):
    """The caller hung up."""


@dataclass
class Door:
    """What the door remembers between requests."""

    cloud: Cloud
    services: Services
    upstreams: dict[Instance, Upstream] = field(default_factory=dict)
    metrics: RunMetrics = field(init=False)
    _count: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.metrics = RunMetrics(self.cloud, self.services)

    def choose(self, service: Message, tag: str) -> str | None:
        """The revision for a request: the tag's, or one by percent. "" when there is none yet, None for no such tag."""
        targets = self.services.targets(service)
        if tag:
            return next((revision for target, revision in targets if target.tag == tag), None)
        at = (next(self._count) * _GOLDEN) % 1.0 * 100
        for target, revision in targets:
            at -= target.percent
            if target.percent and at < 0:
                return revision
        return ""

    def upstream(self, instance: Instance) -> Upstream:
        """The connections to an instance."""
        found = self.upstreams.get(instance)
        if found is None:
            for gone in [i for i in self.upstreams if i.state == "gone"]:
                self.upstreams.pop(gone).close()
            found = self.upstreams[instance] = Upstream(instance.port)
        return found


async def serve(cloud: Cloud, scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI for everything below /run/."""
    door = cloud.use(Door)
    raw: bytes = scope["raw_path"]
    host, slash, rest = raw[len(names.PREFIX) :].partition(b"/")
    exchange = Exchange(scope, path=(slash + rest) or b"/", started=cloud.now(), clock=time.perf_counter())
    found = names.address(cloud, host.decode("latin-1"))
    service = door.services.services.get(found.service) if found else None
    revision = door.choose(service, found.tag) if service is not None and found else None
    if found is None or service is None or revision is None or (service.default_uri_disabled and not found.tag):
        await _answer(exchange, send, 404, pages.missing(), kind=pages.HTML)
        return
    exchange.revision = revision or service.name
    with cloud.busy("run request"):
        try:
            await _serve_service(door, service, exchange, receive, send)
        except ClientGoneError:
            exchange.status = exchange.status or 499
        log_request(cloud, door.services.resource(exchange.revision), exchange)
        door.metrics.answered(exchange, time.perf_counter() - exchange.clock)


async def _serve_service(door: Door, service: Message, exchange: Exchange, receive: Receive, send: Send) -> None:
    cloud = door.cloud
    refusal = admission.admit(cloud, service, exchange.headers)
    if refusal is not None:
        exchange.text = refusal.log
        shown = exchange.path.decode("latin-1").partition("?")[0]
        make = pages.unauthorized if refusal.status == 401 else pages.forbidden
        extra = []
        if refusal.status == 401:
            challenge = 'Bearer error="invalid_token" error_description="The access token could not be verified"'
            extra = [(b"www-authenticate", challenge.encode())]
        await _answer(exchange, send, refusal.status, make(shown, refusal.hint), kind=pages.HTML, extra=extra)
        return
    body = await _body(receive)
    if body is None:
        await _answer(exchange, send, 413, b"Request Entity Too Large", kind=pages.PLAIN)
        return
    exchange.request_size = len(body)
    if exchange.revision == service.name:
        exchange.text = service.terminal_condition.message or "The service has no revision that is ready."
        await _answer(exchange, send, 503, b"Service Unavailable", kind=pages.PLAIN)
        return
    timeout = door.services.revision(exchange.revision).timeout.ToNanoseconds() / 1e9
    try:
        async with asyncio.timeout(timeout or None):
            await _forward(door, exchange, body, receive, send)
    except TimeoutError:
        await _fail(exchange, send, 504, pages.TIMED_OUT, b"upstream request timeout")
    except NoInstanceError:
        await _fail(exchange, send, 429, pages.NO_INSTANCE, b"Rate exceeded.")
    except StartError as error:
        await _fail(exchange, send, 503, str(error), b"Service Unavailable")
    except UpstreamError as error:
        await _fail(exchange, send, 503, f"{pages.BROKEN} ({error})", b"Service Unavailable")


async def _forward(door: Door, exchange: Exchange, body: bytes, receive: Receive, send: Send) -> None:
    """Carry the request to an instance and its answer back; a caller that hangs up ends both."""
    work = asyncio.ensure_future(_exchange(door, exchange, body, send))
    gone = asyncio.ensure_future(_until_gone(receive))
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


async def _exchange(door: Door, exchange: Exchange, body: bytes, send: Send) -> None:
    async with door.services.running(exchange.revision).request() as instance:
        exchange.instance = instance.id
        upstream = door.upstream(instance)
        connection = await upstream.take()
        head = b"\r\n".join(upstream_headers(exchange, len(body), HOP_BY_HOP)) + b"\r\n\r\n"
        try:
            is_head = exchange.method == "HEAD"
            async with aclosing(connection.exchange([head, body], head=is_head)) as events:
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
        upstream.give_back(connection)


async def _start(exchange: Exchange, send: Send, status: int, headers: list[Header]) -> None:
    exchange.status = status
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    kept = [(name, value) for name, value in headers if name not in HOP_BY_HOP and name not in named]
    kept.append((b"x-cloud-trace-context", f"{exchange.trace};o=1".encode()))
    await send({"type": "http.response.start", "status": status, "headers": kept})


async def _body(receive: Receive) -> bytes | None:
    chunks, size = [], 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise ClientGoneError
        chunk = event.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY:
            return None
        chunks.append(chunk)
        if not event.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _fail(exchange: Exchange, send: Send, status: int, text: str, body: bytes) -> None:
    """Answer for an instance that did not; what has begun can only be broken off."""
    exchange.text = text
    if exchange.status:
        raise ClientGoneError
    await _answer(exchange, send, status, body, kind=pages.PLAIN)


async def _answer(
    exchange: Exchange, send: Send, status: int, body: bytes, *, kind: str, extra: list[Header] | None = None
) -> None:
    exchange.status, exchange.response_size = status, len(body)
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(b"server", b"Google Frontend"), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else body})
