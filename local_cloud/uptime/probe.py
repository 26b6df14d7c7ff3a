"""One uptime check: a request to a host of this machine, and whether its answer is the one that is wanted.

Owns where a check goes, which is never beyond this machine, what passes, and how much of an answer is read.
Source: google/monitoring/v3/uptime.proto.
"""

import base64
import http.client
import ipaddress
import json
import re
import socket
import ssl
import time
from dataclasses import dataclass

from local_cloud.descriptors import Message, enum

#: Bytes of an answer that are looked at, as Google does.
MOST_READ = 1024 * 1024
METHODS = enum("google.monitoring.v3.UptimeCheckConfig.HttpCheck.RequestMethod")
TYPES = enum("google.monitoring.v3.UptimeCheckConfig.HttpCheck.ContentType")
_OPTIONS = enum("google.monitoring.v3.UptimeCheckConfig.ContentMatcher.ContentMatcherOption")
_MATCHERS = {number: name for name, number in _OPTIONS.items()}
_CLASSES = enum("google.monitoring.v3.UptimeCheckConfig.HttpCheck.ResponseStatusCode.StatusClass")


class ElsewhereError(OSError):
    """The host is not on this machine."""


@dataclass(frozen=True)
class Target:
    """Where a check goes."""

    host: str
    port: int
    tls: bool = False
    prefix: str = ""


@dataclass(frozen=True)
class Result:
    """What came of a check: `status` is 0 where there was no answer."""

    passed: bool
    milliseconds: float
    status: int = 0
    mismatch: bool = False
    error: str = ""


def on_this_machine(host: str) -> bool:
    """Whether a host is loopback, by its name or address; no name server is asked."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def run(config: Message, target: Target) -> Result:
    """Makes a check; takes as long as it may. To be called in a thread."""
    began = time.perf_counter()
    try:
        if config.WhichOneof("check_request_type") == "tcp_check":
            socket.create_connection((_address(target), target.port), timeout=_seconds(config)).close()
            return Result(True, (time.perf_counter() - began) * 1000)
        status, body = _ask(config, target)
    except (OSError, http.client.HTTPException) as error:
        return Result(False, (time.perf_counter() - began) * 1000, error=str(error) or type(error).__name__)
    took = (time.perf_counter() - began) * 1000
    mismatch = not all(matches(matcher, body) for matcher in config.content_matchers[:1])
    return Result(accepted(config.http_check, status) and not mismatch, took, status, mismatch)


def accepted(check: Message, status: int) -> bool:
    """Whether a status is one of those that pass; 2xx where none are named."""
    if not check.accepted_response_status_codes:
        return 200 <= status < 300
    for code in check.accepted_response_status_codes:
        kind = code.status_class
        if code.status_value == status or kind == _CLASSES["STATUS_CLASS_ANY"]:
            return True
        if kind and kind == _CLASSES.get(f"STATUS_CLASS_{status // 100}XX"):
            return True
    return False


def matches(matcher: Message, body: bytes) -> bool:
    """Whether a body has, or has not, what a matcher wants."""
    text, option = body.decode(errors="replace"), _MATCHERS[matcher.matcher]
    if option.endswith("MATCHES_REGEX"):
        return (re.search(matcher.content, text) is not None) != option.startswith("NOT_")
    if option.endswith("MATCHES_JSON_PATH"):
        return (_found(matcher, text)) != option.startswith("NOT_")
    return (matcher.content in text) != option.startswith("NOT_")


def _found(matcher: Message, text: str) -> bool:
    try:
        value = json.loads(text)
        for key in re.findall(r"\.(\w+)|\[(\d+)\]", matcher.json_path_matcher.json_path):
            value = value[key[0]] if key[0] else value[int(key[1])]
    except (ValueError, LookupError, TypeError):
        return False
    shown = value if isinstance(value, str) else json.dumps(value)
    if matcher.json_path_matcher.json_matcher == 2:  # REGEX_MATCH
        return re.search(matcher.content, shown) is not None
    return matcher.content in (shown, json.dumps(value))


def _ask(config: Message, target: Target) -> tuple[int, bytes]:
    check, seconds = config.http_check, _seconds(config)
    headers = {"User-Agent": "GoogleStackdriverMonitoring-UptimeChecks(https://cloud.google.com/monitoring)"}
    headers |= {name: value for name, value in check.headers.items() if name.isprintable() and value.isprintable()}
    if check.HasField("auth_info"):
        secret = f"{check.auth_info.username}:{check.auth_info.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
    posting = check.request_method == METHODS["POST"]
    if posting:
        encoded = check.content_type == TYPES["URL_ENCODED"]
        headers["Content-Type"] = "application/x-www-form-urlencoded" if encoded else check.custom_content_type
    if target.tls:
        context = ssl.create_default_context() if check.validate_ssl else ssl._create_unverified_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            _address(target), target.port, timeout=seconds, context=context
        )
    else:
        connection = http.client.HTTPConnection(_address(target), target.port, timeout=seconds)
    path = check.path if check.path.startswith("/") else f"/{check.path}"
    try:
        connection.request("POST" if posting else "GET", target.prefix + path, check.body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_READ)
    finally:
        connection.close()


def _address(target: Target) -> str:
    """A name below .localhost is this machine's, though its resolver may not know it."""
    if not on_this_machine(target.host):
        raise ElsewhereError(target.host)
    return "127.0.0.1" if target.host.endswith(".localhost") else target.host.strip("[]")


def _seconds(config: Message) -> float:
    return float(config.timeout.ToNanoseconds() / 1e9)
