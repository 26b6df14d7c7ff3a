"""What a handler may decide. The worker alone turns it into an HTTP answer (DESIGN section 3).

Next, Done and Dead commit what the handler wrote, together with the outcome's own rows; Retry takes it back. A service
without a database answers Forward in the place of Next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from service_code.kit.messages import Message

#: The key of a payment's first message for a queue.
FIRST = "1"
#: Work of the same request after the commit, such as a broadcast. What it cannot do, a later delivery or sweep does.
Then = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """A message for a queue; `key` tells apart the sends of one payment to one queue and is kept for ever."""

    queue: str
    message: Message
    unique_id: str
    key: str = FIRST
    after: timedelta | None = None
    trace: str = ""

    @property
    def outbox_id(self) -> str:
        """Return the idempotency key of this send: its hash is the task's name."""
        return f"{self.queue}:{self.unique_id}:{self.key}"


@dataclass(frozen=True, slots=True)
class Next:
    """Go on at another station: the message goes through the outbox in the handler's transaction."""

    queue: str
    message: Message
    after: timedelta | None = None
    then: Then | None = None
    key: str = FIRST


@dataclass(frozen=True, slots=True)
class Forward:
    """Go on at another station, from a service that keeps nothing: the task is made before this one is acknowledged.

    `key` names the task: a delivery that comes again makes the same one, which the queue refuses as existing.
    """

    queue: str
    message: Message
    key: str


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to do here."""

    status: str = "done"


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: the queue calls again by its backoff, which no answer can change, and nothing is written."""

    why: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Never: stored and alerted before it is acknowledged. `code` is for programs, `why` for people."""

    code: str
    why: str


Outcome = Next | Forward | Done | Retry | Dead
