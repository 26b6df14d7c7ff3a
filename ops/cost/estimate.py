"""A month's bill, line by line: units of every priced item for every resource of the specs, and what they cost.

Free allotments belong to the project, not to a resource, so a line's cost is its share of what the item costs in all.
A request is billed alone: instances that serve several at once cost less than this says. Source of what is billed:
the pages that `prices.yaml` names; DECISIONS 21 (a task is at least two operations: its creation and each attempt).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import spec
from ops.cost import edge, keeping, shares, watching
from ops.cost.month import DAYS, HOURS, SECONDS
from ops.cost.prices import Prices
from ops.cost.traffic import Traffic
from spec import cron

#: The least time that Cloud Run bills a request for, in seconds.
LEAST_SECONDS = 0.1
#: An instance lives about so long without a request; each reads its secrets when it starts.
INSTANCE_LIFE = 900
#: The least that Pub/Sub bills a message as.
LEAST_MESSAGE = 1000

_CUSTOM = re.compile(r"db-(?:custom|perf-optimized-N)-(\d+)(?:-(\d+))?")
_SHARED = {"db-f1-micro": "sql.micro", "db-g1-small": "sql.small"}


class UnknownTierError(ValueError):
    """The price table has no such database machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """How much is paid: payments a day, of which flows (per cent), and deliveries that fail, per cent of all."""

    payments_per_day: float
    mix: Mapping[str, float]
    failing_percent: float = 1.0

    @property
    def payments(self) -> float:
        """Payments of the month."""
        return self.payments_per_day * DAYS


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """So many units of an item that one resource uses."""

    kind: str
    name: str
    item: str
    units: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Billed(Line):
    """A line with its share of what the item costs."""

    usd: float


def bill(
    system: spec.System, below: spec.StackConfig, volume: Volume, prices: Prices, traffic: Traffic
) -> list[Billed]:
    """The bill of one environment: its specs, and the config of its foundation, which has the database."""
    used = [*_lines(system, volume, traffic), *_database(system, below, volume, traffic)]
    used += _kept(used, system, below, traffic)
    lines = [line for line in used if line.units > 0]
    units: dict[str, float] = defaultdict(float)
    for line in lines:
        units[line.item] += line.units
    return [
        Billed(
            kind=line.kind,
            name=line.name,
            item=line.item,
            units=line.units,
            usd=prices[line.item].of(units[line.item]) * line.units / units[line.item],
        )
        for line in lines
    ]


def operations(tasks: float, attempts: float) -> float:
    """Billable operations of so many tasks: each is created once and attempted so often."""
    return tasks * (1 + attempts)


def _lines(system: spec.System, volume: Volume, traffic: Traffic) -> Iterator[Line]:
    one = traffic.uses(volume.mix)
    again = 1 / (1 - volume.failing_percent / 100)
    requests: dict[str, float] = defaultdict(float)
    for name, number in one.calls.items():
        requests[name] += number * volume.payments
    for kind, name, item, units in edge.used(system, requests):
        yield Line(kind=kind, name=name, item=item, units=units)
    for name, number in one.tasks.items():
        tasks, attempts = number * volume.payments, traffic.attempts.get(name, 1.0) * again
        requests[system.queue(name).receiver] += tasks * attempts
        yield Line(kind="queue", name=name, item="tasks.operation", units=operations(tasks, attempts))
    for name, number in one.messages.items():
        messages, size = number * volume.payments, max(LEAST_MESSAGE, traffic.bytes.message)
        requests[system.topic(name).receiver] += messages * again
        yield Line(kind="topic", name=name, item="pubsub.throughput", units=messages * size * (1 + again))
    paid_for = sum(requests.values())
    for call in system.schedules():
        requests[call.service] += runs(call.cron)
        yield Line(kind="schedule", name=call.job, item="scheduler.job", units=1)
    for name, service in system.services.items():
        yield from _service(name, service, requests[name], traffic)
    for kind, name, item, units in shares.used(system, requests):
        yield Line(kind=kind, name=name, item=item, units=units)
    for name in system.secrets:
        yield Line(kind="secret", name=name, item="secrets.version", units=1)
    yield Line(kind="alerts", name="conditions", item="monitoring.condition", units=watching.conditions(system))
    yield Line(kind="alerts", name="series asked for", item="monitoring.returned", units=watching.asked_for(system))
    for name, ingested in watching.points(system, requests):
        yield Line(kind="metric", name=name, item="monitoring.ingest", units=ingested)
    logged = sum(requests.values()) * traffic.bytes.log
    yield Line(kind="logs", name="log lines", item="logging.ingest", units=logged)
    yield Line(kind="network", name="to the internet", item="network.egress", units=paid_for * traffic.bytes.egress)
    yield Line(kind="registry", name="images", item="registry.storage", units=traffic.storage.images)


def _kept(used: Sequence[Line], system: spec.System, below: spec.StackConfig, traffic: Traffic) -> list[Line]:
    """What follows from other lines: whatever is logged is kept, and each read of a secret leaves an entry."""
    reads = sum(line.units for line in used if line.item == "secrets.access")
    logged = sum(line.units for line in used if line.item == "logging.ingest")
    swept = sum(runs(call.cron) for call in system.schedules()) * traffic.bytes.log
    found = keeping.used(below, logged, max(0.0, logged - swept), reads)
    return [Line(kind=kind, name=name, item=item, units=units) for kind, name, item, units in found]


def _service(name: str, service: spec.Service, requests: float, traffic: Traffic) -> Iterator[Line]:
    cpu, memory = float(service.resources.cpu), service.resources.mebibytes / 1024
    busy = requests * max(LEAST_SECONDS, traffic.seconds.get(name, LEAST_SECONDS))
    warm = service.scaling.min * SECONDS
    yield Line(kind="service", name=name, item="run.request", units=requests)
    if service.cpu_always:
        lives = max(warm, busy)
        yield Line(kind="service", name=name, item="run.always_cpu", units=lives * cpu)
        yield Line(kind="service", name=name, item="run.always_memory", units=lives * memory)
    else:
        idle = max(0.0, warm - busy)
        yield Line(kind="service", name=name, item="run.cpu", units=busy * cpu)
        yield Line(kind="service", name=name, item="run.memory", units=busy * memory)
        yield Line(kind="service", name=name, item="run.idle_cpu", units=idle * cpu)
        yield Line(kind="service", name=name, item="run.idle_memory", units=idle * memory)
    starts = min(requests, SECONDS / INSTANCE_LIFE)
    yield Line(kind="service", name=name, item="secrets.access", units=starts * len(service.secrets))


def _database(system: spec.System, stack: spec.StackConfig, volume: Volume, traffic: Traffic) -> Iterator[Line]:
    if not any(service.database for service in system.services.values()):
        return
    machines = 2 if stack.database_standby else 1
    tier, disk = stack.database_tier, traffic.storage.least + volume.payments * traffic.storage.payment
    if tier in _SHARED:
        yield Line(kind="database", name=tier, item=_SHARED[tier], units=HOURS * machines)
    else:
        match = _CUSTOM.fullmatch(tier)
        if match is None:
            raise UnknownTierError(f"the price table has no database machine {tier!r}")
        cpus = int(match[1])
        memory = int(match[2]) / 1024 if match[2] else cpus * 8.0
        yield Line(kind="database", name=tier, item="sql.cpu", units=cpus * HOURS * machines)
        yield Line(kind="database", name=tier, item="sql.memory", units=memory * HOURS * machines)
    yield Line(kind="database", name="disk", item="sql.storage", units=disk * machines)
    yield Line(kind="database", name="backups", item="sql.backup", units=disk)


def runs(entry: str) -> float:
    """How often a job runs in the month, from its five fields."""
    return DAYS * 1440 * cron.share(entry)
