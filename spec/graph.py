"""The drawing: services are nodes, queues and topics are edges, and the questions that permissions are answered from.

Owns the queries; holds no rule. A `System` is what the loader hands out once everything has been checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from spec import names
from spec.adopted import Adopted
from spec.alert import Alert
from spec.board import Board
from spec.channel import Channel
from spec.errors import Finding, UnknownName, choose
from spec.log_metric import LogMetric
from spec.route import Route
from spec.secret import Secret
from spec.service import Service
from spec.slo import Slo
from spec.stack import StackConfig
from spec.task_queue import TaskQueue
from spec.token import HEALTH
from spec.topic import Topic

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Caller:
    """An account that may call a path of a service, and why."""

    account_id: str
    why: Literal["queue", "direct", "breaker", "topic", "schedule", "operator"]
    name: str


@dataclass(frozen=True, slots=True)
class ScheduledCall:
    """One Cloud Scheduler job."""

    service: str
    name: str
    path: str
    cron: str

    @property
    def job(self) -> str:
        """The id of the job."""
        return names.scheduler_job(self.service, self.name)

    @property
    def account_id(self) -> str:
        """The account whose token the job shows."""
        return names.scheduler_account_id(self.service)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """All specs of a project, by name, in the order of their names."""

    root: Path
    services: Mapping[str, Service]
    queues: Mapping[str, TaskQueue]
    secrets: Mapping[str, Secret]
    topics: Mapping[str, Topic] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    metrics: Mapping[str, LogMetric] = field(default_factory=dict)
    slos: Mapping[str, Slo] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    boards: Mapping[str, Board] = field(default_factory=dict)
    #: What was made by hand and taken over as it is, of the stacks that were loaded: `<env>/<kind>.<name>`.
    adopted: Mapping[str, Adopted] = field(default_factory=dict)
    #: Whether one of these stacks has, or had, anything of that kind.
    took_over: bool = False
    stack: StackConfig | None = None
    warnings: tuple[Finding, ...] = field(default=(), repr=False)
    #: Boards that were drawn already (`spec.boards`): they are drawn to be checked, and drawn to be deployed.
    drawn: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    def service(self, name: str) -> Service:
        """Return a service, or raise `UnknownName` with the nearest one."""
        return _get(self.services, name, "service")

    def queue(self, name: str) -> TaskQueue:
        """Return a queue, or raise `UnknownName` with the nearest one."""
        return _get(self.queues, name, "queue")

    def topic(self, name: str) -> Topic:
        """Return a topic, or raise `UnknownName` with the nearest one."""
        return _get(self.topics, name, "topic")

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return what a label's value may stand for in dashboards/, so that what is new is watched unsaid."""
        waiting = {name: queue.waits_for for name, queue in self.queues.items() if queue.waits_for is not None}
        return {
            "@public": tuple(name for name, service in self.services.items() if service.public),
            "@waiting": tuple(waiting),
            "@waiting_for_block": tuple(name for name, what in waiting.items() if what == "block"),
        }

    def topics_into(self, service: str) -> tuple[Topic, ...]:
        """Return the topics that are pushed to a service."""
        return tuple(topic for topic in self.topics.values() if topic.receiver == service)

    def topics_out_of(self, service: str) -> tuple[Topic, ...]:
        """Return the topics that a service may publish to."""
        return tuple(topic for topic in self.topics.values() if service in topic.publishers)

    def queues_into(self, service: str) -> tuple[TaskQueue, ...]:
        """Return the queues that deliver to a service."""
        return tuple(queue for queue in self.queues.values() if queue.receiver == service)

    def queues_out_of(self, service: str) -> tuple[TaskQueue, ...]:
        """Return the queues that a service may enqueue to."""
        return tuple(queue for queue in self.queues.values() if service in queue.senders)

    def routes_of(self, service: str) -> dict[str, Route]:
        """Return the routes on which a service chooses, by name: those of hops that it sends over, and its own."""
        sent_over = {queue.name for queue in self.queues_out_of(service)}
        return {
            name: route for name, route in self.routes.items() if service == route.service or route.queue in sent_over
        }

    def reads_record(self, service: str) -> bool:
        """Whether a service chooses: on a route, or between two revisions of whom it sends to."""
        return bool(self.queues_out_of(service) or self.routes_of(service))

    def direct_hops_into(self, service: str) -> tuple[TaskQueue, ...]:
        """Return the queues into a service whose senders may call it themselves, whatever share does so now."""
        hops = {route.queue for route in self.routes.values() if route.is_hop}
        return tuple(queue for queue in self.queues_into(service) if queue.name in hops)

    def breakers_into(self, service: str) -> tuple[TaskQueue, ...]:
        """Return the queues into a service whose senders ask for its health before they send."""
        return tuple(queue for queue in self.queues_into(service) if queue.token.breaker is not None)

    def consumers(self, secret: str) -> tuple[Service, ...]:
        """Return the services that read a secret."""
        return tuple(service for service in self.services.values() if secret in service.secrets)

    def schedules(self, service: str | None = None) -> tuple[ScheduledCall, ...]:
        """Return the scheduled calls of one service, or of all."""
        chosen = self.services.values() if service is None else (self.service(service),)
        return tuple(
            ScheduledCall(node.name, name, schedule.path, schedule.cron)
            for node in chosen
            for name, schedule in sorted(node.schedules.items())
        )

    def callers(self, service: str) -> dict[str, tuple[Caller, ...]]:
        """Return who may call each guarded path of a service: queues, senders, topics, its scheduler, the operator.

        A sender may as long as its hop is a route, so that going back to the direct way waits for no permission.
        """
        found: dict[str, list[Caller]] = {}
        for queue in self.queues_into(service):
            found.setdefault(queue.path, []).append(Caller(names.invoker_account_id(queue.name), "queue", queue.name))
        for queue in self.direct_hops_into(service):
            senders = [Caller(names.service_account_id(sender), "direct", queue.name) for sender in queue.senders]
            found[queue.path] += senders
        for queue in self.breakers_into(service):
            asking = [Caller(names.service_account_id(sender), "breaker", queue.name) for sender in queue.senders]
            found.setdefault(HEALTH, []).extend(asking)
        for topic in self.topics_into(service):
            found.setdefault(topic.path, []).append(Caller(names.push_account_id(topic.name), "topic", topic.name))
        for call in self.schedules(service):
            found.setdefault(call.path, []).append(Caller(call.account_id, "schedule", call.name))
        for path in self.service(service).operator_paths:
            found.setdefault(path, []).append(Caller(names.OPERATOR_ACCOUNT_ID, "operator", "operator"))
        return {path: tuple(found[path]) for path in sorted(found)}

    def invokers(self, service: str) -> tuple[str, ...]:
        """Return the account ids that need run.invoker on a service."""
        return tuple(sorted({caller.account_id for callers in self.callers(service).values() for caller in callers}))

    def account_ids(self) -> dict[str, str]:
        """Return every service account that the system needs, each with what it is for."""
        accounts = {names.OPERATOR_ACCOUNT_ID: "people and CI that operate the services"}
        if any(service.database for service in self.services.values()):
            accounts[names.MIGRATOR_ACCOUNT_ID] = "migrates the database"
        for service in self.services.values():
            accounts[names.service_account_id(service.name)] = f"service {service.name}"
            if service.schedules:
                accounts[names.scheduler_account_id(service.name)] = f"schedules of {service.name}"
        for queue in self.queues.values():
            accounts[names.invoker_account_id(queue.name)] = f"dispatches of {queue.name}"
        for topic in self.topics.values():
            accounts[names.push_account_id(topic.name)] = f"pushes of {topic.name}"
        return dict(sorted(accounts.items()))


def _get(kinds: Mapping[str, Kind], name: str, noun: str) -> Kind:
    try:
        return kinds[name]
    except KeyError:
        raise UnknownName(f"there is no {noun} {name!r}; {choose(name, kinds, noun=noun)}") from None
