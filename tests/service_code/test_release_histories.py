"""Whole histories of releases: percent up and down, promotions, rollbacks, lost sends, sweeps and retries in any order.

The receiver is gchostpay1: three services send to it, one of them without a database. Within what lies between two
promotions or rollbacks a payment meets one revision of it, also while some instances have not read the newest record
yet. What an operator's commands keep is kept here too: a release starts at 0 % until all have read the record, and not
before the tasks of the one before have left the canary's tag (docs/adr/release-canary.md).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_code.kit import settings as settings_module
from service_code.kit.clock import moment
from service_code.kit.db import Database
from service_code.kit.news import ChainNews
from service_code.kit.outbox import Outbox
from service_code.kit.outcomes import Send
from service_code.kit.record import NONE, Record, Release
from service_code.kit.releases import STABLE, Releases, choose, decode
from service_code.kit.routes import Routes
from tests.dose import share
from tests.service_code.outer import Outer
from tests.service_code.world import CANARY, Clock, StaticAccess, World, queues_into

RECEIVER, BETWEEN = "gchostpay1", "gchostpay2"
#: sender -> its queue; the last one goes by way of the service without a database.
SENDERS = {
    "gcsplit": "gcsplit-hostpay-trigger-queue",
    "gchostpay3": "gchostpay-payment-response-queue",
    "gchostpay1": "gchostpay-status-check-queue",
}
ONWARD = "gchostpay-status-response-queue"

Event = tuple[str, int, int, bool]
#: What happens, to which payment or task, how, and whether who does it has yet to read the newest record.
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "lose", "resend", "deliver", "deliver", "end", "percent", "start", "over"]),
        st.integers(0, 5),
        st.integers(0, 100),
        st.booleans(),
    ),
    max_size=60,
)


class Records:
    """The record as it is and as it was before the last step."""

    def __init__(self) -> None:
        self.now = self.before = NONE
        self.stale = False

    async def latest(self) -> Record:
        return self.before if self.stale else self.now

    def write(self, release: Release | None) -> None:
        self.before, self.now = self.now, Record(routes={}, releases={RECEIVER: release} if release else {})


@dataclass
class Task:
    """A task, or a row that became none yet."""

    sender: str
    queue: str
    payment: str
    pins: dict[str, str]
    tag: bool = False
    header: str = ""


class Remembered(Releases):
    """Pins in memory: the table's rules without the table."""

    def __init__(self, given: Any, records: Any, pins: dict[tuple[str, str], str], sent: set[tuple[str, str]]) -> None:
        super().__init__(given, records)
        self.pins, self.sent = pins, sent

    async def _write(self, _connection: Any, wishes: Any, queues: Any, _at: Any) -> dict[tuple[str, str], str]:
        for (payment, service), wish in wishes.items():
            met = any((payment, queue) in self.sent for queue in queues.get(service, ()))
            self.pins.setdefault((payment, service), STABLE if met else wish)
        return {key: self.pins[key] for key in wishes}


class Memory:
    """A ground without a database."""

    def __init__(self, records: Records) -> None:
        pins: dict[tuple[str, str], str] = {}
        self.sent: set[tuple[str, str]] = set()
        self.releases = {name: Remembered(settings_of(name), records, pins, self.sent) for name in (*SENDERS, BETWEEN)}

    async def write(self, sender: str, queue: str, payment: str) -> dict[str, str]:
        (pins,) = await self.releases[sender].pin(None, [(queue, payment)], None, taken_in=False)  # type: ignore[arg-type]
        self.sent.add((payment, queue))
        return pins


class Stored:
    """A ground of real rows, written by the outbox as each service's own role."""

    def __init__(self, outboxes: dict[str, tuple[Database, Outbox]], releases: dict[str, Releases]) -> None:
        self.outboxes = outboxes
        self.releases = releases
        self.written = 0

    async def write(self, sender: str, queue: str, payment: str) -> dict[str, str]:
        self.written += 1
        message = ChainNews(unique_id=payment, generation=1, said="mined")
        send = Send(queue=queue, message=message, unique_id=payment, key=str(self.written))
        database, outbox = self.outboxes[sender]
        async with database.transaction() as connection:
            (row,) = await outbox.write(connection, [send], moment(Clock()))
        found = await database.row("SELECT pins FROM outbox WHERE id = $1", send.outbox_id)
        assert found is not None
        assert found["pins"] == row.pins
        return dict(found["pins"] or {})


@cache
def settings_of(service: str, database: str = "postgresql://{user}@127.0.0.1/x") -> settings_module.Settings:
    environ = World(Outer(), database, "", Clock()).environ(service)
    return settings_module.read(service, environ, {}, stateless=service == BETWEEN)


@asynccontextmanager
async def stored(database: str, records: Any) -> AsyncIterator[Stored]:
    outboxes: dict[str, tuple[Database, Outbox]] = {}
    releases: dict[str, Releases] = {}
    nothing: Any = SimpleNamespace()
    for name in (*SENDERS, BETWEEN):
        given = settings_of(name, database)
        releases[name] = Releases(given, records)
        if name == BETWEEN:
            continue
        db = Database(given.database_url, StaticAccess(), name, 1)
        await db.open()
        routes = Routes({}, records)
        outboxes[name] = db, Outbox(
            name, db, Clock(), {}, tasks=nothing, direct=nothing, routes=routes, releases=releases[name],
            breakers=nothing,
        )  # fmt: skip
    try:
        yield Stored(outboxes, releases)
    finally:
        for db, _ in outboxes.values():
            await db.close()


@dataclass
class History:
    """What happens, and whom each payment meets."""

    ground: Any
    records: Records
    name: Callable[[int], str]
    stable: str = "gchostpay1-0"
    canary: str | None = None
    releases: int = 0
    epoch: int = 0
    rows: list[Task] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    met: dict[tuple[str, int], set[str]] = field(default_factory=dict)

    async def play(self, events: Sequence[Event]) -> None:
        for kind, one, number, stale in events:
            self.records.stale = stale
            await getattr(self, kind)(one, number)
            self.records.stale = False
        for task in list(self.tasks):
            await self._arrive(task)

    async def send(self, one: int, number: int) -> None:
        await self.lose(one, number)
        await self._make(self.rows[-1])

    async def lose(self, one: int, number: int) -> None:
        sender = list(SENDERS)[number % len(SENDERS)]
        queue = SENDERS[sender]
        pins = await self.ground.write(sender, queue, self.name(one))
        self.rows.append(Task(sender, queue, self.name(one), pins))

    async def resend(self, _one: int, number: int) -> None:
        if self.rows:
            await self._make(self.rows[number % len(self.rows)])

    async def deliver(self, _one: int, number: int) -> None:
        if self.tasks:
            await self._arrive(self.tasks[number % len(self.tasks)])

    async def end(self, _one: int, number: int) -> None:
        if self.tasks:
            await self._arrive(self.tasks.pop(number % len(self.tasks)))

    async def start(self, _one: int, _number: int) -> None:
        if self.canary is not None:
            return
        for task in [task for task in self.tasks if task.tag]:  # the start waits for these
            await self._arrive(task)
            self.tasks.remove(task)
        self.releases += 1
        self.canary = f"gchostpay1-{self.releases}"
        self.records.write(Release(0, self.canary, self.canary))

    async def percent(self, _one: int, number: int) -> None:
        if self.canary is not None:
            self.records.write(Release(number, self.canary, self.canary))

    async def over(self, _one: int, number: int) -> None:
        """A promotion or a rollback: traffic first, then the record."""
        if self.canary is None:
            return
        self.stable = self.canary if number % 2 else self.stable
        self.canary = None
        self.records.write(None)
        self.epoch += 1

    async def _make(self, row: Task) -> None:
        releases = self.ground.releases[row.sender]
        canary = await releases.to_canary(row.queue, row.pins)
        assert not canary or (await self.records.latest()).releases, "over, and whoever knows it goes to the base URL"
        header = releases.handed_on(row.queue, row.pins)
        self.tasks.append(Task(row.sender, row.queue, row.payment, row.pins, tag=canary, header=header))

    async def _arrive(self, task: Task) -> None:
        if task.queue == SENDERS[RECEIVER]:  # at the service between, which goes by the header alone
            pins = decode(task.header)
            canary = await self.ground.releases[BETWEEN].to_canary(ONWARD, pins)
            self.tasks.append(Task(BETWEEN, ONWARD, task.payment, pins, tag=canary))
            return
        revision = self.canary or self.stable if task.tag else self.stable
        self.met.setdefault((task.payment, self.epoch), set()).add(revision)
        assert len(self.met[task.payment, self.epoch]) == 1, f"{task.payment} met two revisions"


@settings(deadline=None, max_examples=share(5000, 300), suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS)
def test_a_payment_meets_a_second_revision_by_promotion_or_rollback_alone(events: list[Event]) -> None:
    records = Records()
    asyncio.run(History(Memory(records), records, lambda one: f"pay{one}").play(events))


async def test_so_it_is_with_the_rows_and_roles_of_the_real_database(database: str, sql: Any) -> None:
    records = Records()
    async with stored(database, records) as ground:
        chance = random.Random(8)
        kinds = ["send", "lose", "resend", "deliver", "percent", "start", "over"]
        for number in range(share(60, 6)):
            events = [
                (chance.choice(kinds), chance.randrange(6), chance.randrange(101), chance.random() < 0.3)
                for _ in range(60)
            ]
            records.write(None)
            history = History(ground, records, lambda one, number=number: f"pay{number}-{one}")  # type: ignore[misc]
            await history.play(events)
    sides = {row["revision"] for row in await sql.fetch("SELECT DISTINCT revision FROM release_pins")}
    assert STABLE in sides
    assert len(sides) > 1, "both sides were met"


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=16), max_size=30), st.integers(0, 100), st.integers(0, 100))
def test_a_higher_percent_only_moves_new_payments_towards_the_canary(keys: list[str], one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    chosen = {
        percent: {key for key in keys if choose(Release(percent, "salt", "t-1"), key) == "t-1"}
        for percent in (0, fewer, more, 100)
    }
    assert chosen[0] == set() <= chosen[fewer] <= chosen[more] <= chosen[100] == set(keys)


def test_the_receivers_tag_and_queues_are_those_of_the_world() -> None:
    canary = settings_of("gcsplit").queues[SENDERS["gcsplit"]].canary_url
    assert canary is not None
    assert canary.startswith(CANARY.format(RECEIVER))
    assert set(queues_into(RECEIVER)) >= {*(SENDERS[name] for name in ("gcsplit", "gchostpay3")), ONWARD}
