"""gchostpay's promises: each payment is paid once, whatever is lost, repeated or killed, and posted to the wei."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service_code.kit.tokens import Purpose
from service_code.kit.wallet.payer import Payer
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, balances, confirm_all, pay_task, rows, share
from tests.service_code.outer import Rpc
from tests.service_code.world import Running, World


async def test_a_payment_is_paid_and_posted_to_the_wei(world: World, chain: Chain, sql: Any) -> None:
    units = ETH // 20 + 7
    unique_id, task = await flow.split(world, units)
    before = await chain.balance(world.wallet.address)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).json() == {"status": "next"}
        await confirm_all(world, payer)

    (exchange,) = world.outer.orders.values()
    assert await chain.balance(exchange["payinAddress"]) >= share(units)
    gone = before - await chain.balance(world.wallet.address)
    row = await sql.fetchrow("SELECT * FROM split_payout_hostpay")
    gas = row["gas_used"] * row["gas_price"]
    assert (row["unique_id"], row["status"], gone) == (unique_id, "completed", share(units) + gas)
    assert await balances(sql) == {
        "processor_receivable": units,
        "unsplit_funds": 0,
        "exchange_clearing": 0,
        "platform_fees": -(units * 5 // 100),
        "rounding": -(units - share(units) - units * 5 // 100),
        "host_wallet": -gone,
        "gas_expense": gas,
    }


async def test_a_repeated_delivery_pays_nothing_more_even_when_its_token_is_long_dead(
    world: World, chain: Chain, sql: Any
) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        first = await asyncio.gather(*(payer.deliver(task) for _ in range(8)))
        assert {answer.status for answer in first} == {200}
        await confirm_all(world, payer)
        world.clock.at += 3600
        assert (await payer.deliver(task)).json() == {"status": "already_processed"}

    assert await chain.nonce(world.wallet.address) == 1
    assert await sql.fetchval("SELECT count(*) FROM tx_variants") == 1
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


@pytest.mark.parametrize("harm", ["lost", "away", "nonce too low", "already known"])
async def test_a_lost_or_strange_answer_to_the_broadcast_is_settled_by_the_chain(
    world: World, chain: Chain, rpc: Rpc, sql: Any, harm: str
) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        rpc.harm["eth_sendRawTransaction"] = harm
        assert (await payer.deliver(task)).status == 200
        world.clock.at += 120  # the token is dead; the signed row decides
        rpc.harm.clear()
        (confirm,) = world.outer.take("hostpay-confirm-queue")
        answers = [(await payer.deliver(confirm, retry)).status for retry in range(3)]
        assert (await payer.deliver(task, 4)).json() == {"status": "already_processed"}

    assert answers == ([200, 200, 200] if harm == "lost" else [500, 200, 200])
    assert await rows(sql) == [(task_id(task), "completed", 0)]
    assert await chain.nonce(world.wallet.address) == 1


def task_id(task: Any) -> str:
    return flow.tokens().read(task.json()["token"]).unique_id


class Killed(BaseException):
    """Stands for kill -9: nothing of the instance runs any more."""


@pytest.mark.parametrize("moment", ["before the commit", "before the broadcast", "after the broadcast"])
async def test_a_payer_killed_between_sign_store_and_broadcast_pays_once(
    world: World, chain: Chain, sql: Any, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    unique_id, task = await flow.split(world)
    kill(monkeypatch, moment)
    async with world.run("gchostpay") as payer:
        with pytest.raises(Killed):
            await payer.deliver(task)
    monkeypatch.undo()

    signed = 0 if moment == "before the commit" else 1
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay") == signed
    assert await sql.fetchval("SELECT coalesce(max(next_nonce), 0) FROM wallets") == signed
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task, 1)).status == 200
        await confirm_all(world, payer)
    assert await rows(sql) == [(unique_id, "completed", 0)]
    assert await chain.nonce(world.wallet.address) == 1
    assert (await balances(sql))["exchange_clearing"] == 0


def kill(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    from service_code.kit.call import Call
    from service_code.kit.outbox import Outbox

    async def die(*_: Any, **__: Any) -> None:
        raise Killed

    if moment == "before the commit":
        monkeypatch.setattr(Call, "commit", die)
    elif moment == "before the broadcast":
        monkeypatch.setattr(Payer, "broadcast", die)
        monkeypatch.setattr(Outbox, "send", die)
    else:
        monkeypatch.setattr("service_code.kit.wallet.payer.mark_broadcast", die)
        monkeypatch.setattr(Outbox, "send", die)


async def test_what_was_signed_and_never_broadcast_is_broadcast_by_the_sweeper(
    world: World, chain: Chain, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unique_id, task = await flow.split(world)
    kill(monkeypatch, "before the broadcast")
    async with world.run("gchostpay") as payer:
        with pytest.raises(Killed):
            await payer.deliver(task)
    monkeypatch.undo()
    world.clock.at += 3600
    async with world.run("gchostpay") as payer:
        assert (await payer.sweep())["resent"] == 1
        assert (await payer.sweep())["settled"] == 1

    assert await rows(sql) == [(unique_id, "completed", 0)]


@pytest.mark.parametrize("instances", [2])
async def test_a_hundred_payouts_at_once_from_two_instances_leave_no_gap_and_pay_each_once(
    world: World, chain: Chain, sql: Any, instances: int
) -> None:
    units = ETH // 100
    work = [await flow.split(world, units) for _ in range(100)]
    before = await chain.balance(world.wallet.address)
    async with world.run("gchostpay") as one, world.run("gchostpay") as two:
        doors = [one, two]
        answers = await asyncio.gather(
            *(doors[index % instances].deliver(task) for index, (_, task) in enumerate(work)),
            *(doors[(index + 1) % instances].deliver(task) for index, (_, task) in enumerate(work[::3])),
        )
        again = [task for (_, task), answer in zip(work, answers, strict=False) if answer.status != 200]
        for task in again:  # an overloaded instance is the queue's business
            assert (await one.deliver(task, 1)).status == 200
        await chain.mine()
        await confirm_all(world, one)

    found = await rows(sql)
    assert [nonce for _, _, nonce in found] == list(range(100))
    assert {unique_id for unique_id, _, _ in found} == {unique_id for unique_id, _ in work}
    assert {status for _, status, _ in found} == {"completed"}
    gas = await sql.fetchval("SELECT sum(gas_used * gas_price) FROM tx_variants")
    assert before - await chain.balance(world.wallet.address) == 100 * share(units) + gas
    ledger = await balances(sql)
    assert (ledger["host_wallet"], ledger["gas_expense"]) == (-(100 * share(units) + gas), gas)


@pytest.mark.parametrize(
    ("age", "code"), [(60, None), (61, "TOKEN_EXPIRED"), (3600, "TOKEN_EXPIRED"), (-31, "TOKEN_FROM_FUTURE")]
)
async def test_a_token_lives_sixty_seconds_while_nothing_is_signed(
    world: World, chain: Chain, sql: Any, age: int, code: str | None
) -> None:
    _, task = await flow.split(world)
    world.clock.at += age
    async with world.run("gchostpay") as payer:
        answer = (await payer.deliver(task)).json()

    assert answer.get("code") == code
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay") == (0 if code else 1)
    letters = await sql.fetch("SELECT code, body FROM dead_letters")
    assert [row["code"] for row in letters] == ([code] if code else [])
    assert not any(task.json()["token"] in row["body"] for row in letters)


async def test_a_token_that_dies_while_the_wallet_is_locked_is_not_signed(
    world: World, chain: Chain, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service_code.kit.wallet.book import Book

    _, task = await flow.split(world)
    lock = Book.lock

    async def slow(*args: Any) -> Any:
        world.clock.at += 61
        return await lock(*args)

    monkeypatch.setattr(Book, "lock", slow)
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(task)).json()["code"] == "TOKEN_EXPIRED"
    assert await rows(sql) == []


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("new", (500, None)),
        ("confirming", (200, "EXCHANGE_NOT_WAITING")),
        ("finished", (200, "EXCHANGE_FINISHED")),
        ("expired", (200, "EXCHANGE_EXPIRED")),
        ("failed", (200, "EXCHANGE_FAILED")),
    ],
)
async def test_only_an_exchange_that_waits_is_paid(
    world: World, chain: Chain, sql: Any, status: str, outcome: tuple[int, str | None]
) -> None:
    _, task = await flow.split(world)
    for exchange in world.outer.orders.values():
        exchange["status"] = status
    async with world.run("gchostpay") as payer:
        answer = await payer.deliver(task)

    assert (answer.status, answer.json().get("code")) == outcome
    assert await chain.nonce(world.wallet.address) == 0


async def test_an_exchange_that_names_another_address_or_amount_is_not_paid(world: World, chain: Chain) -> None:
    _, one = await flow.split(world)
    _, two = await flow.split(world)
    orders = list(world.outer.orders.values())
    orders[0]["payinAddress"] = world.wallet.address
    orders[1]["expectedAmountFrom"] *= 1.0001
    async with world.run("gchostpay") as payer:
        assert (await payer.deliver(one)).json()["code"] == "EXCHANGE_MISMATCH"
        assert (await payer.deliver(two)).json()["code"] == "EXCHANGE_MISMATCH"
    assert await chain.nonce(world.wallet.address) == 0


async def test_a_partner_or_node_that_is_away_is_asked_again(world: World, chain: Chain, rpc: Rpc, sql: Any) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay") as payer:
        for status in (429, 500, 503, 401):
            world.outer.changenow_status = status
            assert (await payer.deliver(task)).status == 500
        world.outer.changenow_status = None
        for method in ("eth_chainId", "eth_feeHistory", "eth_getBalance", "eth_estimateGas", "eth_getTransactionCount"):
            rpc.harm = {method: "away"}
            assert (await payer.deliver(task)).status == 500, method
        rpc.harm = {}
        assert (await payer.deliver(task)).status == 200

    assert [status for _, status, _ in await rows(sql)] == ["broadcast"]
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_a_payment_asks_the_node_once_before_signing_and_once_to_confirm(
    world: World, chain: Chain, rpc: Rpc
) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay", CONFIRM_AFTER_SECONDS="7") as payer:
        assert (await payer.deliver(task)).status == 200
        assert rpc.calls == [
            "eth_chainId", "eth_getBalance", "eth_estimateGas", "eth_getTransactionCount", "eth_feeHistory",
            "eth_sendRawTransaction",
        ]  # fmt: skip
        assert rpc.requests == 3
        (confirm,) = world.outer.take("hostpay-confirm-queue")
        assert confirm.scheduled is not None
        assert abs(confirm.scheduled - world.clock.at - 7) < 1
        rpc.calls.clear()
        assert (await payer.deliver(confirm)).json() == {"status": "settled"}
        assert rpc.calls == ["eth_getTransactionReceipt"]


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("execution reverted", (200, "SIMULATION_REVERTED")),
        ("insufficient funds for transfer", (500, None)),
        ("something else", (500, None)),
    ],
)
async def test_an_error_inside_a_batch_means_what_it_means_alone(
    world: World, chain: Chain, rpc: Rpc, message: str, outcome: tuple[int, str | None]
) -> None:
    _, task = await flow.split(world)
    rpc.harm["eth_estimateGas"] = message
    async with world.run("gchostpay") as payer:
        answer = await payer.deliver(task)
    assert (answer.status, answer.json().get("code")) == outcome
    assert await chain.nonce(world.wallet.address) == 0


async def test_a_node_on_another_chain_gets_nothing_to_sign(world: World, chain: Chain, sql: Any) -> None:
    _, task = await flow.split(world)
    async with world.run("gchostpay", CHAIN_ID="1") as payer:
        assert (await payer.deliver(task)).status == 500
    assert await rows(sql) == []


async def test_tokens_of_others_are_dead_letters(world: World, chain: Chain, sql: Any) -> None:
    good = flow.claim(world)
    other_key = "another-key-0123456789abcdef-0123456789abcdef"
    forged = {
        "TOKEN_UNKNOWN_KEY": flow.tokens(key=other_key).mint(good),
        "TOKEN_PURPOSE": flow.tokens(Purpose.HOSTPAY_TRIGGER).mint(good),
        "TOKEN_INVALID": "AAAA",
        "TOKEN_SIGNATURE": flow.tokens().mint(good)[:-3] + "AAA",
        "INVALID_ADDRESS": flow.tokens().mint(flow.claim(world, payin_address="0x" + "aB" * 20)),
        "UNSUPPORTED_CURRENCY": flow.tokens().mint(flow.claim(world, network="btc")),
    }
    async with world.run("gchostpay") as payer:
        for code, token in forged.items():
            answer = await payer.deliver(pay_task(token))
            assert (answer.status, answer.json()["code"]) == (200, code)
    assert await rows(sql) == []
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == len(forged)


async def health(payer: Running) -> tuple[int, str]:
    answer = await payer.request("GET", "/health")
    return answer.status, answer.json()["components"]["chain"]["status"]


async def test_a_payer_without_its_node_is_degraded_but_up(world: World, chain: Chain, rpc: Rpc) -> None:
    async with world.run("gchostpay") as payer:
        assert await health(payer) == (200, "ok")
    rpc.harm["eth_blockNumber"] = "away"
    async with world.run("gchostpay") as payer:
        assert await health(payer) == (200, "down")
