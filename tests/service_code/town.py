"""Services of several flows in one hand, and a life for them in which each kind of payment comes to its end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from tests.service_code import gathering, paynow
from tests.service_code.conftest import Chain
from tests.service_code.notices import ipn, notify, order
from tests.service_code.world import Running, World, routes

SERVICES = (
    *("gcwebhook", "gcsplit", "gchostpay", "gchostpay1", "gchostpay2", "gchostpay3"),
    *("gcaccumulator", "gcsplit2", "gcbatchprocessor", "paynowwebhook", "paynowworker"),
)
STAGED_CHANNEL = -100_777


class Town:
    """All services of all flows, and the hand that delivers."""

    def __init__(self, world: World, running: dict[str, Running]) -> None:
        self.world = world
        self.running = running
        self.ids: dict[str, str] = {}

    async def pay(self, name: str, **more: Any) -> str:
        sold = order(self.world, **{"channel_id": STAGED_CHANNEL, **more})
        self.ids[name] = sold.unique_id
        assert (await notify(self.running["gcwebhook"], ipn(self.world, sold)))[0] == 200
        return sold.unique_id

    async def deliver(self, *, but: tuple[str, ...] = ()) -> None:
        """Deliver all that waits and follows; tasks of some queues are lost."""
        while tasks := [task for task in self.world.outer.tasks if task.queue not in but]:
            self.world.outer.tasks = []
            await asyncio.gather(*(self.running[task.service].deliver(task) for task in tasks))
        self.world.outer.tasks = []
        for event in paynow.waiting(self.world):
            await self.running["paynowworker"].push(event)


async def lived(world: World, chain: Chain, sql: Any, stack: AsyncExitStack) -> Town:
    """A town in which each kind of payment has come to its end."""
    world.outer.price = gathering.PRICE
    more = {"THRESHOLD_BY_CHANNEL": f'{{"{gathering.CHANNEL}": "200"}}', "ROUTES": routes(payout=50)}
    town = Town(world, {name: await stack.enter_async_context(world.run(name, **more)) for name in SERVICES})
    for number in range(4):  # two ways to pay out
        await town.pay(f"paid{number}")
    await town.deliver()
    for _ in range(3):  # two make a batch, one waits
        await town.pay("gathered", channel_id=gathering.CHANNEL)
    await town.deliver()
    world.outer.changenow_status, world.outer.changenow_refusal = 400, "pair_is_inactive"
    for name in ("unsplit", "replayed", "recovered"):
        await town.pay(name)
    await town.deliver()
    world.outer.changenow_status = None
    splitter = town.running["gcsplit"]
    assert (await splitter.operate("POST", f"/dead/{town.ids['replayed']}/replay")).status == 200
    note = {"note": "refunded by hand"}
    recovered = f"/failed-transactions/{town.ids['recovered']}/recovered"
    assert (await splitter.operate("POST", recovered, note)).status == 200
    await town.deliver()
    await town.pay("lost")
    await town.deliver(but=("hostpay-execution-queue", "gcsplit-hostpay-trigger-queue"))
    world.clock.at += 86_400 + 120
    await splitter.sweep()
    snapshot = await chain.ask("evm_snapshot")
    await town.pay("reorganised")
    await town.deliver()
    await chain.ask("evm_revert", snapshot)
    await chain.mine(3)
    for _ in range(3):
        world.clock.at += 15
        await town.running["gchostpay"].sweep()
        await town.running["gchostpay3"].sweep()
    webhook = town.running["paynowwebhook"]
    await paynow.register(webhook)
    for event in (paynow.order(), paynow.order(2), paynow.subscription(3, "ACTIVATED", "2026-01-01T00:00:00Z")):
        assert (await paynow.notify(webhook, event)).status == 200
    await town.deliver()
    paid = "SELECT way FROM split_payout_que JOIN split_payout_hostpay h USING (unique_id) WHERE h.status = 'completed'"
    assert {row["way"] for row in await sql.fetch(paid)} == {"single", "staged"}
    return town
