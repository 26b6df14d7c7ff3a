"""JSON over HTTP to the local cloud, the services and the sandbox: one function, plain errors.

Owns time limits and the shape of failures. Leaves retrying to the caller: a command should say what is down.
"""

from __future__ import annotations

import http.client
import json
import string
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.errors import CallFailed, Unreachable

#: Seconds for which a refused connection is tried again.
PATIENCE = 5.0
#: What stays as it is in a URL: its parts are quoted by whoever puts them together, but not a name that was typed.
_PLAIN = string.ascii_letters + string.digits + string.punctuation


@dataclass(frozen=True)
class Raw:
    """An answer as it came; the names of its headers are in lower case."""

    body: bytes
    headers: Mapping[str, str]


def call(
    method: str,
    url: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
    patience: float = PATIENCE,
) -> Any:
    """The JSON answer of a call; CallFailed for an answer that is not 2xx, Unreachable where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    text = fetch(method, url, data, headers=headers, timeout=timeout, patience=patience).body.decode()
    return json.loads(text) if text.strip() else {}


def fetch(
    method: str,
    url: str,
    data: bytes | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
    patience: float = PATIENCE,
) -> Raw:
    """The answer of a call as it came; it fails as `call` does."""
    url = urllib.parse.quote(url, safe=_PLAIN)
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with _patiently(request, timeout, patience) as answer:
            return Raw(answer.read(), {name.lower(): value for name, value in answer.headers.items()})
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        raise CallFailed(
            f"{method} {url} was answered {error.code}: {reason(text)}", status=error.code, body=text
        ) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        why = getattr(error, "reason", error)
        raise Unreachable(f"{method} {url}: nobody answers ({why})", fix="./sluice status shows what runs") from error


def _patiently(request: urllib.request.Request, timeout: float, patience: float) -> Any:
    """Open; where nobody listens, look again for a moment: the supervisor may be starting the process anew."""
    until = time.monotonic() + patience
    while True:
        try:
            return _opener.open(request, timeout=timeout)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > until:
                raise
            time.sleep(0.1)


def reason(text: str) -> str:
    """The message of an error body: Google's shape, a service's, or its first line."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip().splitlines()[0][:300] if text.strip() else "(empty answer)"
    if isinstance(value, dict) and isinstance(value.get("reason"), str):  # a service's, beside its code
        return str(value["reason"])
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        error = error.get("message") or error.get("reason") or error.get("status") or error
    return str(error)


# Loopback is never reached through a proxy, whatever the environment says.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
