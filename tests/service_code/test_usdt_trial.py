"""What is known of a token's transfer before it is signed: its switches, its gas, and what is promised already."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service_code import flow, tether
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, alerts, confirm_all, share
from tests.service_code.outer import Rpc
from tests.service_code.test_staged import EXECUTIONS, line
from tests.service_code.tether import COIN, WHOLE, Tether, deprecated, split
from tests.service_code.world import World, routes


async def fee(usdt: Tether, _: World) -> None:
    await usdt.does("setParams(uint256,uint256)", 10, 20)


async def blacklisted(usdt: Tether, world: World) -> None:
    await usdt.does("addBlackList(address)", world.wallet.address)


async def paused(usdt: Tether, _: World) -> None:
    await usdt.does("pause()")


async def gone(usdt: Tether, _: World) -> None:
    await usdt.becomes(tether.NONE)


async def false(usdt: Tether, _: World) -> None:
    await usdt.becomes(tether.FALSE)


async def reverting(usdt: Tether, _: World) -> None:
    await usdt.becomes("0x60006000fd")


@pytest.mark.parametrize(
    ("trouble", "code", "ends"),
    [
        (fee, "TOKEN_TAKES_FEE", False),
        (blacklisted, "WALLET_BLACKLISTED", False),
        (paused, "TOKEN_PAUSED", False),
        (deprecated, "TOKEN_DEPRECATED", False),
        (gone, "NO_TOKEN_CONTRACT", False),
        (false, "TRANSFER_REFUSED", True),
        (reverting, "INSUFFICIENT_FUNDS", False),  # it tells of no balance either
    ],
)
async def test_what_a_token_would_do_to_the_transfer_is_known_before_anything_is_signed(
    world: World, usdt: Tether, sql: Any, log_lines: list[dict[str, Any]], *, trouble: Any, code: str, ends: bool
) -> None:
    _, task = await split(world)
    await trouble(usdt, world)
    async with world.run("gchostpay") as payer:
        answer = await payer.deliver(task)
    assert (answer.status, answer.json().get("code")) == ((200, code) if ends else (500, None))
    assert await sql.fetchval("SELECT count(*) FROM tx_variants") == 0
    assert ends or any(line.get("code") == code or line.get("event") == "wallet_low" for line in log_lines)
    if code in ("NO_TOKEN_CONTRACT", "TOKEN_DEPRECATED"):
        assert "USDT_CONTRACT" in answer.json()["why"]


async def test_while_the_token_is_paused_both_ways_wait_and_say_so_and_payments_in_ether_go_on(
    world: World, chain: Chain, usdt: Tether, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    _, single = await split(world)
    _, task = await flow.received(world, WHOLE, "usdt")
    _, ether = await flow.split(world, ETH // 20)
    async with world.run("gcsplit", ROUTES=routes(payout=100)) as splitter:
        assert (await splitter.deliver(task)).json() == {"status": "next"}
    (trigger,) = world.outer.take("gcsplit-hostpay-trigger-queue")
    await usdt.halt(on=True)
    async with world.run("gchostpay") as payer, line(world) as stages:
        execution = await stages.until(EXECUTIONS, trigger)
        for _ in range(2):
            assert (await payer.deliver(single)).json()["status"] == "retry"
            assert (await stages.deliver(execution)).json()["status"] == "retry"
        blocked = [said for said in log_lines if said.get("event") == "token_blocked"]
        assert [(one["code"], one["currency"]) for one in blocked] == [("TOKEN_PAUSED", "usdt")] * 4
        assert (await payer.deliver(ether)).json()["status"] == "next"
        await usdt.halt(on=False)
        assert (await payer.deliver(single)).json()["status"] == "next"
        assert (await stages.deliver(execution)).json()["status"] == "next"
    assert await sql.fetchval("SELECT count(*) FROM tx_variants") == 3


async def test_too_few_tokens_and_too_little_gas_are_told_apart(
    world: World, chain: Chain, usdt: Tether, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    _, large = await split(world, 1100 * COIN)
    _, small = await split(world)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(large)).json()["why"] == "the wallet's balance of usdt is too low"
        await chain.ask("anvil_setBalance", world.wallet.address, hex(10**9))
        assert (await payer.deliver(small)).json()["why"] == "the wallet's ether is too low for the gas"
        await chain.ask("anvil_setBalance", world.wallet.address, hex(ETH))
        assert (await payer.deliver(small)).json()["status"] == "next"
    low = [line["currency"] for line in log_lines if line.get("event") == "wallet_low"]
    assert low == ["usdt", "eth"]


async def test_a_node_that_cannot_say_what_a_token_does_is_not_held_against_the_payment(
    world: World, chain: Chain, usdt: Tether, rpc: Rpc, log_lines: list[dict[str, Any]]
) -> None:
    _, task = await split(world)
    async with world.run("gchostpay") as payer:
        for method in ("eth_call", "eth_getCode", "eth_estimateGas"):
            rpc.harm = {method: "header not found"}
            assert (await payer.deliver(task)).json()["status"] == "retry"
        rpc.harm = {}
        assert (await payer.deliver(task)).json()["status"] == "next"
    assert alerts(log_lines, "wallet_low") == alerts(log_lines, "token_blocked") == 0


async def test_tokens_of_open_nonces_are_not_promised_twice_and_limits_are_by_currency(
    world: World, chain: Chain, usdt: Tether, sql: Any
) -> None:
    work = [await split(world, 500 * COIN) for _ in range(3)]
    _, ether = await flow.split(world, 5 * ETH)
    chain.automine = False
    async with world.run("gchostpay") as payer:
        answers = [(await payer.deliver(task)).json() for _, task in work]
        assert [answer["status"] for answer in answers] == ["next", "next", "retry"], answers
        assert answers[2]["why"] == "the wallet's balance of usdt is too low"
        assert (await payer.deliver(ether)).json()["status"] == "next"
        held = (await payer.operate("GET", "/wallet")).json()["tokens"]["usdt"]["held"]
        assert int(held) == 2 * share(500 * COIN)
    await usdt.does("transfer(address,uint256)", world.wallet.address, 1000 * COIN)
    _, over = await split(world, 100 * COIN)
    _, day = await split(world, 50 * COIN)
    async with world.run("gchostpay", PAYOUT_LIMIT_USDT="90", DAY_LIMIT_USDT="960") as payer:
        assert (await payer.deliver(over)).json()["code"] == "OVER_PAYMENT_LIMIT"
        assert "day's limit in usdt" in (await payer.deliver(day)).text
    async with world.run("gchostpay", PAYOUT_LIMIT_USDT="90", DAY_LIMIT_USDT="1000") as payer:
        assert (await payer.deliver(day)).json()["status"] == "next"


async def test_a_receiver_who_is_emptied_between_trial_and_block_is_paid_all_the_same(
    world: World, chain: Chain, usdt: Tether, sql: Any
) -> None:
    _, task = await split(world)
    (exchange,) = world.outer.orders.values()
    await usdt.does("transfer(address,uint256)", exchange["payinAddress"], 1)
    chain.automine = False
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).status == 200
        await chain.ask("evm_setAutomine", False)
        payout = await sql.fetchval("SELECT raw FROM tx_variants")
        await chain.ask("anvil_dropAllTransactions")
        await usdt.empty(exchange["payinAddress"])  # what is written anew takes 17,100 more
        await chain.send(payout)
        await chain.mine()
        await confirm_all(world, payer)
    assert await usdt.balance(exchange["payinAddress"]) == share(WHOLE)
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"
