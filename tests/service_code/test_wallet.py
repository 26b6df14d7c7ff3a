"""The wallet's promises: one nonce one intent, any mined variant settles, nothing of a stranger's is taken for ours."""

from __future__ import annotations

from typing import Any

from eth_account import Account

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts, balances, confirm_all
from tests.service_code.world import World


async def stranger_sends(world: World, chain: Chain, nonce: int) -> None:
    """Use the wallet's key elsewhere."""
    fields = {"to": "0x" + "99" * 20, "value": 1, "gas": 21000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10}
    signed = Account.sign_transaction({**fields, "nonce": nonce, "chainId": 31337, "type": 2}, world.wallet.key)
    await chain.send(bytes(signed.raw_transaction))


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
        # A reorganisation may still take it back, and its nonce would be nobody's.
        assert (await payer.operate("POST", "/wallet/resume")).json()["error"] == "NOT_FINAL"
        await chain.mine(70)
        assert (await payer.operate("POST", "/wallet/resume", {"by": "ann"})).json()["next_nonce"] == 2
        (done,) = await sql.fetch("SELECT verb, before, after, said_by FROM operator_actions")
        assert tuple(done) == ("resume", wallet["stopped"], "running, next nonce 2, lost []", "ann")
        assert (await payer.deliver(second, 2)).status == 200
        await confirm_all(world, payer)

    nonces = await sql.fetch("SELECT nonce, status FROM split_payout_hostpay ORDER BY nonce")
    assert [tuple(row) for row in nonces] == [(0, "completed"), (2, "completed")]


async def test_no_nonce_is_left_out_for_a_strangers_transaction_that_may_never_be_mined(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    _, first = await flow.split(world)
    _, second = await flow.split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(first)).status == 200
        await confirm_all(world, payer)
        chain.automine = False
        await stranger_sends(world, chain, 1)
        assert (await payer.deliver(second)).status == 500
        assert alerts(log_lines, "wallet_stopped") == 1
        answer = await payer.operate("POST", "/wallet/resume")
        assert (answer.status, answer.json()["error"]) == (409, "FOREIGN_PENDING")
        await chain.ask("anvil_dropAllTransactions")
        assert (await payer.operate("POST", "/wallet/resume")).json()["next_nonce"] == 1
        chain.automine = True
        assert (await payer.deliver(second, 1)).status == 200
        await confirm_all(world, payer)

    nonces = await sql.fetch("SELECT nonce, status FROM split_payout_hostpay ORDER BY nonce")
    assert [tuple(row) for row in nonces] == [(0, "completed"), (1, "completed")]


async def test_a_wallet_never_seen_begins_at_what_is_mined_and_waits_for_what_is_not(
    world: World, chain: Chain, sql: Any
) -> None:
    _, task = await flow.split(world)
    chain.automine = False
    await stranger_sends(world, chain, 0)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 500
        await chain.ask("anvil_dropAllTransactions")
        chain.automine = True
        assert (await payer.deliver(task, 1)).status == 200
        await confirm_all(world, payer)
    assert tuple(await sql.fetchrow("SELECT nonce, status FROM split_payout_hostpay")) == (0, "completed")


async def test_a_wallet_that_has_signed_nothing_begins_where_the_chain_is_now_and_not_where_it_was(
    world: World, chain: Chain, sql: Any
) -> None:
    _, task = await flow.split(world)
    snapshot = await chain.ask("evm_snapshot")
    await stranger_sends(world, chain, 0)
    async with world.run("gchostpay") as payer:
        assert (await payer.operate("POST", "/wallet/resume")).json()["next_nonce"] == 1
        await chain.ask("evm_revert", snapshot)  # the stranger's transaction is reorganised away, for good
        assert (await payer.deliver(task)).status == 200
        await confirm_all(world, payer)
    assert tuple(await sql.fetchrow("SELECT nonce, status FROM split_payout_hostpay")) == (0, "completed")


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
