"""What a service declares: visible lists of its doors and what they need. `app` makes an application of it.

handlers   behind a queue: one message in, one outcome out
subscriptions  the same, pushed by a topic
public     anybody may call; the handler verifies a signature itself
schedules  Cloud Scheduler's calls
operator   people with the operator's account
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service_code.kit.call import Call
from service_code.kit.messages import Message
from service_code.kit.outbox import Minter
from service_code.kit.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a person or a partner: always JSON."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A request at a public or operator door, as plain data."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    path: Mapping[str, str]
    body: bytes
    #: The verified account at an operator's door; nobody at a public one.
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Handler:
    """A door behind a queue."""

    path: str
    message: type[Message]
    run: Callable[[Any, Call], Awaitable[Outcome]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """A door that a topic is pushed to; what it can never handle is published to `dead_letters`."""

    path: str
    message: type[Message]
    run: Callable[[Any, Call], Awaitable[Outcome]]
    dead_letters: str


@dataclass(frozen=True, slots=True)
class Public:
    """A door for anybody."""

    method: str
    path: str
    run: Callable[[Incoming, Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A door for the scheduler."""

    path: str
    run: Callable[[Call], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Operator:
    """A door for operators."""

    method: str
    path: str
    run: Callable[[Incoming, Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Component:
    """Something outside that the service uses; a needed one that is down makes the service unhealthy."""

    name: str
    check: Callable[[], Awaitable[None]]
    needed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """Everything that a service is, seen from the kit."""

    name: str
    handlers: Sequence[Handler] = ()
    subscriptions: Sequence[Subscription] = ()
    public: Sequence[Public] = ()
    schedules: Sequence[Schedule] = ()
    operator: Sequence[Operator] = ()
    components: Sequence[Component] = ()
    minters: Mapping[str, Minter] = field(default_factory=dict)
