"""What the drawing shows: services, queues and topics as nodes, who sends and who receives as arrows between them.

With `permissions` also who else may call or read: everybody, schedules, the operator, secrets, Pub/Sub's agent, each
arrow with its role. Sorted by name, so that the same specs give the same drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import spec
from spec import names, permissions, timeline

Kind = Literal["service", "queue", "topic", "outside", "secret", "caller"]

#: Who calls public doors.
OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Node:
    """A thing, what is said below its name, and what a pointer on it shows."""

    name: str
    kind: Kind
    below: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one thing to another, and the role that allows it."""

    tail: str
    head: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Nodes by name, and arrows."""

    nodes: dict[str, Node]
    arrows: tuple[Arrow, ...]


def draw(system: spec.System, *, with_permissions: bool = False) -> Drawing:
    """The drawing of a system."""
    nodes = [Node(name, "service", _below(service), service.description) for name, service in system.services.items()]
    nodes += [Node(queue.name, "queue", _pace(queue), timeline.stop_rule(queue)) for queue in system.queues.values()]
    nodes += [Node(topic.name, "topic", "ordered" if topic.ordered else "", "") for topic in system.topics.values()]
    arrows = [Arrow(OUTSIDE, name) for name, service in system.services.items() if service.public]
    if arrows:
        nodes.append(Node(OUTSIDE, "outside", "", "partners and payers: their calls are signed"))
    for queue in system.queues.values():
        arrows += [Arrow(sender, queue.name) for sender in queue.senders] + [Arrow(queue.name, queue.receiver)]
    for topic in system.topics.values():
        arrows += [Arrow(one, topic.name) for one in topic.publishers] + [Arrow(topic.name, topic.receiver)]
    if with_permissions:
        nodes, arrows = _with_permissions(system, nodes, arrows)
    return Drawing({node.name: node for node in nodes}, tuple(arrows))


def _below(service: spec.Service) -> str:
    parts = ["public"] if service.public else []
    return ", ".join([*parts, *(f"{name} {one.cron}" for name, one in sorted(service.schedules.items()))])


def _pace(queue: spec.TaskQueue) -> str:
    return f"{queue.rate.dispatches_per_second:g}/s, {queue.rate.concurrent} at once"


def _with_permissions(system: spec.System, nodes: list[Node], arrows: list[Arrow]) -> tuple[list[Node], list[Arrow]]:
    """Every arrow with its role, and the things that only permissions join."""
    edges = {names.invoker_account_id(queue.name): queue.name for queue in system.queues.values()}
    edges |= {names.push_account_id(topic.name): topic.name for topic in system.topics.values()}
    known = {node.name for node in nodes}
    roles = {(OUTSIDE, name): permissions.INVOKER for name in system.services}
    schedulers = {names.scheduler_account_id(name) for name in system.services}  # said below the services' names
    for grant in permissions.grants(system):
        tail = OUTSIDE if grant.member == permissions.EVERYBODY else edges.get(grant.member, grant.member)
        if grant.kind in ("project", "subscription", "account") or grant.member in schedulers:
            continue  # acting as an edge's account is said by the edge's own arrows
        pair = (grant.resource, tail) if grant.kind == "secret" else (tail, grant.resource)
        roles[pair] = grant.role
        tails: Kind = "secret" if grant.kind == "secret" else "caller"
        nodes += [Node(name, kind) for name, kind in zip(pair, (tails, "topic"), strict=True) if name not in known]
        known |= set(pair)
    drawn = {(arrow.tail, arrow.head) for arrow in arrows}
    arrows = [Arrow(arrow.tail, arrow.head, _short(roles.get((arrow.tail, arrow.head), ""))) for arrow in arrows]
    added = sorted(pair for pair in roles if pair not in drawn and pair[0] != OUTSIDE)
    return nodes, arrows + [Arrow(tail, head, _short(roles[tail, head])) for tail, head in added]


def _short(role: str) -> str:
    return role.rpartition("/")[2]
