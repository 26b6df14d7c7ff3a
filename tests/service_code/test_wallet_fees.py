"""Raising fees: as far as may be signed and paid for, and never so that the node has no variant left to mine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts
from tests.service_code.outer import Rpc
from tests.service_code.world import Running, World

GWEI = 10**9


@pytest.fixture(autouse=True)
def fees_are_asked_for_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service_code.kit.chain.FEES_LIVE", 0.0)


async def next_block_costs(chain: Chain, gwei: int) -> None:
    """Mine one block at this base fee: what is asked from now on follows it."""
    await chain.ask("anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))
    await chain.mine()


@pytest.mark.parametrize("limit", [{"MAX_FEE_GWEI": "10"}, {"GAS_LIMIT_ETH": "0.00021"}])
async def test_fees_are_raised_up_to_what_may_be_signed_where_more_is_asked(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]], limit: dict[str, str]
) -> None:
    _, task = await flow.split(world)
    await next_block_costs(chain, 1)
    chain.automine = False
    async with world.run("gchostpay", **limit) as payer:
        assert (await payer.deliver(task)).status == 200
        await chain.ask("anvil_dropAllTransactions")  # the node forgot it while gas was rising
        await next_block_costs(chain, 6)
        world.clock.at += 91
        assert (await payer.sweep())["bumped"] == 1
        dearest = await sql.fetchrow("SELECT max_fee, max_priority_fee FROM tx_variants ORDER BY max_fee DESC LIMIT 1")
        assert dearest["max_fee"] == 10 * GWEI
        assert dearest["max_priority_fee"] <= dearest["max_fee"]
        assert alerts(log_lines, "bump_refused") == 0
        world.clock.at += 91
        assert (await payer.sweep())["bumped"] == 0
        assert alerts(log_lines, "bump_refused") == 1
        await chain.ask("anvil_setNextBlockBaseFeePerGas", hex(6 * GWEI))
        await chain.mine()
        assert (await payer.sweep())["settled"] == 1


async def arranged(world: World, chain: Chain, payer: Running, spare: int) -> None:
    """Sign a payout, and leave the wallet what that may take, and a little."""
    _, task = await flow.split(world)
    await next_block_costs(chain, 1)
    chain.automine = False
    assert (await payer.deliver(task)).status == 200
    held = int((await payer.operate("GET", "/wallet")).json()["held"])
    await chain.ask("anvil_setBalance", world.wallet.address, hex(held + spare))


async def test_what_the_balance_does_not_cover_is_not_signed_and_somebody_is_told(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    async with world.run("gchostpay") as payer:
        await arranged(world, chain, payer, spare=1000)
        await chain.ask("anvil_dropAllTransactions")
        await next_block_costs(chain, 60)
        world.clock.at += 91
        assert (await payer.sweep())["bumped"] == 0
        assert alerts(log_lines, "wallet_low") == 1
        assert await sql.fetchval("SELECT count(*) FROM tx_variants") == 1
        await chain.ask("anvil_setBalance", world.wallet.address, hex(10**18))
        assert (await payer.sweep())["bumped"] == 1


async def test_fees_are_raised_as_far_as_the_balance_goes(world: World, chain: Chain, sql: Any) -> None:
    async with world.run("gchostpay") as payer:
        await arranged(world, chain, payer, spare=21_000 * 20 * GWEI)
        await next_block_costs(chain, 15)
        world.clock.at += 91
        assert (await payer.sweep())["bumped"] == 1
        first, second = await sql.fetch("SELECT max_fee, broadcast_at FROM tx_variants ORDER BY max_fee")
        assert second["max_fee"] == first["max_fee"] + 20 * GWEI
        assert second["broadcast_at"] is not None


async def test_where_the_node_refuses_the_newest_variant_it_gets_the_dearest_one_that_it_takes(
    world: World, chain: Chain, sql: Any
) -> None:
    async with world.run("gchostpay") as payer:
        await arranged(world, chain, payer, spare=21_000 * 20 * GWEI)
        held = await chain.balance(world.wallet.address) - 21_000 * 20 * GWEI
        for gwei in (3, 60):
            await next_block_costs(chain, gwei)
            await chain.ask("anvil_dropAllTransactions")
            world.clock.at += 91
            assert (await payer.sweep())["bumped"] == 1
        await chain.ask("anvil_dropAllTransactions")  # the node restarts, and the wallet's balance has shrunk
        await chain.ask("anvil_setBalance", world.wallet.address, hex(held + 21_000 * 6 * GWEI))
        await next_block_costs(chain, 1)
        for _ in range(2):
            world.clock.at += 15
            await payer.sweep()
        variants = await sql.fetch("SELECT tx_hash FROM tx_variants ORDER BY max_fee")
        taken = [await chain.ask("eth_getTransactionByHash", one["tx_hash"]) is not None for one in variants]
        assert taken == [False, True, False]
        await chain.mine()
        assert (await payer.sweep())["settled"] == 1
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"


async def test_fees_that_are_enough_are_not_raised_where_the_node_has_only_forgotten(
    world: World, chain: Chain, rpc: Rpc, sql: Any
) -> None:
    async with world.run("gchostpay") as payer:
        await arranged(world, chain, payer, spare=10**18)
        await chain.ask("anvil_dropAllTransactions")
        rpc.harm["eth_sendRawTransaction"] = "insufficient funds for gas * price + value"
        world.clock.at += 91
        assert (await payer.sweep())["bumped"] == 0
        del rpc.harm["eth_sendRawTransaction"]
        assert (await payer.sweep())["bumped"] == 1  # sent again, and still the first in line
    assert await sql.fetchval("SELECT count(*) FROM tx_variants") == 2
