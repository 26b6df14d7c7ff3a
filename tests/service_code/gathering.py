"""The threshold payout's services in one hand: payments are gathered, converted, batched and paid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

from tests.service_code.flow import ETH
from tests.service_code.notices import ipn, notify, order
from tests.service_code.outer import Task
from tests.service_code.world import Answer, Running, World

SERVICES = (
    "gcaccumulator",
    "gcsplit2",
    "gcbatchprocessor",
    "gcmicrobatchprocessor",
    "gchostpay1",
    "gchostpay2",
    "gchostpay3",
)
GATHER, CONVERT, BATCH = "gcaccumulator-queue", "gcsplit2-queue", "gcbatchprocessor-queue"
TRIGGER, FAILED = "gcsplit-hostpay-trigger-queue", "gcmicrobatchprocessor-failed-queue"
CHANNEL = -100123
#: What a payment of PAID leaves the client after the fee of 3 per cent, and what that is worth at PRICE.
PAID, PRICE = ETH // 20, Decimal(3000)
KEPT, WORTH = PAID * 97 // 100, 145_500_000


class Gathering:
    """The services, and the hand that delivers."""

    def __init__(self, world: World, running: dict[str, Running]) -> None:
        self.world = world
        self.running = running

    async def deliver(self, task: Task) -> Answer:
        return await self.running[task.service].deliver(task)

    async def status(self, task: Task) -> str:
        return str((await self.deliver(task)).json()["status"])

    async def run(self, tasks: list[Task]) -> None:
        """Deliver all that follows, everything twice."""
        while tasks:
            for task in tasks:
                for _ in range(2):
                    answer = await self.deliver(task)
                    assert answer.status == 200, (task.queue, answer.text)
            tasks, self.world.outer.tasks = self.world.outer.tasks, []


@asynccontextmanager
async def gathering(world: World, **more: str) -> AsyncIterator[Gathering]:
    if world.outer.price is None:
        world.outer.price = PRICE
    async with AsyncExitStack() as stack:
        yield Gathering(world, {name: await stack.enter_async_context(world.run(name, **more)) for name in SERVICES})


async def gathered(world: World, threshold: str, units: int = PAID, count: int = 1, **more: Any) -> list[Task]:
    """Have payments of a client with a threshold recorded; their tasks for the accumulator."""
    async with world.run("gcwebhook", THRESHOLD_BY_CHANNEL=f'{{"{CHANNEL}": "{threshold}"}}') as webhook:
        for _ in range(count):
            assert (await notify(webhook, ipn(world, order(world, units=units, **more))))[0] == 200
    world.outer.take("channel-access-queue")
    return world.outer.take(GATHER)


async def books(sql: Any) -> dict[str, int]:
    """The accounts in ether, after the invariants: what came in is what went out, was earned, or is held."""
    rows = await sql.fetch("SELECT account, currency, sum(amount) AS total FROM ledger_entries GROUP BY 1, 2")
    assert {row["currency"] for row in rows} <= {"eth"}
    held = {row["account"]: int(row["total"]) for row in rows}
    assert sum(held.values()) == 0
    waiting = "SELECT coalesce(sum(accumulated_eth), 0) FROM payout_accumulation a LEFT JOIN payout_batches b USING"
    unsent = f"{waiting} (batch_id) WHERE a.batch_id IS NULL OR b.status IN ('assembled', 'refused')"
    assert held.get("accumulated_funds", 0) == -(await sql.fetchval(unsent))
    pending = "SELECT coalesce(sum(from_amount), 0) FROM split_payout_que q WHERE NOT EXISTS ("
    paid = "SELECT 1 FROM split_payout_hostpay h WHERE h.unique_id = q.unique_id AND h.status = 'completed')"
    owed = await sql.fetchval(f"{pending}{paid} AND status <> 'dead'")
    assert held.get("exchange_clearing", 0) == -owed
    for batch in await sql.fetch("SELECT batch_id, amount, amount_usdt, members FROM payout_batches"):
        sums = await sql.fetchrow(
            "SELECT sum(accumulated_eth) AS eth, sum(accumulated_usdt) AS usdt, count(*) AS members "
            "FROM payout_accumulation WHERE batch_id = $1",
            batch["batch_id"],
        )
        assert (batch["amount"], batch["amount_usdt"], batch["members"]) == tuple(sums)
    return held
