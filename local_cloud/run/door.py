"""The front door of Cloud Run: every request below /run/, from admission to the last byte and its log entry.

Owns the order (address, ingress, IAM, traffic, instance) and what is answered when no instance does; the carrying is
forward.py's, that of WebSockets tunnel.py's.
Source: https://cloud.google.com/run/docs/container-contract, .../quotas, .../rollouts-rollbacks-traffic-migration.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.instances import Instance, StartError
from local_cloud.engines.revisions import DisabledError, NoInstanceError
from local_cloud.run import admission, ingress, names, pages
from local_cloud.run.bodies import Body, ClientGoneError, TooLargeError
from local_cloud.run.forward import forward
from local_cloud.run.metrics import RunMetrics
from local_cloud.run.requests import Exchange, log_request
from local_cloud.run.services import Services
from local_cloud.run.tunnel import tunnel
from local_cloud.run.upstream import Header, Upstream, UpstreamError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: How the instance is reached is told to whoever declared otherwise.
H2C = " The port is named h2c: the local cloud speaks HTTP/1.1 to every instance."
#: Steps of the golden ratio spread requests over a split as evenly as possible, in any stretch of them.
_GOLDEN = 0.6180339887498949


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
    """ASGI, and the tunnels of server/upgrades.py, for everything below /run/."""
    door = cloud.use(Door)
    raw: bytes = scope["raw_path"]
    host, slash, rest = raw[len(names.PREFIX) :].partition(b"/")
    exchange = Exchange(scope, path=(slash + rest) or b"/", started=cloud.now(), clock=time.perf_counter())
    exchange.prefix = names.PREFIX.encode() + host
    found = names.address(cloud, host.decode("latin-1"))
    service = door.services.services.get(found.service) if found else None
    revision = door.choose(service, found.tag) if service is not None and found else None
    if found is None or service is None or revision is None or service.default_uri_disabled:
        await _answer(exchange, send, 404, pages.missing(), kind=pages.HTML)
        return
    if outside := ingress.refuses(cloud, service, scope):  # as on Google, such a request leaves no entry in the log
        await _answer(exchange, send, 404, pages.missing(outside), kind=pages.HTML)
        return
    exchange.revision = revision or service.name
    with cloud.busy("run request"):
        try:
            await _serve_service(door, service, exchange, receive, send)
        except ClientGoneError:
            exchange.status = exchange.status or 499
        door.metrics.answered(exchange, time.perf_counter() - exchange.clock)
        log_request(cloud, door.services.resource(exchange.revision), exchange)


async def _serve_service(door: Door, service: Message, exchange: Exchange, receive: Receive, send: Send) -> None:
    refusal = admission.admit(door.cloud, service, exchange.headers)
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
    if exchange.revision == service.name:
        exchange.text = service.terminal_condition.message or "The service has no revision that is ready."
        await _answer(exchange, send, 503, b"Service Unavailable", kind=pages.PLAIN)
        return
    revision = door.services.revision(exchange.revision)
    exchange.affinity = revision.session_affinity
    try:
        async with asyncio.timeout(revision.timeout.ToNanoseconds() / 1e9 or None):
            await _carry(door, exchange, receive, send)
    except TooLargeError:
        await _fail(exchange, send, 413, pages.TOO_LARGE, b"Request Entity Too Large")
    except TimeoutError:
        await _fail(exchange, send, 504, pages.TIMED_OUT, b"upstream request timeout")
    except DisabledError:
        await _fail(exchange, send, 503, pages.DISABLED, b"Service Unavailable")
    except NoInstanceError:
        await _fail(exchange, send, 429, pages.NO_INSTANCE, b"Rate exceeded.")
    except StartError as error:
        await _fail(exchange, send, 503, str(error), b"Service Unavailable")
    except UpstreamError as error:
        hint = H2C if any(port.name == "h2c" for c in revision.containers for port in c.ports) else ""
        await _fail(exchange, send, 503, f"{pages.BROKEN} ({error}){hint}", b"Service Unavailable")


async def _carry(door: Door, exchange: Exchange, receive: Receive, send: Send) -> None:
    running = door.services.running(exchange.revision)
    if exchange.scope["type"] == "tunnel":
        await tunnel(exchange, running, receive, send)
        return
    body = Body(receive, exchange.headers.get(b"content-length"))
    await body.begin()
    await forward(exchange, body, running, door.upstream, send)


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
    if exchange.scope["type"] == "tunnel":
        lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode()), b"connection: close"]
        lines += [b"%s: %s" % header for header in headers]
        await send({"type": "tunnel.data", "body": b"\r\n".join(lines) + b"\r\n\r\n" + body})
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else body})
