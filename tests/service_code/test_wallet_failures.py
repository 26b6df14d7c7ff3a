"""Payouts that end otherwise: abandoned, reverted, or never signed; each final once, and replayed where asked."""

from __future__ import annotations

from typing import Any

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts, balances, confirm_all, share
from tests.service_code.world import World

#: Runtime code that reverts whatever it gets: an address that takes no money.
REVERTS = "0x60006000fd"


async def test_what_is_abandoned_counts_for_the_day_until_that_is_final(world: World, chain: Chain, sql: Any) -> None:
    unique_id, first = await flow.split(world, 10**18)
    _, second = await flow.split(world, 10**18)
    chain.automine = False
    async with world.run("gchostpay", DAY_LIMIT_ETH="1") as payer:
        assert (await payer.deliver(first)).status == 200
        assert (await payer.operate("POST", f"/payouts/{unique_id}/abandon")).status == 202
        assert int((await payer.operate("GET", "/wallet")).json()["spent_today"]) > share(10**18)  # with its gas
        assert (await payer.deliver(second)).json()["status"] == "retry"
        await chain.mine()
        await confirm_all(world, payer)
        assert (await payer.deliver(second)).json()["status"] == "retry"
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
        taken = await sql.fetchval("SELECT gas_used * gas_price FROM split_payout_hostpay")
        assert int((await payer.operate("GET", "/wallet")).json()["spent_today"]) == taken
        assert (await payer.deliver(second)).json()["status"] == "next"


async def test_an_abandoned_payout_is_filled_dies_when_final_and_is_replayed(
    world: World, chain: Chain, sql: Any
) -> None:
    unique_id, task = await flow.split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).status == 200
        answer = await payer.operate("POST", f"/payouts/{unique_id}/abandon", {"by": "ann", "why": "stuck"})
        assert (answer.status, answer.json()["status"]) == (202, "abandoning")
        done = await sql.fetchrow("SELECT verb, subject, after, said_by, why FROM operator_actions")
        assert tuple(done) == ("abandon", unique_id, "abandoning", "ann", "stuck")
        await chain.mine()
        await confirm_all(world, payer)
        assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "broadcast"
        world.clock.at += 120
        assert (await splitter.sweep())["dead"] == 0  # a reorganisation could still pay it
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
        assert (await splitter.sweep())["dead"] == 1
        chain.automine = True
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()["status"] == "replayed"
        (again,) = world.outer.take("hostpay-execution-queue")
        assert (await payer.deliver(again)).status == 200
        await confirm_all(world, payer)

    found = await sql.fetch("SELECT status, error_code FROM split_payout_hostpay ORDER BY generation")
    assert [tuple(row) for row in found] == [("failed", "ABANDONED"), ("completed", None)]
    gas = await sql.fetchval("SELECT sum(gas_used * gas_price) FROM tx_variants WHERE mined_block IS NOT NULL")
    ledger = await balances(sql)
    assert ledger["gas_expense"] == gas
    assert ledger["host_wallet"] == -(gas + share(10**18 // 20))


async def test_an_abandoned_payout_that_is_mined_after_all_is_paid(world: World, chain: Chain, sql: Any) -> None:
    unique_id, task = await flow.split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        assert (await payer.operate("POST", f"/payouts/{unique_id}/abandon")).status == 202
        await chain.ask("anvil_dropAllTransactions")
        payout = await sql.fetchval("SELECT raw FROM tx_variants WHERE kind = 'payout'")
        await chain.send(payout)
        await chain.mine()
        await confirm_all(world, payer)

    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"
    assert (await balances(sql))["exchange_clearing"] == 0


async def test_a_payout_that_reverts_costs_gas_and_fails_when_final(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    _, task = await flow.split(world)
    (exchange,) = world.outer.orders.values()
    chain.automine = False
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).status == 200
        await chain.ask("anvil_setCode", exchange["payinAddress"], REVERTS)
        await chain.mine()
        await confirm_all(world, payer)
        await chain.ask("anvil_setCode", exchange["payinAddress"], "0x")
        await chain.mine(70)
        await payer.sweep()
        assert (await splitter.sweep())["dead"] == 1

    row = await sql.fetchrow("SELECT status, error_code FROM split_payout_hostpay")
    assert tuple(row) == ("failed", "REVERTED")
    ledger = await balances(sql)
    assert ledger["host_wallet"] == -ledger["gas_expense"] < 0
    assert ledger["dead_payouts"] == -share(10**18 // 20)
    assert alerts(log_lines, "payout_failed") == 1


async def test_a_transfer_that_would_revert_is_not_signed(world: World, chain: Chain, sql: Any) -> None:
    _, task = await flow.split(world)
    (exchange,) = world.outer.orders.values()
    await chain.ask("anvil_setCode", exchange["payinAddress"], REVERTS)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).json()["code"] == "SIMULATION_REVERTED"
    await chain.ask("anvil_setCode", exchange["payinAddress"], "0x")
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay") == 0
