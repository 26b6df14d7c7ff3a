"""What the dispatcher asks of its surroundings, so that it can be tested and read without them.

Owns the shapes alone: the cloud's clock, the journal on disk, the client that carries requests, and who watches.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from local_cloud.engines.attempt import Outcome
from local_cloud.engines.outgoing import Call, Origin, Reply
from local_cloud.engines.queues import Queue
from local_cloud.engines.tasks import Task


class Clock(Protocol):
    """The cloud's clock."""

    def now(self) -> float:
        """Seconds since 1970, as the cloud sees them."""

    def call_at(self, when: float, callback: Callable[[], None], /) -> Any:
        """Calls back when the clock reaches `when`; the result has `cancel()`."""

    def busy(self, what: str, /) -> AbstractContextManager[None]:
        """Marks work in flight, for which a move of the clock waits."""


class Journal(Protocol):
    """Where tasks are kept. Writes take effect in order; `committed` calls back when all before it are on disk."""

    def save(self, queue: str, task: Task) -> None:
        """Writes a task's row."""

    def drop(self, queue: str, task: Task, bury_until: float) -> None:
        """Deletes a task's row; its name is refused until then (0: nobody named it)."""

    def committed(self, callback: Callable[[], None]) -> None:
        """Calls back when what was written so far cannot be lost any more."""


class Carrier(Protocol):
    """The client that carries requests (outgoing.Client)."""

    def send(self, origin: Origin, request: bytes, done: Callable[[Reply], None], head: bool = False) -> Call:
        """Sends one request."""


class Watcher(Protocol):
    """Who is told what happens to tasks: logs and metrics."""

    def answered(self, queue: Queue, task: Task, outcome: Outcome, url: str) -> None:
        """An attempt ended; the task has what comes of it (`gone`, or its next schedule time)."""

    def dropped(self, queue: Queue, task: Task, why: str) -> None:
        """A task was given up."""


class SigningError(Exception):
    """No token can be made for the account that the task names; the text says why."""
