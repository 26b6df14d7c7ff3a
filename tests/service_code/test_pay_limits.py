"""What holds a payout back before it is signed: limits, an empty wallet, dear gas, what is promised already."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, confirm_all, rows
from tests.service_code.outer import Rpc
from tests.service_code.world import World


async def test_the_signer_refuses_what_exceeds_its_limits_and_the_day_only_delays(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    work = [await flow.split(world, ETH) for _ in range(3)]
    _, large = await flow.split(world, 3 * ETH)
    async with world.run("gchostpay", PAYOUT_LIMIT_ETH="1", DAY_LIMIT_ETH="2") as payer:
        assert (await payer.deliver(large)).json()["code"] == "OVER_PAYMENT_LIMIT"
        answers = [(await payer.deliver(task)).json()["status"] for _, task in work]
        assert answers == ["next", "next", "retry"]
        assert any(line.get("code") == "OVER_DAY_LIMIT" and line["severity"] == "ERROR" for line in log_lines)
        assert await sql.fetchval("SELECT count(*) FROM dead_letters WHERE code = 'OVER_DAY_LIMIT'") == 0
    assert await chain.nonce(world.wallet.address) == 2
    assert await sql.fetchval("SELECT next_nonce FROM wallets") == 2


async def test_a_wallet_without_money_signs_nothing_and_says_so(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    await chain.ask("anvil_setBalance", world.wallet.address, hex(ETH // 100))
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 500
    assert await rows(sql) == []
    assert any(line.get("event") == "wallet_low" for line in log_lines)


@pytest.mark.parametrize("limit", [{"MAX_FEE_GWEI": "4"}, {"GAS_LIMIT_ETH": "0.000084"}])  # 21,000 of 4 gwei
async def test_gas_dearer_than_the_limit_is_waited_for_before_anything_is_signed(
    world: World,
    chain: Chain,
    sql: Any,
    log_lines: list[dict[str, Any]],
    *,
    limit: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, task = await flow.split(world)
    await chain.ask("anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
    await chain.mine()
    async with world.run("gchostpay", **limit) as payer:
        assert (await payer.deliver(task)).status == 500
        assert await rows(sql) == []
        assert any(line.get("event") == "gas_too_dear" for line in log_lines)
        await chain.ask("anvil_setNextBlockBaseFeePerGas", hex(3 * 10**9))
        await chain.mine()
        monkeypatch.setattr("service_code.kit.chain.FEES_LIVE", 0)
        assert (await payer.deliver(task)).status == 200
    assert await sql.fetchval("SELECT max_fee FROM tx_variants") == 4 * 10**9  # not twice the base fee


async def test_what_is_mined_while_a_payment_is_quoted_is_not_spent_twice(
    world: World, chain: Chain, rpc: Rpc, sql: Any
) -> None:
    """The balance is read, then the first payout is mined and settled, then the second takes the wallet's lock."""
    _, first = await flow.split(world, 2 * ETH)
    _, second = await flow.split(world, 2 * ETH)
    await chain.ask("anvil_setBalance", world.wallet.address, hex(3 * ETH))
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(first)).status == 200
        await confirm_all(world, payer)
        await sql.execute("UPDATE wallet_nonces SET state = 'open'")
        rpc.changes["eth_getBalance"] = lambda _params, _true: hex(3 * ETH)
        rpc.before["eth_estimateGas"] = lambda: sql.execute("UPDATE wallet_nonces SET state = 'mined'")
        assert (await payer.deliver(second)).json()["why"] == "the wallet's balance is too low"
    assert len(await rows(sql)) == 1
