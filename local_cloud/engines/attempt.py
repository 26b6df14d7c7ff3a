"""One attempt of a task: the bytes that go out, and what an answer means.

Owns the request as Cloud Tasks writes it (the X-CloudTasks headers as recorded from the real service, for App Engine's
tasks the same as X-AppEngine, the headers of the task that it ignores or replaces by the HttpRequest reference) and the
status that an attempt leaves behind.
Leaves alone: carrying the bytes (outgoing.py), minting tokens (identity), and when to try again (backoff.py).
"""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from local_cloud.engines.outgoing import Origin, Reply, split_url
from local_cloud.engines.tasks import LastAttempt, Task

#: Header names of a task that Cloud Tasks replaces or drops: it computes them, or they belong to the connection.
REPLACED_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
#: An App Engine task may have a User-Agent of its own.
_REPLACED_FOR_APP_ENGINE = REPLACED_HEADERS - {"user-agent"}
#: Prefixes of header names that are Google's own.
RESERVED_PREFIXES = ("x-google-", "x-appengine-", "x-cloudtasks-")
#: What a receiver sees as the caller.
USER_AGENT = "Google-Cloud-Tasks"
#: Characters of a URL that stay as they are; all others are percent-encoded.
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~-._"
#: Methods whose requests always say how long their body is.
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})

#: google.rpc.Code names by number, as they stand in the message of an attempt's status.
CODE_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
DEADLINE_EXCEEDED, NOT_FOUND, PERMISSION_DENIED, INTERNAL, UNAVAILABLE = 4, 5, 7, 13, 14
TOO_MANY_REQUESTS = 429
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 416: 11, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4}
_STATUSES = {code: status for status, code in _CODES.items()}


class Identity(NamedTuple):
    """Whose token an attempt carries: `audience` for an OIDC token, else `scope` for an access token."""

    email: str
    audience: str = ""
    scope: str = ""


class Target(NamedTuple):
    """Where a task goes and with what, after the queue's overrides."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    deadline: float
    identity: Identity | None = None
    #: An App Engine task: headers by that name, and 429 does not slow the queue down.
    app_engine: bool = False
    #: Why there is nowhere to send it to.
    nowhere: str = ""


class Outcome(NamedTuple):
    """What became of one attempt."""

    status: int
    code: int
    message: str
    retry_after: float = 0.0

    @property
    def ok(self) -> bool:
        """Only 2xx is success."""
        return 200 <= self.status < 300


@lru_cache(maxsize=4096)
def encode_url(url: str) -> str:
    """The URL as it is stored and sent: unsafe characters encoded, what is encoded already left alone."""
    return quote(url, safe=_URL_SAFE)


def request_bytes(target: Target, task: Task, queue_id: str, authorization: str) -> tuple[Origin, bytes]:
    """The origin to connect to and the whole request. Asked while `task.last` is still the attempt before."""
    origin, head = _own_part(
        target.method, target.url, tuple(target.headers), target.app_engine, signed=bool(authorization)
    )
    head += task_headers(task, queue_id, app_engine=target.app_engine)
    if authorization:
        head += f"Authorization: {authorization}\r\n"
    if target.body or target.method in _WITH_LENGTH:
        head += f"Content-Length: {len(target.body)}\r\n"
    return origin, head.encode() + b"\r\n" + target.body


@lru_cache(maxsize=512)
def _own_part(
    method: str, url: str, headers: tuple[tuple[str, str], ...], app_engine: bool, *, signed: bool
) -> tuple[Origin, str]:
    """What tasks of one address and the same headers have in common: the request down to the task's own headers."""
    origin, host, path = split_url(url)
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
    replaced = _REPLACED_FOR_APP_ENGINE if app_engine else REPLACED_HEADERS  # there User-Agent is the task's own
    for name, value in headers:
        lower = name.lower()
        if lower in replaced or lower.startswith(RESERVED_PREFIXES):
            continue
        if signed and lower == "authorization":
            continue
        head += f"{name}: {value}\r\n"
    return origin, head if app_engine else f"{head}User-Agent: {USER_AGENT}\r\n"


def task_headers(task: Task, queue_id: str, *, app_engine: bool = False) -> str:
    """What the receiver is told about the task. The attempt itself is counted in `task.dispatched` already."""
    family = "X-AppEngine" if app_engine else "X-CloudTasks"
    told = (
        f"{family}-QueueName: {queue_id}\r\n{family}-TaskName: {task.id}\r\n"
        f"{family}-TaskRetryCount: {max(task.dispatched - 1, 0)}\r\n"
        f"{family}-TaskExecutionCount: {task.executions}\r\n{family}-TaskETA: {task.schedule:.6f}\r\n"
    )
    if task.dispatched > 1:
        response, reason = _previous(task.last, app_engine)
        told += f"{family}-TaskPreviousResponse: {response}\r\n{family}-TaskRetryReason: {reason}\r\n"
    return told


def _previous(previous: LastAttempt | None, app_engine: bool) -> tuple[int, str]:
    """How the attempt before ended, as the real service was seen to say it.

    HTTP tasks hear of a missed deadline as 504 and never get a reason. Other ends without an answer are told by the
    status that goes with their code, which is our own reading of that.
    """
    status = previous.status if previous is not None else 0
    if app_engine:
        return status, "App Error" if status else "Instance Unavailable"
    return status or _STATUSES.get(previous.code if previous is not None else 0, 503), ""


@lru_cache(maxsize=256)
def outcome_of(reply: Reply) -> Outcome:
    """What an answer, or its absence, means for the task."""
    if not reply.status:
        return Outcome(0, UNAVAILABLE, f"UNAVAILABLE({UNAVAILABLE}): {reply.error}")
    code = code_of(reply.status)
    message = "" if code == 0 else f"{CODE_NAMES[code]}({code}): HTTP status code {reply.status}"
    return Outcome(reply.status, code, message, _seconds(reply.retry_after))


def code_of(status: int) -> int:
    """The google.rpc.Code of an HTTP status."""
    if 200 <= status < 300:
        return 0
    if status in _CODES:
        return _CODES[status]
    if 400 <= status < 500:
        return 9
    return 13 if 500 <= status < 600 else 2


def counts_as_execution(outcome: Outcome, *, app_engine: bool = False) -> bool:
    """TaskExecutionCount counts answers; those of 5xx only for App Engine's tasks."""
    return outcome.status > 0 if app_engine else 0 < outcome.status < 500


def _seconds(retry_after: str) -> float:
    """Retry-After in seconds; the date form is not heeded (our own choice)."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 7 else 0.0
