"""Gathering under random faults: deliveries that come twice, late, in any order or die half way; an exchange and queues
that are away; sweeps at any moment. Every payment ends in one batch, and the books say so to the unit.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.service_code.gathering import TRIGGER, Gathering, books, gathered, gathering
from tests.service_code.outer import Task
from tests.service_code.world import World

WALLETS = ["0x" + digit * 40 for digit in "abc"]
ROUNDS = 60


class Faults:
    """One run of deliveries and harm, by a seed."""

    def __init__(self, line: Gathering, seed: int) -> None:
        self.line = line
        self.world = line.world
        self.dice = random.Random(seed)
        self.queue: list[Task] = []
        self.triggers: list[Task] = []

    def collect(self) -> None:
        """Take what was enqueued; a batch's trigger goes no further here."""
        self.triggers += self.world.outer.take(TRIGGER)
        self.queue += self.world.outer.tasks
        self.world.outer.tasks = []

    async def step(self) -> None:
        """Do one random thing."""
        dice, outer = self.dice, self.world.outer
        outer.changenow_status = dice.choice([None, None, None, 503, 429])
        outer.tasks_status = dice.choice([200, 200, 200, 503])
        self.world.clock.at += dice.choice([0, 1, 15, 70])
        batch = [task for task in self.queue if dice.random() < 0.3]
        dice.shuffle(batch)
        await asyncio.gather(*(self._deliver(task) for task in batch), self._sweep())
        self.collect()

    async def _deliver(self, task: Task) -> None:
        delivery = asyncio.create_task(self.line.deliver(task))
        if self.dice.random() < 0.3:  # the instance dies between two of its awaits
            for _ in range(self.dice.randrange(1, 60)):
                await asyncio.sleep(0)
            delivery.cancel()
        try:
            answer = await delivery
        except asyncio.CancelledError:
            return
        if answer.status == 200 and self.dice.random() < 0.7 and task in self.queue:
            self.queue.remove(task)

    async def _sweep(self) -> None:
        name = self.dice.choice(["gcaccumulator", "gcsplit2", "gcbatchprocessor", "gcmicrobatchprocessor"])
        path = "/convert-pending" if name == "gcmicrobatchprocessor" and self.dice.random() < 0.5 else "/sweep"
        await self.line.running[name].sweep(path)

    async def heal(self) -> None:
        """End all harm, and let everything come to its end."""
        self.world.outer.changenow_status, self.world.outer.tasks_status = None, 200
        for _ in range(6):
            self.world.clock.at += 120
            for running in self.line.running.values():
                if running.kit.settings.service != "gchostpay2":
                    await running.sweep()
            await self.line.running["gcmicrobatchprocessor"].sweep("/convert-pending")
            self.collect()
            for task in list(self.queue):
                answer = await self.line.deliver(task)
                assert answer.status == 200, (task.queue, answer.text)
                self.queue.remove(task)
            self.collect()


@pytest.mark.parametrize("seed", range(4))
async def test_every_payment_ends_in_one_batch_whatever_happens(world: World, sql: Any, seed: int) -> None:
    async with gathering(world) as line:
        run = Faults(line, seed)
        for wallet in WALLETS:
            run.queue += await gathered(world, "400", count=6, client_wallet=wallet)
        for _ in range(ROUNDS):
            await run.step()
        await run.heal()
    rows = await sql.fetch("SELECT client_wallet, conversion_status, batch_id FROM payout_accumulation")
    assert len(rows) == 18
    assert {row["conversion_status"] for row in rows} == {"completed"}
    batches = await sql.fetch("SELECT batch_id, amount_usdt, status FROM payout_batches")
    assert {batch["status"] for batch in batches} == {"sent"}
    assert all(batch["amount_usdt"] >= 400_000_000 for batch in batches)
    # Three payments are worth a batch.
    for wallet in WALLETS:
        assert sum(row["batch_id"] is None for row in rows if row["client_wallet"] == wallet) < 3
    assert len({task.name for task in run.triggers}) == len(run.triggers) == len(batches)
    await books(sql)
