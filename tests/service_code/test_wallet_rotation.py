"""Another key: what the earlier wallet has signed is settled as before, and nobody's nonce is taken for another's."""

from __future__ import annotations

from typing import Any

from eth_account import Account

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts, balances, confirm_all
from tests.service_code.test_wallet import stranger_sends
from tests.service_code.world import World


async def rotate(world: World, chain: Chain) -> Any:
    """Give the services another key; the earlier wallet."""
    old, world.wallet = world.wallet, Account.create()
    await chain.ask("anvil_setBalance", world.wallet.address, hex(100 * 10**18))
    return old


async def test_what_an_earlier_wallet_has_signed_is_confirmed_swept_and_final(
    world: World, chain: Chain, sql: Any
) -> None:
    work = [await flow.split(world) for _ in range(3)]
    chain.automine = False
    async with world.run("gchostpay") as payer:
        for _, task in work[:2]:
            assert (await payer.deliver(task)).status == 200
    first, _ = world.outer.take("hostpay-confirm-queue")
    await chain.ask("anvil_dropAllTransactions")
    await rotate(world, chain)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(first)).status == 500
        world.clock.at += 15
        assert (await payer.deliver(first, 1)).status == 500  # sends it again: that needs no key
        assert (await payer.sweep())["settled"] == 0
        chain.automine = True
        assert (await payer.deliver(work[2][1])).status == 200
        assert (await payer.deliver(first, 2)).json() == {"status": "settled"}
        await confirm_all(world, payer)
        assert (await payer.sweep())["settled"] == 1
        await chain.mine(70)
        assert (await payer.sweep())["final"] == 3

    found = await sql.fetch("SELECT nonce, status FROM split_payout_hostpay WHERE final_at IS NOT NULL ORDER BY id")
    assert [tuple(row) for row in found] == [(0, "completed"), (1, "completed"), (0, "completed")]
    assert (await balances(sql))["exchange_clearing"] == 0


async def test_a_payout_of_an_earlier_wallet_is_not_abandoned_by_filling_anothers_nonce(
    world: World, chain: Chain, sql: Any
) -> None:
    work = [await flow.split(world) for _ in range(2)]
    chain.automine = False
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(work[0][1])).status == 200
    old = await rotate(world, chain)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(work[1][1])).status == 200
        shown = (await payer.operate("GET", "/wallet")).json()
        assert (shown["open_nonces"], shown["earlier"]) == ([0], {old.address: [0]})
        answer = await payer.operate("POST", f"/payouts/{work[0][0]}/abandon")
        assert (answer.status, answer.json()["error"]) == (409, "OTHER_WALLET")
    assert {row["kind"] for row in await sql.fetch("SELECT kind FROM tx_variants")} == {"payout"}


async def test_a_nonce_that_an_earlier_wallet_lost_is_given_up_when_that_is_final(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    work = [await flow.split(world) for _ in range(2)]
    chain.automine = False
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(work[0][1])).status == 200
    (confirm,) = world.outer.take("hostpay-confirm-queue")
    await chain.ask("anvil_dropAllTransactions")
    chain.automine = True
    await stranger_sends(world, chain, 0)  # its funds are moved away
    old = await rotate(world, chain)
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        world.clock.at += 15
        await chain.mine(3)
        assert (await payer.deliver(confirm)).status == 500
        assert alerts(log_lines, "wallet_stopped") == 1
        assert (await payer.deliver(work[1][1])).status == 200  # the new one signs
        await confirm_all(world, payer)
        resume = f"/wallet/resume?wallet={old.address}"
        assert (await payer.operate("POST", "/wallet/resume?wallet=0x12")).json()["error"] == "UNKNOWN_WALLET"
        assert (await payer.operate("POST", resume)).json()["error"] == "NOT_FINAL"
        await chain.mine(70)
        assert (await payer.operate("POST", resume)).json()["lost"] == [0]
        assert (await payer.deliver(confirm, 1)).json() == {"status": "already_settled"}
        assert (await splitter.sweep())["dead"] == 1

    found = await sql.fetch("SELECT status, error_code FROM split_payout_hostpay ORDER BY id")
    assert [tuple(row) for row in found] == [("failed", "NONCE_TAKEN"), ("completed", None)]
