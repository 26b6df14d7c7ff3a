"""Payouts in USDT: paid once by a token that answers nothing, and never taken for paid by anything but its event."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from service_code.kit import erc20
from service_code.kit.money import LARGEST, Amount
from service_code.kit.settings import SettingsError
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.settle import Settler
from tests.service_code import flow, tether
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts, balances, confirm_all, share
from tests.service_code.gathering import gathered, gathering
from tests.service_code.judged import violations
from tests.service_code.outer import Rpc
from tests.service_code.test_staged import line
from tests.service_code.tether import COIN, ELSEWHERE, WHOLE, Tether, deprecated, split
from tests.service_code.world import World, routes


async def gas_of(sql: Any) -> int:
    found = await sql.fetchval("SELECT sum(gas_used * gas_price) FROM tx_variants WHERE mined_block IS NOT NULL")
    return int(found)


async def test_a_payment_in_usdt_is_paid_and_posted_to_the_unit_and_its_gas_in_ether(
    world: World, chain: Chain, usdt: Tether, sql: Any
) -> None:
    unique_id, task = await split(world)
    ether = await chain.balance(world.wallet.address)
    async with world.run("gchostpay") as payer:
        answers = await asyncio.gather(*(payer.deliver(task) for _ in range(4)))
        assert {answer.json()["status"] for answer in answers} <= {"next", "already_processed"}
        await confirm_all(world, payer)
        world.clock.at += 3600
        assert (await payer.deliver(task)).json() == {"status": "already_processed"}
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
        wallet = (await payer.operate("GET", "/wallet")).json()

    (exchange,) = world.outer.orders.values()
    assert await usdt.balance(exchange["payinAddress"]) == share(WHOLE)
    assert await usdt.balance(world.wallet.address) == 1000 * COIN - share(WHOLE)
    gas = ether - await chain.balance(world.wallet.address)
    row = await sql.fetchrow("SELECT unique_id, status, from_currency, from_amount FROM split_payout_hostpay")
    assert tuple(row) == (unique_id, "completed", "usdt", share(WHOLE))
    assert await balances(sql) == {"gas_expense": gas, "host_wallet": -gas}
    assert await balances(sql, "usdt") == {
        "processor_receivable": WHOLE,
        "unsplit_funds": 0,
        "exchange_clearing": 0,
        "platform_fees": -(WHOLE * 5 // 100),
        "rounding": -(WHOLE - share(WHOLE) - WHOLE * 5 // 100),
        "host_wallet": -share(WHOLE),
    }
    assert wallet["tokens"]["usdt"] == {
        "contract": usdt.address, "balance": str(1000 * COIN - share(WHOLE)), "held": "0",
        "spent_today": str(share(WHOLE)),
    }  # fmt: skip


async def test_a_token_that_lies_about_its_transfer_is_found_out_and_neither_posted_as_paid_nor_paid_again(
    world: World, chain: Chain, usdt: Tether, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    await usdt.becomes(tether.IDLE)
    unique_id, task = await split(world)
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).json()["status"] == "next"
        await confirm_all(world, payer)
        assert alerts(log_lines, "transfer_astray") == 1
        assert (await balances(sql, "usdt"))["exchange_clearing"] == -share(WHOLE)
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
        world.clock.at += 120
        assert (await splitter.sweep())["dead"] == 1
        replayed = await splitter.operate("POST", f"/dead/{unique_id}/replay")
        assert (replayed.status, replayed.json()["error"]) == (409, "NO_TRANSFER")
    row = await sql.fetchrow("SELECT status, error_code FROM split_payout_hostpay")
    assert tuple(row) == ("failed", "NO_TRANSFER")
    assert "host_wallet" not in await balances(sql, "usdt")
    assert (await balances(sql))["gas_expense"] == await gas_of(sql)


async def test_a_token_that_is_deprecated_between_trial_and_block_is_never_paid_again(
    world: World, chain: Chain, usdt: Tether, sql: Any
) -> None:
    unique_id, task = await split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).status == 200
        await chain.ask("evm_setAutomine", False)
        payout = await sql.fetchval("SELECT raw FROM tx_variants")
        await chain.ask("anvil_dropAllTransactions")
        await deprecated(usdt, world)
        await chain.send(payout)
        await chain.mine()
        await confirm_all(world, payer)
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
        world.clock.at += 120
        assert (await splitter.sweep())["dead"] == 1
        replayed = await splitter.operate("POST", f"/dead/{unique_id}/replay")
        assert (replayed.status, replayed.json()["error"]) == (409, "NO_TRANSFER")
    receipt = await chain.ask("eth_getTransactionReceipt", await sql.fetchval("SELECT tx_hash FROM tx_variants"))
    (event,) = receipt["logs"]  # the coins left the wallet, as another contract says
    assert (event["address"], int(event["data"], 16)) == (ELSEWHERE, share(WHOLE))


async def test_events_that_a_node_left_out_at_first_count_before_the_payout_has_failed(
    world: World, chain: Chain, usdt: Tether, rpc: Rpc, sql: Any
) -> None:
    _, task = await split(world)
    rpc.changes["eth_getTransactionReceipt"] = lambda _, found: found and {**found, "logs": []}
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        await confirm_all(world, payer)
        assert await sql.fetchval("SELECT error_code FROM split_payout_hostpay") == "NO_TRANSFER"
        rpc.changes.clear()
        await chain.mine(70)
        for final in (0, 1):  # what is written anew is asked for once more
            swept = await payer.sweep()
            assert (swept["final"], swept["reorganised"]) == (final, 0)
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"
    assert (await balances(sql, "usdt"))["exchange_clearing"] == 0
    assert (await balances(sql))["gas_expense"] == await gas_of(sql)


async def test_a_fee_between_trial_and_block_strays_is_never_paid_again_and_settles_what_is_recovered(
    world: World, chain: Chain, usdt: Tether, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    unique_id, task = await split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).status == 200
        await chain.ask("evm_setAutomine", False)
        payout = await sql.fetchval("SELECT raw FROM tx_variants")
        await chain.ask("anvil_dropAllTransactions")
        await usdt.does("setParams(uint256,uint256)", 10, 20)
        await chain.send(payout)
        await chain.mine()
        await confirm_all(world, payer)
        assert alerts(log_lines, "transfer_astray") == 1
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
        world.clock.at += 120
        assert (await splitter.sweep())["dead"] == 1
        replayed = await splitter.operate("POST", f"/dead/{unique_id}/replay")
        assert (replayed.status, replayed.json()["error"]) == (409, "STRAY_TRANSFER")
        found = await balances(sql, "usdt")
        assert (found["strayed_funds"], found["host_wallet"]) == (share(WHOLE), -share(WHOLE))
        assert (found["dead_payouts"], found["exchange_clearing"]) == (-share(WHOLE), 0)
        for _ in range(2):
            note = {"note": "the exchange credits what came"}
            await splitter.operate("POST", f"/failed-transactions/{unique_id}/recovered", note)
        found = await balances(sql, "usdt")
        assert found["strayed_funds"] == found["settled_outside"] == found["dead_payouts"] == 0
        sums = (await splitter.operate("GET", "/reconcile/ledger")).json()
        assert (sums["differing"], sums["unbalanced"]) == ([], [])
        assert [one for one in await violations(world, sql) if "posting" in one or "account" in one] == []
        lost = "SELECT entry_key FROM ledger_postings WHERE kind = 'stray_settled'"
        await sql.execute("SET session_replication_role = replica")
        await sql.execute(f"DELETE FROM ledger_entries WHERE entry_key IN ({lost})")
        sums = (await splitter.operate("GET", "/reconcile/ledger")).json()
        assert [one["account"] for one in sums["differing"]] == ["settled_outside"]
        assert any("no posting stray_settled:" in one for one in await violations(world, sql))
    assert await usdt.balance(world.wallet.address) == 1000 * COIN - share(WHOLE)


async def test_a_raised_payout_keeps_its_call_and_the_old_variant_settles_it_too(
    world: World, chain: Chain, usdt: Tether, sql: Any
) -> None:
    _, task = await split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        world.clock.at += 91
        assert (await payer.sweep())["bumped"] == 1
        variants = await sql.fetch("SELECT * FROM tx_variants ORDER BY max_fee")
        assert len({row["data"] for row in variants}) == len({row["recipient"] for row in variants}) == 1
        assert await sql.fetchval("SELECT token_most FROM wallet_nonces") == share(WHOLE)
        await chain.ask("anvil_dropAllTransactions")
        await chain.send(variants[0]["raw"])
        await chain.mine()
        await confirm_all(world, payer)
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"
    assert (await balances(sql, "usdt"))["exchange_clearing"] == 0


async def test_an_abandoned_payout_moves_no_token_and_is_replayed_when_that_is_final(
    world: World, chain: Chain, usdt: Tether, sql: Any
) -> None:
    unique_id, task = await split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).status == 200
        assert (await payer.operate("POST", f"/payouts/{unique_id}/abandon")).status == 202
        await chain.mine()
        await confirm_all(world, payer)
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
        assert await sql.fetchval("SELECT token_most FROM wallet_nonces") == 0
        world.clock.at += 120
        assert (await splitter.sweep())["dead"] == 1
        chain.automine = True
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()["status"] == "replayed"
        (again,) = world.outer.take("hostpay-execution-queue")
        assert (await payer.deliver(again)).status == 200
        await confirm_all(world, payer)
    found = await sql.fetch("SELECT status, error_code FROM split_payout_hostpay ORDER BY generation")
    assert [tuple(row) for row in found] == [("failed", "ABANDONED"), ("completed", None)]
    assert await usdt.balance(world.wallet.address) == 1000 * COIN - share(WHOLE)
    assert (await balances(sql))["gas_expense"] == await gas_of(sql)


async def test_a_reorganisation_takes_both_currencies_back_and_the_token_is_paid_once(
    world: World, chain: Chain, usdt: Tether, sql: Any
) -> None:
    _, task = await split(world)
    async with world.run("gchostpay") as payer:
        snapshot = await chain.ask("evm_snapshot")
        assert (await payer.deliver(task)).status == 200
        await confirm_all(world, payer)
        before = await balances(sql, "usdt")
        await chain.ask("evm_revert", snapshot)
        await chain.mine(3)
        world.clock.at += 15
        assert (await payer.sweep())["reorganised"] == 1
        assert (await balances(sql))["host_wallet"] == (await balances(sql, "usdt"))["host_wallet"] == 0
        assert await sql.fetchval("SELECT max(token_moved) FROM tx_variants") == 0
        assert (await payer.sweep())["settled"] == 1
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 1
    assert await balances(sql, "usdt") == before
    assert (await balances(sql))["gas_expense"] == await gas_of(sql)
    assert await usdt.balance(world.wallet.address) == 1000 * COIN - share(WHOLE)


async def test_a_staged_payout_in_usdt_is_paid_once_though_everything_comes_twice(
    world: World, chain: Chain, usdt: Tether, sql: Any
) -> None:
    _, task = await flow.received(world, WHOLE, "usdt")
    async with world.run("gcsplit", ROUTES=routes(payout=100)) as splitter, line(world) as stages:
        assert (await splitter.deliver(task)).json() == {"status": "next"}
        await stages.run(world.outer.take("gcsplit-hostpay-trigger-queue"))
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"
    assert await usdt.balance(world.wallet.address) == 1000 * COIN - share(WHOLE)
    assert (await balances(sql, "usdt"))["exchange_clearing"] == 0


async def test_what_is_gathered_in_usdt_is_worth_itself_and_paid_in_usdt(
    world: World, chain: Chain, usdt: Tether, sql: Any
) -> None:
    tasks = await gathered(world, "190", amount=Amount(currency="usdt", units=100 * COIN), count=2)
    async with gathering(world) as stages:
        await stages.run(tasks)
    assert world.outer.estimates == ["194"]  # the batch's own order
    batch = await sql.fetchrow("SELECT members, currency, amount, amount_usdt FROM payout_batches")
    assert tuple(batch) == (2, "usdt", 194 * COIN, 194 * COIN)
    assert await usdt.balance(world.wallet.address) == (1000 - 194) * COIN
    found = await balances(sql, "usdt")
    assert (found["accumulated_funds"], found["exchange_clearing"]) == (0, 0)
    assert (found["platform_fees"], found["host_wallet"]) == (-6 * COIN, -194 * COIN)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("USDT_CONTRACT", "0x" + "aB" * 20), ("USDT_CONTRACT", "tether"), ("DAY_LIMIT_USDT", "1.0000001")],
)
async def test_a_setting_of_the_token_that_is_none_stops_the_start(world: World, setting: str, value: str) -> None:
    with pytest.raises(SettingsError, match=setting):
        async with world.run("gchostpay", **{"CHAIN_ID": "1", setting: value}):
            pass


@given(st.binary(min_size=20, max_size=20), st.integers(0, LARGEST))
def test_a_transfers_data_is_read_as_it_was_written(to: bytes, units: int) -> None:
    address = "0x" + to.hex()
    assert erc20.read_transfer(erc20.transfer(address, units)) == (address, units)


async def test_usdt_without_a_contract_in_the_settings_dies_and_says_which(world: World, chain: Chain) -> None:
    _, task = await split(world)
    async with world.run("gchostpay") as payer:
        answer = (await payer.deliver(task)).json()
    assert (answer["code"], "USDT_CONTRACT is not set" in answer["why"]) == ("UNSUPPORTED_CURRENCY", True)


async def test_an_event_of_another_contract_or_for_somebody_else_pays_nothing(
    world: World, chain: Chain, usdt: Tether, rpc: Rpc, sql: Any
) -> None:
    forged = Account.create().address.lower()
    _, task = await split(world)

    def elsewhere(_: Any, found: Any) -> Any:
        return found and {**found, "logs": [{**log, "address": forged} for log in found["logs"]]}

    rpc.changes["eth_getTransactionReceipt"] = elsewhere
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        await confirm_all(world, payer)
        assert await sql.fetchval("SELECT error_code FROM split_payout_hostpay") == "NO_TRANSFER"
        del rpc.changes["eth_getTransactionReceipt"]
        settler = Settler(Payer(payer.kit, "hostpay-confirm-queue"))
        assert await settler.finalize() == (0, 0)
    assert "host_wallet" not in await balances(sql, "usdt")
