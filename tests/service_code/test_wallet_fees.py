"""Raising fees: as far as may be signed and paid for, and never so that the node has no variant left to mine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts
from tests.service_code.world import World

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
