"""A queued task as the dispatcher holds it, and the row that it is on disk.

Owns the one in-memory form of a task (slots and encoded bytes, since a hundred thousand of them wait at once) and its
encoding. The request itself is opaque here: `spec` is what the API encoded, and it reads it back when the task is
dispatched. Leaves alone: when a task is due, and what is allowed in one.
"""

import struct
from typing import Any, NamedTuple

from local_cloud.engines.backoff import RetryPolicy

#: version, named, dispatched, responses, executions, created, schedule, first dispatch,
#: then of the last attempt: schedule, dispatch, response, HTTP status, code; lengths of id and message, which follow.
_HEAD = struct.Struct("<BBIIIddddddHHHH")
_VERSION = 1


class LastAttempt(NamedTuple):
    """The last attempt. `response` is 0 while it runs; `status` is 0 when no HTTP answer came."""

    schedule: float
    dispatch: float
    response: float = 0.0
    status: int = 0
    code: int = 0
    message: str = ""


class Task:
    """One task. `ticket` is its place among the due ones (0: not waiting), `inflight` its running attempts."""

    __slots__ = (
        "created",
        "dispatched",
        "executions",
        "first",
        "gone",
        "id",
        "inflight",
        "last",
        "named",
        "responses",
        "retry",
        "schedule",
        "spec",
        "ticket",
    )

    def __init__(
        self,
        task_id: str,
        spec: bytes,
        *,
        created: float,
        schedule: float,
        named: bool,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.id = task_id
        self.spec = spec
        self.created = created
        self.schedule = schedule
        self.named = named
        self.retry = retry
        self.dispatched = 0
        self.responses = 0
        self.executions = 0
        self.first = 0.0
        self.last: LastAttempt | None = None
        self.ticket = 0
        self.inflight = 0
        self.gone = False

    def encode(self) -> bytes:
        """The task's row."""
        last = self.last or LastAttempt(0.0, 0.0)
        task_id, message = self.id.encode(), last.message.encode()[:60_000]
        head = _HEAD.pack(
            _VERSION,
            self.named,
            self.dispatched,
            self.responses,
            self.executions,
            self.created,
            self.schedule,
            self.first,
            last.schedule,
            last.dispatch,
            last.response,
            last.status,
            last.code,
            len(task_id),
            len(message),
        )
        return head + task_id + message + self.spec


def decode(row: bytes) -> Task:
    """The task that a row describes. An attempt that was running when the row was written stays counted."""
    fields: tuple[Any, ...] = _HEAD.unpack_from(row)
    version, named, dispatched, responses, executions, created, schedule, first, *last, id_size, size = fields
    if version != _VERSION:
        raise ValueError(f"a task was stored in version {version}, this code reads version {_VERSION}")
    message = _HEAD.size + id_size
    spec = message + size
    task = Task(row[_HEAD.size : message].decode(), row[spec:], created=created, schedule=schedule, named=bool(named))
    task.dispatched, task.responses, task.executions, task.first = dispatched, responses, executions, first
    if last[1]:
        at, dispatch, response, status, code = last
        text = row[message:spec].decode(errors="replace")
        task.last = LastAttempt(at, dispatch, response, status, code, text)
    return task
