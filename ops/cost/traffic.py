"""What payments use: the table of flows, held against the specs so that neither names what the other lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

import spec

TABLE = Path(__file__).with_name("traffic.yaml")
#: Flows that no mix contains unless it is asked for: they are shown beside ours.
BESIDE = frozenset(("documents",))


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Flow(_Table):
    """One payment: calls of public doors by service, tasks by queue, messages by topic."""

    calls: Mapping[str, float] = {}
    tasks: Mapping[str, float] = {}
    messages: Mapping[str, float] = {}


class Bytes(_Table):
    """What a request writes and sends, and a message weighs."""

    log: int
    egress: int
    message: int


class Storage(_Table):
    """GiB: of a payment's rows, of the smallest disk, of the images."""

    payment: float
    least: float
    images: float


class Traffic(_Table):
    """The table."""

    mix: Mapping[str, float]
    flows: Mapping[str, Flow]
    rare: tuple[str, ...]
    attempts: Mapping[str, float]
    seconds: Mapping[str, float]
    bytes: Bytes
    storage: Storage

    def uses(self, mix: Mapping[str, float]) -> Flow:
        """One average payment of a mix of flows, given in per cent."""
        calls: dict[str, float] = {}
        tasks: dict[str, float] = {}
        messages: dict[str, float] = {}
        for name, percent in mix.items():
            flow = self.flows[name]
            for total, part in ((calls, flow.calls), (tasks, flow.tasks), (messages, flow.messages)):
                for key, number in part.items():
                    total[key] = total.get(key, 0.0) + number * percent / 100
        return Flow(calls=calls, tasks=tasks, messages=messages)


@cache
def read() -> Traffic:
    """The table."""
    return Traffic.model_validate(yaml.safe_load(TABLE.read_text()))


def misfits(traffic: Traffic, system: spec.System) -> Iterator[str]:
    """What the table names and the specs do not have, and the reverse."""
    queues = {name for flow in traffic.flows.values() for name in flow.tasks} | set(traffic.rare)
    yield from (f"the table names no flow for queue {name}" for name in sorted(system.queues.keys() - queues))
    yield from (
        f"the specs have no queue {name}" for name in sorted((queues | set(traffic.attempts)) - set(system.queues))
    )
    topics = {name for flow in traffic.flows.values() for name in flow.messages}
    yield from (f"the table names no flow for topic {name}" for name in sorted(system.topics.keys() - topics))
    yield from (f"the specs have no topic {name}" for name in sorted(topics - system.topics.keys()))
    called = {name for flow in traffic.flows.values() for name in flow.calls} | set(traffic.seconds)
    yield from (f"the specs have no service {name}" for name in sorted(called - system.services.keys()))
