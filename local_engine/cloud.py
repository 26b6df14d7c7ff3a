"""The cloud as the engine reaches it: one REST client over the provider's custom endpoints.

Owns retries, the polling of long-running operations, the read-modify-write of IAM policies (one lock a policy, again on
a lost race), and the count of reads and writes. Knows no resource type. Thread-safe: steps run concurrently.
"""

from __future__ import annotations

import http.client
import json
import secrets
import select
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from .errors import (
    AlreadyExistsError,
    CloudError,
    ContendedError,
    EngineError,
    NotFoundError,
    OperationFailedError,
    UnreachableError,
)

#: The label by which the local cloud's owner is known; the real provider writes ``goog-pulumi-provisioned``.
ATTRIBUTION: Final[Mapping[str, str]] = {"sluice-provisioned": "true"}
#: How long a call is tried again while nobody listens or the cloud asks for patience.
PATIENCE: Final = 15.0
#: How long an operation may run.
OPERATION_TIMEOUT: Final = 300.0
_BUSY: Final = (429, 502, 503, 504)

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Media:
    """An upload: what is said of an object beside its bytes."""

    said: JsonObject
    data: bytes
    kind: str

    def encoded(self) -> tuple[bytes, str]:
        """The body, and its own content type."""
        mark = secrets.token_hex(30)
        parts = (("application/json", json.dumps(self.said).encode()), (self.kind, self.data))
        made = b"".join(f"--{mark}\r\nContent-Type: {kind}\r\n\r\n".encode() + data + b"\r\n" for kind, data in parts)
        return made + f"--{mark}--\r\n".encode(), f"multipart/related; boundary={mark}"


class Cloud:
    """The REST surface of one project, reached through ``endpoints`` (provider key, as ``cloudTasks`` -> base URL)."""

    def __init__(
        self,
        endpoints: Mapping[str, str],
        *,
        attribution: Mapping[str, str] = ATTRIBUTION,
        patience: float = PATIENCE,
        pause: Callable[[float], None] = time.sleep,
        authorize: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        #: Headers that show who asks; a local cloud's owner shows nothing.
        self._authorize = authorize
        self._endpoints, self._patience, self._pause = dict(endpoints), patience, pause
        self.attribution = dict(attribution)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._policy_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._kept: dict[str, Any] = {}
        self.reads = 0
        self.writes = 0

    def get(self, endpoint: str, path: str, query: Mapping[str, str] | None = None) -> JsonObject:
        """Read ``path`` under ``endpoint``."""
        return self.call(endpoint, "GET", path, query=query)

    def call(
        self,
        endpoint: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        reads: bool = False,
    ) -> JsonObject:
        """One call; ``reads`` marks a POST that changes nothing."""
        url = self._url(endpoint, path) + (f"?{urlencode(query)}" if query else "")
        with self._lock:
            if reads or method == "GET":
                self.reads += 1
            else:
                self.writes += 1
        return self._patiently(method, url, body)

    def upload(
        self, endpoint: str, path: str, said: JsonObject, data: bytes, *, kind: str, query: Mapping[str, str]
    ) -> JsonObject:
        """An object of Cloud Storage in one piece: what is said of it, and its bytes of one ``kind``."""
        parts = urlsplit(self._url(endpoint, path))
        asked = urlencode({**query, "uploadType": "multipart"})
        with self._lock:
            self.writes += 1
        media = Media(said, data, kind)
        return self._patiently("POST", f"{parts.scheme}://{parts.netloc}/upload{parts.path}?{asked}", media)

    def control(self, method: str, path: str, body: Any = None) -> JsonObject:
        """A call to the local cloud's own controls, which stand beside its products; counted as nothing."""
        parts = urlsplit(next(iter(self._endpoints.values())))
        return self._patiently(method, f"{parts.scheme}://{parts.netloc}/_sluice/{path}", body)

    def pages(self, endpoint: str, path: str, key: str, query: Mapping[str, str] | None = None) -> Iterator[JsonObject]:
        """Everything that a collection lists under ``key``, page by page."""
        asked = dict(query or {})
        while True:
            page = self.get(endpoint, path, asked)
            yield from page.get(key, ())
            if not page.get("nextPageToken"):
                return
            asked["pageToken"] = str(page["nextPageToken"])

    def answers(self, endpoint: str, path: str) -> bool:
        """Whether anybody listens there now."""
        try:
            self._send("GET", self._url(endpoint, path), None)
        except UnreachableError:
            return False
        return True

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """``make()``, asked once a run: what many resources read (the list of enabled APIs, a policy)."""
        with self._lock_of(key):
            if key not in self._kept:
                self._kept[key] = make()
            return self._kept[key]

    def forget(self, key: str) -> None:
        """What ``once`` keeps under ``key`` has changed."""
        self._kept.pop(key, None)

    def wait(self, endpoint: str, operation: JsonObject) -> JsonObject:
        """The operation's end; its ``response`` where it has one."""
        deadline, pause = time.monotonic() + OPERATION_TIMEOUT, 0.01
        while not operation.get("done"):
            self._pause(pause)
            pause = min(pause * 1.6, 1.0)
            if time.monotonic() > deadline:
                raise OperationFailedError(
                    0, "DEADLINE", f"still running after {OPERATION_TIMEOUT:.0f} s", operation["name"]
                )
            operation = self.get(endpoint, operation["name"])
        if "error" in operation:
            error = operation["error"]
            code = int(error.get("code", 0))
            raise OperationFailedError(code, "OPERATION", str(error.get("message", error)), operation["name"])
        return dict(operation.get("response", {}))

    def settled(self, read: Callable[[], JsonObject]) -> JsonObject:
        """What ``read`` finds; asked again for a while, since a write may take a moment to read back."""
        deadline, pause = time.monotonic() + self._patience, 0.02
        while True:
            try:
                return read()
            except NotFoundError:
                if time.monotonic() > deadline:
                    raise
            self._pause(pause)
            pause = min(pause * 2, 1.0)

    def policy(self, key: str, read: Callable[[], JsonObject]) -> JsonObject:
        """The IAM policy of one thing, read once a run."""
        found: JsonObject = self.once(key, read)
        return found

    def change_policy(
        self,
        key: str,
        read: Callable[[], JsonObject],
        write: Callable[[JsonObject], JsonObject],
        change: Callable[[JsonObject], bool],
    ) -> JsonObject:
        """Read, change and write a policy; ``change`` says whether it changed anything. A lost race begins again."""
        deadline, pause = time.monotonic() + self._patience, 0.02
        while True:
            with self._policy_locks[key]:
                policy = read()
                try:
                    kept = write(policy) if change(policy) else policy
                except ContendedError:
                    if time.monotonic() > deadline:
                        raise
                else:
                    self._kept[key] = kept
                    return kept
            self._pause(pause)
            pause = min(pause * 2, 1.0)

    def _lock_of(self, key: str) -> threading.Lock:
        with self._lock:
            return self._policy_locks[f"once {key}"]

    def _url(self, endpoint: str, path: str) -> str:
        base = self._endpoints.get(endpoint)
        if not base:
            key = f"gcp:{endpoint}CustomEndpoint"
            raise EngineError(
                f"No endpoint for {endpoint}: the local engine applies to a local cloud only. "
                f"Set {key} in the stack's config, or use `pulumi up` for Google Cloud."
            )
        return base.rstrip("/") + "/" + path

    def _patiently(self, method: str, url: str, body: Any) -> JsonObject:
        deadline, pause = time.monotonic() + self._patience, 0.05
        while True:
            try:
                status, answer = self._send(method, url, body)
            except UnreachableError as error:
                # A POST that may have arrived is not sent again: the next run finds out what became of it.
                if time.monotonic() > deadline or (error.sent and method == "POST"):
                    raise
            else:
                if status < 400:
                    return answer
                if status not in _BUSY or time.monotonic() > deadline:
                    raise _error(status, answer, f"{method} {url}")
            self._pause(pause)
            pause = min(pause * 2, 1.0)

    def _send(self, method: str, url: str, body: Any) -> tuple[int, JsonObject]:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": "sluice-local-engine", "Accept": "application/json", **self._authorize()}
        content = None
        if isinstance(body, Media):
            content, headers["Content-Type"] = body.encoded()
        elif body is not None:
            content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = self._connection(parts.netloc, parts.scheme)
        sent = False
        try:
            connection.request(method, target, content, headers)
            sent = True
            response = connection.getresponse()
            return response.status, _parsed(response.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise UnreachableError(str(error) or repr(error), f"{method} {url}", sent=sent) from error

    def _connection(self, host: str, scheme: str) -> http.client.HTTPConnection:
        kept: dict[str, http.client.HTTPConnection] = self._local.__dict__
        if host not in kept:
            make = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
            kept[host] = make(host, timeout=60)
        connection = kept[host]
        # An idle connection that has something to say was closed by the other side.
        if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            connection.close()
        return connection


def _parsed(content: bytes) -> JsonObject:
    if not content.strip():
        return {}
    try:
        answer = json.loads(content)
    except ValueError:
        return {"error": {"message": content[:500].decode("utf-8", "replace")}}
    return answer if isinstance(answer, dict) else {"items": answer}


def _error(status: int, answer: JsonObject, call: str) -> CloudError:
    error = answer.get("error", answer)
    if not isinstance(error, dict):
        error = {"message": str(error)}
    details = error.get("errors") or [{}]
    reason = str(error.get("status") or details[0].get("reason") or "")
    message = str(error.get("message") or answer)
    kind: type[CloudError] = CloudError
    if status == 404:
        kind = NotFoundError
    elif status == 412 or (status == 409 and reason in ("ABORTED", "conflict")):
        kind = ContendedError
    elif status == 409:
        kind = AlreadyExistsError
    return kind(status, reason, message, call)
