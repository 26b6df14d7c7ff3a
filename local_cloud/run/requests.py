"""One request on its way through the door: its trace, the head that the instance gets, the entry in the request log.

Source: https://cloud.google.com/run/docs/trace, .../logging#request-logs, W3C Trace Context.
"""

import re
import secrets
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.logs.entries import Entries, rfc3339

_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_CLOUD_TRACE = re.compile(rb"([0-9a-f]{32})/(\d{1,20})(?:;o=[01])?")
#: Headers that belong to one connection.
HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"expect",
})  # fmt: skip


@dataclass
class Exchange:
    """A request and what has become of it so far."""

    scope: MutableMapping[str, Any]
    path: bytes
    started: float
    clock: float
    headers: dict[bytes, bytes] = field(default_factory=dict)
    method: str = ""
    trace_id: str = ""
    span_id: str = ""
    revision: str = ""
    instance: str = ""
    status: int = 0
    request_size: int = 0
    response_size: int = 0
    text: str = ""
    #: The path of the service itself, the request's to keep a session on one instance, and the session it was given.
    prefix: bytes = b""
    affinity: bool = False
    cookie: str = ""

    def __post_init__(self) -> None:
        self.method = self.scope.get("method", "GET")  # what becomes a WebSocket begins as a GET
        self.headers = dict(self.scope["headers"])
        if query := self.scope["query_string"]:
            self.path += b"?" + query
        if parent := _TRACEPARENT.fullmatch(self.headers.get(b"traceparent", b"")):
            self.trace_id, self.span_id = parent[1].decode(), parent[2].decode()
        elif context := _CLOUD_TRACE.fullmatch(self.headers.get(b"x-cloud-trace-context", b"")):
            self.trace_id, self.span_id = context[1].decode(), f"{int(context[2]) & (2**64 - 1):016x}"
        else:
            self.trace_id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)

    @property
    def trace(self) -> str:
        """As X-Cloud-Trace-Context writes it, without its options."""
        return f"{self.trace_id}/{int(self.span_id, 16)}"

    @property
    def client(self) -> str:
        """The caller's address."""
        return str((self.scope.get("client") or ("127.0.0.1", 0))[0])


def upstream_headers(exchange: Exchange, length: int | None) -> Iterator[bytes]:
    """The lines of the head that the instance gets: the caller's, less those of the connection, plus the platform's."""
    yield b"%s %s HTTP/1.1" % (exchange.method.encode(), exchange.path)
    ours = {b"x-forwarded-for", b"x-forwarded-proto", b"forwarded", b"x-cloud-trace-context", b"traceparent"}
    skipped = HOP_BY_HOP | ours | {b"content-length"}
    named = {token.strip().lower() for token in exchange.headers.get(b"connection", b"").split(b",")}
    for name, value in exchange.scope["headers"]:
        if name not in skipped and name not in named:
            yield b"%s: %s" % (name, value)
    if length is None:
        yield b"transfer-encoding: chunked"
    elif length or exchange.method in ("POST", "PUT", "PATCH"):
        yield b"content-length: %d" % length
    before = exchange.headers.get(b"x-forwarded-for", b"")
    client, proto = exchange.client.encode(), str(exchange.scope.get("scheme", "http")).encode()
    yield b"x-forwarded-for: " + (before + b"," if before else b"") + client
    yield b"x-forwarded-proto: " + proto
    yield b'forwarded: for="%s";proto=%s' % (client, proto)
    yield f"x-cloud-trace-context: {exchange.trace};o=1".encode()
    yield f"traceparent: 00-{exchange.trace_id}-{exchange.span_id}-01".encode()


def log_request(cloud: Cloud, resource: dict[str, Any], exchange: Exchange) -> None:
    """One entry in run.googleapis.com/requests."""
    host = exchange.headers.get(b"host", b"").decode("latin-1")
    target = exchange.scope["raw_path"].decode("latin-1")
    query = exchange.scope["query_string"].decode("latin-1")
    status = exchange.status
    request = {
        "requestMethod": exchange.method,
        "requestUrl": f"{exchange.scope.get('scheme', 'http')}://{host}{target}{f'?{query}' if query else ''}",
        "requestSize": str(exchange.request_size),
        "status": status,
        "responseSize": str(exchange.response_size),
        "userAgent": exchange.headers.get(b"user-agent", b"").decode("latin-1"),
        "remoteIp": exchange.client,
        "protocol": f"HTTP/{exchange.scope.get('http_version', '1.1')}",
        "latency": f"{time.perf_counter() - exchange.clock:.9f}s",
    }
    cloud.use(Entries).write(
        {
            "logName": "run.googleapis.com/requests",
            "timestamp": rfc3339(exchange.started),
            "severity": "ERROR" if status >= 500 else "WARNING" if status >= 400 else "INFO",
            "resource": resource,
            "labels": {"instanceId": exchange.instance} if exchange.instance else {},
            "httpRequest": request,
            "trace": f"projects/{cloud.project}/traces/{exchange.trace_id}",
            "spanId": exchange.span_id,
            "traceSampled": True,
            **({"textPayload": exchange.text} if exchange.text else {}),
        }
    )
