"""Settling what the chain says: final once, reorganisations taken back, nodes that lag, differ or are away."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from service_code.kit.clock import moment
from service_code.kit.wallet.book import mark_broadcast
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.settle import Settler
from tests.payments import judge
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts, balances, confirm_all, share
from tests.service_code.outer import Rpc
from tests.service_code.world import World


async def test_one_sweep_makes_everything_final_that_is(
    world: World, chain: Chain, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_code.kit.wallet.settle.BLOCKS", 2)
    async with world.run("gchostpay") as payer:
        for _ in range(5):
            assert (await payer.deliver((await flow.split(world))[1])).status == 200
        await confirm_all(world, payer)
        await chain.mine(70)
        assert (await payer.deliver((await flow.split(world))[1])).status == 200
        await confirm_all(world, payer)
        assert (await payer.sweep())["final"] == 5
    assert await sql.fetchval("SELECT count(*) FROM wallet_nonces WHERE final_at IS NULL") == 1


async def test_a_reorganisation_takes_postings_back_and_the_payout_is_mined_anew_and_final_once(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    unique_id, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        snapshot = await chain.ask("evm_snapshot")
        assert (await payer.deliver(task)).status == 200
        await confirm_all(world, payer)
        before = await balances(sql)
        await chain.ask("evm_revert", snapshot)
        await chain.mine(3)
        world.clock.at += 15
        swept = await payer.sweep()  # takes back, and broadcasts what the chain forgot
        assert (swept["reorganised"], alerts(log_lines, "reorganised")) == (1, 1)
        assert (await balances(sql))["host_wallet"] == 0
        assert (await payer.sweep())["settled"] == 1
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
        assert (await payer.sweep())["final"] == 0

    after = await balances(sql)
    gas = await sql.fetchval("SELECT gas_used * gas_price FROM split_payout_hostpay")
    assert after["exchange_clearing"] == before["exchange_clearing"] == 0
    assert after == before | {"gas_expense": gas, "host_wallet": -(gas + share(10**18 // 20))}
    assert await sql.fetchval("SELECT count(*) FROM ledger_postings WHERE kind = 'reversal'") == 2
    row = await sql.fetchrow("SELECT unique_id, status, final_at FROM split_payout_hostpay")
    assert (row["unique_id"], row["status"]) == (unique_id, "completed")
    assert row["final_at"] is not None
    assert await chain.nonce(world.wallet.address) == 1


async def test_a_node_that_cannot_say_what_is_final_stops_no_payout_from_being_sent_again(
    world: World, chain: Chain, rpc: Rpc, sql: Any
) -> None:
    _, first = await flow.split(world)
    _, second = await flow.split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(first)).status == 200
        await confirm_all(world, payer)
        rpc.harm["eth_sendRawTransaction"] = "away"
        assert (await payer.deliver(second)).status == 200
        del rpc.harm["eth_sendRawTransaction"]
        rpc.harm["eth_getBlockByNumber"] = "the finalized block is not known here"
        world.clock.at += 15
        swept = await payer.sweep()
        assert (swept["status"], swept["settled"]) == ("node_away", 0)
        assert (await payer.sweep())["settled"] == 1
    assert {row[0] for row in await sql.fetch("SELECT status FROM split_payout_hostpay")} == {"completed"}


def branch(params: list[Any], block: Any) -> Any:
    """Another block in each place but that of the newest final one."""
    return block if params[0] == "finalized" else {**block, "hash": "0x" + "ee" * 32}


def lagging(params: list[Any], block: Any) -> Any:
    return block if params[0] == "finalized" else None


async def test_a_node_that_lags_takes_nothing_back(world: World, chain: Chain, rpc: Rpc, sql: Any) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        await confirm_all(world, payer)
        before = await balances(sql)
        rpc.changes["eth_getBlockByNumber"] = lagging
        assert (await payer.sweep())["reorganised"] == 0
        assert await balances(sql) == before
        rpc.changes.clear()
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
    assert await balances(sql) == before


async def test_a_transaction_that_comes_back_into_the_same_block_is_posted_each_time(
    world: World, chain: Chain, rpc: Rpc, sql: Any
) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        await confirm_all(world, payer)
        before = await balances(sql)
        assert before["gas_expense"] > 0
        for _ in range(3):
            rpc.changes["eth_getBlockByNumber"] = branch
            world.clock.at += 15
            assert (await payer.sweep())["reorganised"] == 1
            taken = await balances(sql)
            assert (taken["host_wallet"], taken["gas_expense"]) == (0, 0)
            assert taken["exchange_clearing"] == -share(10**18 // 20)
            rpc.changes.clear()
            world.clock.at += 15
            assert (await payer.sweep())["settled"] == 1
            assert await balances(sql) == before
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1

    assert await balances(sql) == before
    keys = [row[0] for row in await sql.fetch("SELECT entry_key FROM ledger_postings WHERE kind = 'payout'")]
    assert sorted(key.partition("#")[2] for key in keys) == ["", "2", "3", "4"]
    rows = await sql.fetch(
        "SELECT entry_key, unique_id, account, amount FROM ledger_entries JOIN ledger_postings USING (entry_key)"
    )
    ledger: dict[str, tuple[str, dict[str, int]]] = {}
    for row in rows:
        ledger.setdefault(row["entry_key"], (row["unique_id"], {}))[1][row["account"]] = row["amount"]
    payouts = [lines for name, lines in judge.net(ledger).items() if name.startswith("payout:")]
    assert payouts == [{"exchange_clearing": share(10**18 // 20), "host_wallet": -share(10**18 // 20)}]


async def test_what_was_mined_elsewhere_since_it_was_judged_is_not_taken_back(
    world: World, chain: Chain, sql: Any
) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        await confirm_all(world, payer)
        before = await balances(sql)
        wallet = Payer(payer.kit, "hostpay-confirm-queue")
        row = await sql.fetchrow("SELECT nonce, tx_hash, mined_block FROM tx_variants")
        stale = {**dict(row), "mined_block_hash": "0x" + "ee" * 32}
        assert await Settler(wallet).take_back(await wallet.book(), stale) == 0
    assert await balances(sql) == before
    assert await sql.fetchval("SELECT state FROM wallet_nonces") == "mined"


@pytest.mark.parametrize("method", ["eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_blockNumber"])
async def test_a_node_that_is_away_while_confirming_is_asked_again(
    world: World, chain: Chain, rpc: Any, sql: Any, method: str
) -> None:
    _, task = await flow.split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        (confirm,) = world.outer.take("hostpay-confirm-queue")
        rpc.harm[method] = "away"
        world.clock.at += 15
        assert (await payer.deliver(confirm)).status == 500
        assert (await payer.sweep())["status"] == "node_away"
        rpc.harm.clear()
        await chain.mine()
        assert (await payer.deliver(confirm)).status == 200
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"


@pytest.mark.parametrize("lie", [{"status": "0x0"}, {"gasUsed": "0x1"}, {"effectiveGasPrice": "0x1"}])
async def test_a_receipt_is_asked_for_again_before_it_is_final(
    world: World, chain: Chain, rpc: Rpc, sql: Any, lie: dict[str, str]
) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        rpc.changes["eth_getTransactionReceipt"] = lambda _, receipt: {**receipt, **lie}
        await confirm_all(world, payer)
        rpc.changes.clear()
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 0
        assert (await payer.sweep())["final"] == 1
    row = await sql.fetchrow("SELECT status, gas_used * gas_price AS gas FROM split_payout_hostpay")
    receipt = await chain.ask("eth_getTransactionReceipt", await sql.fetchval("SELECT tx_hash FROM tx_variants"))
    gas = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert (row["status"], row["gas"]) == ("completed", gas)
    held = await balances(sql)
    assert (held["exchange_clearing"], held["gas_expense"]) == (0, gas)


async def test_a_node_without_receipts_makes_nothing_final_and_gives_no_nonce_up(
    world: World, chain: Chain, rpc: Rpc, sql: Any
) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        await chain.mine(70)
        rpc.changes["eth_getTransactionReceipt"] = lambda *_: None
        world.clock.at += 15
        assert (await payer.sweep())["settled"] == 0
        assert await sql.fetchval("SELECT stopped_why FROM wallets") == "nonce 0 was used by somebody else"
        answer = await payer.operate("POST", "/wallet/resume")
        assert (answer.status, answer.json()["error"]) == (409, "NODE_CONTRADICTS_ITSELF")
        rpc.changes.clear()
        assert (await payer.operate("POST", "/wallet/resume")).json()["lost"] == []
        rpc.changes["eth_getTransactionReceipt"] = lambda *_: None
        assert (await payer.sweep())["final"] == 0
        rpc.changes.clear()
        assert (await payer.sweep())["final"] == 1
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"


async def test_noting_a_broadcast_waits_for_who_settles_it_and_never_the_other_way(
    world: World, chain: Chain, sql: Any, database: str
) -> None:
    _, task = await flow.split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        tx_hash = await sql.fetchval("UPDATE tx_variants SET broadcast_at = NULL RETURNING tx_hash")
        await sql.execute("UPDATE split_payout_hostpay SET status = 'signed'")
        at = moment(payer.kit.clock)
        settling = await asyncpg.connect(database.format(user="postgres"))
        async with payer.kit.db.connection() as connection:
            async with settling.transaction():  # as `record` does: the variant, then the payout
                await settling.execute("UPDATE tx_variants SET mined_block = 5")
                noting = asyncio.create_task(mark_broadcast(connection, tx_hash, at))
                while not await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    pass
                await settling.execute("UPDATE split_payout_hostpay SET status = 'completed'")
            await noting
        await settling.close()
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"
