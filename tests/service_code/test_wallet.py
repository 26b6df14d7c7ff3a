"""The wallet's promises: one nonce one intent, any mined variant settles, nothing of a stranger's is taken for ours."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account

from service_code.gchostpay.payer import OnChain, Payer
from service_code.gchostpay.settle import Settler
from tests.payments import judge
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import balances, confirm_all, share
from tests.service_code.outer import Rpc
from tests.service_code.world import World

#: Runtime code that reverts whatever it gets: an address that takes no money.
REVERTS = "0x60006000fd"


async def stranger_sends(world: World, chain: Chain, nonce: int) -> None:
    """Use the wallet's key elsewhere."""
    fields = {"to": "0x" + "99" * 20, "value": 1, "gas": 21000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10}
    signed = Account.sign_transaction({**fields, "nonce": nonce, "chainId": 31337, "type": 2}, world.wallet.key)
    await chain.send(bytes(signed.raw_transaction))


def alerts(lines: list[dict[str, Any]], event: str) -> int:
    return sum(line.get("event") == event and line["severity"] == "ERROR" for line in lines)


async def test_a_nonce_that_a_stranger_used_stops_the_wallet_until_an_operator_resumes_it(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    _, first = await flow.split(world)
    _, second = await flow.split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(first)).status == 200
        await stranger_sends(world, chain, 1)
        assert (await payer.deliver(second)).status == 500
        assert (await payer.deliver(second, 1)).status == 500
        assert alerts(log_lines, "wallet_stopped") == 1
        wallet = (await payer.operate("GET", "/wallet")).json()
        assert (wallet["next_nonce"], wallet["chain_nonce"]) == (1, 2)
        assert "somebody else" in wallet["stopped"]
        assert (await payer.operate("POST", "/wallet/resume")).json()["next_nonce"] == 2
        assert (await payer.deliver(second, 2)).status == 200
        await confirm_all(world, payer)

    nonces = await sql.fetch("SELECT nonce, status FROM split_payout_hostpay ORDER BY nonce")
    assert [tuple(row) for row in nonces] == [(0, "completed"), (2, "completed")]


async def test_a_payout_whose_nonce_a_stranger_took_fails_when_that_is_final_and_can_be_replayed(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    unique_id, task = await flow.split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).status == 200
        (confirm,) = world.outer.take("hostpay-confirm-queue")
        await chain.ask("anvil_dropAllTransactions")
        await stranger_sends(world, chain, 0)
        await chain.mine(1)
        world.clock.at += 15
        assert (await payer.deliver(confirm)).status == 500
        assert alerts(log_lines, "wallet_stopped") == 0  # one block may be a lagging node
        await chain.mine(3)
        assert (await payer.deliver(confirm, 1)).status == 500
        assert alerts(log_lines, "wallet_stopped") == 1
        assert (await payer.operate("POST", "/wallet/resume")).json()["error"] == "NOT_FINAL"
        await chain.mine(70)
        assert (await payer.operate("POST", "/wallet/resume")).json()["lost"] == [0]
        assert (await payer.deliver(confirm, 2)).json() == {"status": "already_settled"}
        chain.automine = True
        assert (await splitter.sweep())["dead"] == 1
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()["generation"] == 2
        (again,) = world.outer.take("hostpay-execution-queue")
        assert (await payer.deliver(task, 5)).json() == {"status": "already_failed"}
        assert (await payer.deliver(again)).status == 200
        await confirm_all(world, payer)

    found = await sql.fetch("SELECT generation, nonce, status FROM split_payout_hostpay ORDER BY generation")
    assert [tuple(row) for row in found] == [(1, 0, "failed"), (2, 1, "completed")]
    ledger = await balances(sql)
    assert (ledger["exchange_clearing"], ledger["dead_payouts"]) == (0, 0)


async def test_a_stuck_payout_gets_higher_fees_and_whichever_variant_is_mined_settles_it(
    world: World, chain: Chain, sql: Any
) -> None:
    work = [await flow.split(world) for _ in range(2)]
    chain.automine = False
    async with world.run("gchostpay") as payer:
        for _, task in work:
            assert (await payer.deliver(task)).status == 200
        assert (await payer.sweep())["bumped"] == 0
        world.clock.at += 91
        assert (await payer.sweep())["bumped"] == 1  # the first in line; the other offers enough
        assert (await payer.sweep())["bumped"] == 0
        variants = await sql.fetch("SELECT * FROM tx_variants WHERE nonce = 0 ORDER BY max_fee")
        assert len(variants) == 2
        assert variants[1]["max_fee"] * 100 >= variants[0]["max_fee"] * 110
        assert variants[1]["max_priority_fee"] * 100 >= variants[0]["max_priority_fee"] * 110
        await chain.mine()
        await confirm_all(world, payer)

    mined = await sql.fetchval("SELECT tx_hash FROM split_payout_hostpay WHERE nonce = 0 AND status = 'completed'")
    assert mined == variants[1]["tx_hash"]
    assert await chain.nonce(world.wallet.address) == 2
    assert (await balances(sql))["exchange_clearing"] == 0


async def test_the_old_variant_mined_after_all_settles_too(world: World, chain: Chain, sql: Any) -> None:
    unique_id, task = await flow.split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        world.clock.at += 91
        assert (await payer.sweep())["bumped"] == 1
        old = await sql.fetchrow("SELECT tx_hash, raw FROM tx_variants ORDER BY max_fee LIMIT 1")
        await chain.ask("anvil_dropAllTransactions")
        await chain.send(old["raw"])
        await chain.mine()
        await confirm_all(world, payer)

    row = await sql.fetchrow("SELECT status, tx_hash FROM split_payout_hostpay WHERE unique_id = $1", unique_id)
    assert tuple(row) == ("completed", old["tx_hash"])


async def test_a_raised_payout_keeps_its_data(
    world: World, chain: Chain, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call_of(amount: Any, to: str) -> OnChain:
        return OnChain(to=to, value=amount.units, data="0xa9059cbb")

    monkeypatch.setattr("service_code.gchostpay.pay.transfer_of", call_of)
    _, task = await flow.split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        world.clock.at += 91
        assert (await payer.sweep())["bumped"] == 1
        await chain.mine()
        await confirm_all(world, payer)
    mined = await sql.fetchval("SELECT tx_hash FROM tx_variants ORDER BY max_fee DESC LIMIT 1")
    assert (await chain.ask("eth_getTransactionByHash", mined))["input"] == "0xa9059cbb"


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


async def test_one_sweep_makes_everything_final_that_is(
    world: World, chain: Chain, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_code.gchostpay.settle.BLOCKS", 2)
    async with world.run("gchostpay") as payer:
        for _ in range(5):
            assert (await payer.deliver((await flow.split(world))[1])).status == 200
        await confirm_all(world, payer)
        await chain.mine(70)
        assert (await payer.deliver((await flow.split(world))[1])).status == 200
        await confirm_all(world, payer)
        assert (await payer.sweep())["final"] == 5
    assert await sql.fetchval("SELECT count(*) FROM wallet_nonces WHERE final_at IS NULL") == 1


async def test_fees_are_not_raised_beyond_the_signers_limit(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    _, task = await flow.split(world)
    await chain.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    await chain.mine()
    chain.automine = False
    async with world.run("gchostpay", MAX_FEE_GWEI="4") as payer:
        assert (await payer.deliver(task)).status == 200
        for _ in range(8):
            world.clock.at += 91
            await payer.sweep()
    assert 1 < await sql.fetchval("SELECT count(*) FROM tx_variants") < 8
    assert await sql.fetchval("SELECT max(max_fee) FROM tx_variants") <= 4 * 10**9
    assert alerts(log_lines, "bump_refused") >= 1


async def test_an_abandoned_payout_is_filled_dies_when_final_and_is_replayed(
    world: World, chain: Chain, sql: Any
) -> None:
    unique_id, task = await flow.split(world)
    chain.automine = False
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).status == 200
        answer = await payer.operate("POST", f"/payouts/{unique_id}/abandon")
        assert (answer.status, answer.json()["status"]) == (202, "abandoning")
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
        settler = Settler(Payer(payer.kit))
        row = await sql.fetchrow("SELECT nonce, tx_hash, mined_block FROM tx_variants")
        stale = {**dict(row), "mined_block_hash": "0x" + "ee" * 32}
        assert await settler.take_back(stale) == 0
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
