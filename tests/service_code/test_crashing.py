"""The killer of instances itself: a kill cuts at exactly one suspension, and nothing of the instance goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.crashing import DiedError, Life, mortal
from tests.service_code.flow import confirm_all
from tests.service_code.world import World


async def test_a_payout_is_paid_once_wherever_its_payer_is_killed(world: World, chain: Chain, sql: Any) -> None:
    _, task = await flow.split(world)
    async with mortal(world, "gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        steps = payer.life.steps
    async with world.run("gchostpay") as payer:
        await confirm_all(world, payer)
    assert steps > 20

    killed_at = range(1, steps + 1, 4)
    for step in killed_at:
        _, task = await flow.split(world)
        async with mortal(world, "gchostpay", die_at=step) as payer:
            try:
                await payer.deliver(task)
            except DiedError:
                assert payer.life.dead
        async with world.run("gchostpay") as payer:
            assert (await payer.deliver(task, 1)).status == 200
            await confirm_all(world, payer)
    rows = await sql.fetch("SELECT status, nonce FROM split_payout_hostpay ORDER BY nonce")
    assert [row["nonce"] for row in rows] == list(range(len(killed_at) + 1))
    assert {row["status"] for row in rows} == {"completed"}
    assert await chain.nonce(world.wallet.address) == len(killed_at) + 1


async def test_a_killed_instance_commits_nothing_and_answers_nobody(world: World, sql: Any) -> None:
    async with mortal(world, "gchostpay") as payer:

        async def work() -> None:
            async with payer.kit.db.transaction() as connection:
                await connection.execute("INSERT INTO wallets (address, chain_id, next_nonce) VALUES ('0xab', 1, 0)")
                payer.life.die_at(1)
                await connection.fetchval("SELECT 1")

        with pytest.raises(DiedError):
            await payer.life.run(work())
        with pytest.raises(DiedError):
            await payer.sweep()
    assert await sql.fetchval("SELECT count(*) FROM wallets") == 0


async def test_no_task_of_a_dead_instance_takes_another_step() -> None:
    life = Life()
    ran: list[str] = []

    async def other() -> None:
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            ran.append("torn down")
            await asyncio.sleep(0)
            ran.append("went on")

    async def work() -> None:
        child = asyncio.create_task(other())
        life.die_at(3)
        await child

    with pytest.raises(DiedError):
        await life.run(work())
    for _ in range(10):
        await asyncio.sleep(0)
    assert (life.dead, ran) == (True, ["torn down"])
