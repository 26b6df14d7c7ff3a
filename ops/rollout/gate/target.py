"""Which series belong to which side of a rollout.

A release's sides are two revisions of one service. A hop's are the requests at its receiver's door that a queue brought
and those that its sender made itself. Of another route the lines say which way was chosen (`ways` of the kit), or the
door does: some doors are on one of the ways alone, and which, the specs do not say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

import spec
from ops.errors import OpsError

#: (service, path)
Door = tuple[str, str]
#: Queues and topics by which nothing goes but the payments of one way of a route. Where a route's ways share all doors
#: before these, the line at the choice says the way.
ALONE: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "payout": {
        "single": ("hostpay-execution-queue",),
        "staged": (
            "gcsplit-hostpay-trigger-queue",
            "gchostpay-status-check-queue",
            "gchostpay-status-response-queue",
            "gchostpay-payment-execute-queue",
            "gchostpay3-retry-queue",
        ),
    },
    "estimate": {"queue": ("gcsplit-estimate-queue", "gcsplit-estimate-response-queue")},
    "registration": {"queue": ("registration-processing-queue",)},
    "paynow": {"queue": ("paynow-events",)},
}
#: Routes that no payment takes.
NO_PAYMENTS: Final = ("registration", "paynow")
#: How the kit's lines say how a message came.
DIRECT, QUEUED = "direct", "queue"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is rolled out, with the names of its sides: the old one and the new one."""

    name: str
    stable: str
    canary: str
    services: tuple[str, ...]
    is_release: bool
    #: Doors that belong to one side whatever the line says.
    doors: Mapping[Door, str] = field(default_factory=dict)
    #: The hop's door, at which the way tells the sides apart.
    hop: Door | None = None
    #: Doors behind queues whose tasks wait by design: their retries are no failures, and their times not ours.
    waiting: frozenset[Door] = frozenset()
    #: Doors at which messages come, behind queues and topics.
    messages: frozenset[Door] = frozenset()
    public: frozenset[Door] = frozenset()
    #: How long the tokens at each service's doors live, in seconds.
    windows: Mapping[str, float] = field(default_factory=dict)
    #: Queues of which the depth is watched.
    queues: tuple[str, ...] = ()
    #: Whether payments take a side, so that gcsplit's sweeper says how those of each stand.
    pays: bool = True

    def side(self, labels: Mapping[str, str]) -> str | None:
        """The side of a series by its labels; None for one that is of neither."""
        if self.is_release:
            said = labels.get("revision_name", "")
        elif self.hop is not None:
            said = labels.get("way", "") if door_of(labels) == self.hop else ""
        else:
            said = labels.get(self.name) or self.doors.get(door_of(labels), "")
        return said if said in (self.stable, self.canary) else None


def door_of(labels: Mapping[str, str]) -> Door:
    """The door that a series is about."""
    return labels.get("service_name", ""), labels.get("endpoint", "")


def release(system: spec.System, service: str, stable: str, canary: str) -> Target:
    """A release of a service."""
    if stable == canary:
        raise OpsError(
            f"{canary} is {service}'s stable revision", why="there is nothing to compare", fix="start a rollout"
        )
    system.service(service)
    return Target(
        name=service, stable=stable, canary=canary, services=(service,), is_release=True,
        **_common(system, (service,), [queue.name for queue in system.queues_into(service)]),
    )  # fmt: skip


def route(system: spec.System, name: str) -> Target:
    """A route between its old way and its new one."""
    found = system.routes[name]
    if found.is_hop:
        queue = system.queue(found.queue or "")
        return Target(
            name=name, stable=DIRECT, canary=QUEUED, services=(queue.receiver,), is_release=False,
            hop=(queue.receiver, queue.path), **_common(system, (queue.receiver,), [queue.name]),
        )  # fmt: skip
    if name not in ALONE:
        raise OpsError(
            f"the route {name} has no gates",
            why="which doors are on one of its ways alone stands in ops/rollout/gate/target.py",
            fix=f"write its queues there, as those of {', '.join(ALONE)}",
        )
    doors = {door: way for way, edges in ALONE[name].items() for door in _doors(system, edges)}
    services = tuple(sorted({found.service or "", *(service for service, _ in doors)}))
    queues = [edge for edge in ALONE[name].get(found.new, ()) if edge in system.queues]
    return Target(
        name=name, stable=found.old, canary=found.new, services=services, is_release=False, doors=doors,
        pays=name not in NO_PAYMENTS,
        **_common(system, services, queues),
    )  # fmt: skip


def _common(system: spec.System, services: tuple[str, ...], queues: Iterable[str]) -> dict[str, Any]:
    """What follows from the services: which doors wait by design or are public, and how long tokens live there."""
    into = [queue for queue in system.queues.values() if queue.receiver in services]
    steady = {(queue.receiver, queue.path) for queue in into if queue.waits_for is None}
    waiting = {(queue.receiver, queue.path) for queue in into} - steady
    windows: dict[str, float] = {}
    for queue in into:
        if queue.token_window is not None:
            windows[queue.receiver] = min(queue.token_window.seconds, windows.get(queue.receiver, inf))
    pushed = {(topic.receiver, topic.path) for topic in system.topics.values() if topic.receiver in services}
    return {
        "waiting": frozenset(waiting),
        "messages": frozenset(steady | waiting | pushed),
        "public": frozenset((name, path) for name in services for path in system.service(name).public),
        "windows": windows,
        "queues": tuple(name for name in queues if system.queue(name).waits_for is None),
    }


def _doors(system: spec.System, edges: Iterable[str]) -> list[Door]:
    found = []
    for edge in edges:
        queue, topic = system.queues.get(edge), system.topics.get(edge)
        if queue is not None:
            found.append((queue.receiver, queue.path))
        elif topic is not None:
            found.append((topic.receiver, topic.path))
    return found
