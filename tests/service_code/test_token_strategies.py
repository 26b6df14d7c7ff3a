"""The strategies for a token's window: minted at delivery, and sent anew; what each does when, and nothing twice."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.crashing import DiedError, mortal
from tests.service_code.flow import ETH, balances, confirm_all
from tests.service_code.judged import violations
from tests.service_code.window import (
    DAY,
    DELIVERY,
    FALLBACK,
    QUEUE,
    generation,
    set_to,
)
from tests.service_code.world import World


@pytest.fixture(autouse=True)
def patient_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """A payer on a busy machine is slow, not ill."""
    monkeypatch.setattr("service_code.kit.app.HEALTH_TIMEOUT", 30.0)


# Strategy 3


async def test_a_message_of_identifiers_alone_is_paid_by_the_splits_row_however_old_and_often(
    world: World, chain: Chain, sql: Any
) -> None:
    set_to(world, DELIVERY)
    unique_id, task = await flow.split(world)
    said = task.json()
    assert said == {
        "message": "HostPayOrder", "version": 2, "unique_id": unique_id, "generation": 1, "cn_api_id": "cn000000000000",
    }  # fmt: skip
    assert world.outer.orders["cn000000000000"]["flow"] == "standard"  # a fixed rate would not live so long
    world.clock.at += DAY / 2
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await splitter.sweep())["dead"] == 0
        answers = await asyncio.gather(*(payer.deliver(task, retry) for retry in range(4)))
        assert {answer.json()["status"] for answer in answers} <= {"next", "done", "already_processed"}
        await confirm_all(world, payer)
        assert (await payer.deliver(task)).json() == {"status": "already_processed"}
    assert await chain.nonce(world.wallet.address) == 1
    assert await violations(world, sql) == []


async def test_a_payment_without_a_token_that_no_attempt_delivers_dies_after_the_queues_day(
    world: World, sql: Any
) -> None:
    set_to(world, DELIVERY)
    await flow.split(world)
    async with world.run("gcsplit") as splitter:
        world.clock.at += DAY + 45
        assert (await splitter.sweep())["dead"] == 0
        world.clock.at += 31
        assert (await splitter.sweep())["dead"] == 1


async def test_identifiers_that_fit_no_row_are_dead_letters_and_those_of_the_buried_pay_nothing(
    world: World, chain: Chain, sql: Any
) -> None:
    set_to(world, DELIVERY)
    unique_id, task = await flow.split(world)
    staged, _ = await flow.split(world)
    await sql.execute("UPDATE split_payout_que SET way = 'staged' WHERE unique_id = $1", staged)
    good = task.json()
    bad: dict[str, list[dict[str, Any]]] = {
        "NOT_A_SPLIT_PAYMENT": [{"unique_id": "nobody"}, {"unique_id": staged}, {"generation": 2}],
        "NOT_AS_SPLIT": [{"cn_api_id": "another"}],
        "BAD_FIELD": [{"generation": 0}, {"generation": None}, {"token": "x"}, {"version": 1}, {"cn_api_id": ""}],
    }
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        for code, changes in bad.items():
            for change in changes:
                answer = await payer.deliver(replace(task, body=json.dumps(good | change).encode()))
                assert (answer.status, answer.json()["code"]) == (200, code), change
        world.clock.at += DAY + 100
        await sql.execute("DELETE FROM dead_letters")
        await splitter.sweep()
        assert (await payer.deliver(task)).json() == {"status": "already_failed"}
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()["status"] == "replayed"
        assert (await payer.deliver(task)).json()["status"] in ("superseded", "already_failed")
        (again,) = world.outer.take(QUEUE)
        assert (await payer.deliver(again)).json() == {"status": "next"}
        assert (await payer.deliver(task)).json() == {"status": "next"}  # of what is signed every message goes on
    assert await chain.nonce(world.wallet.address) == 1


# Strategy 4


async def test_an_old_token_that_comes_after_the_fresh_one_was_sent_pays_nothing_and_is_no_dead_letter(
    world: World, chain: Chain, sql: Any
) -> None:
    set_to(world, FALLBACK)
    _, old = await flow.split(world)
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        world.clock.at += 91
        assert (await splitter.sweep())["dead"] == 0
        assert (await splitter.sweep("/fallback"))["sent"] == 1
        assert (await splitter.sweep("/fallback"))["sent"] == 0
        (fresh,) = world.outer.take(QUEUE)
        assert (generation(old), generation(fresh)) == (1, 2)
        assert (await payer.deliver(old, 5)).json() == {"status": "superseded"}
        world.clock.at -= 60  # a payer whose clock is behind: the old token is good by it
        assert (await payer.deliver(old, 6)).json() == {"status": "superseded"}
        world.clock.at += 60
        assert (await payer.deliver(fresh)).json() == {"status": "next"}
        assert (await payer.deliver(old, 7)).json() == {"status": "next"}
        await confirm_all(world, payer)
    assert await chain.nonce(world.wallet.address) == 1
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert await sql.fetchval("SELECT count(*) FROM failed_transactions") == 0
    assert await violations(world, sql) == []


async def test_a_payment_that_is_signed_while_it_is_to_be_sent_anew_is_not_sent(
    world: World, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service_code.gcsplit.anew import Anew

    set_to(world, FALLBACK)
    _, task = await flow.split(world)
    order = Anew.order
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        world.clock.at += 91

        async def late(*args: Any, **more: Any) -> Any:
            world.clock.at -= 50
            assert (await payer.deliver(task)).json() == {"status": "next"}
            world.clock.at += 50
            return await order(*args, **more)

        monkeypatch.setattr(Anew, "order", late)
        assert (await splitter.sweep("/fallback"))["sent"] == 0
    assert world.outer.take(QUEUE) == []
    assert await chain.nonce(world.wallet.address) == 1


async def test_many_fallbacks_at_once_send_each_payment_once(world: World, sql: Any) -> None:
    set_to(world, FALLBACK)
    for _ in range(3):
        await flow.split(world)
    world.clock.at += 91
    async with world.run("gcsplit") as one, world.run("gcsplit") as two:
        answers = await asyncio.gather(*(door.sweep("/fallback") for door in (one, two) * 3))
    assert sum(answer["sent"] for answer in answers) == 3
    assert [generation(task) for task in world.outer.take(QUEUE)] == [2, 2, 2]
    assert await sql.fetchval("SELECT count(*) FROM outbox WHERE service = 'gcsplit'") == 6


async def test_an_exchange_order_that_has_expired_meanwhile_is_made_anew_and_one_that_waits_is_kept(
    world: World, chain: Chain, sql: Any
) -> None:
    set_to(world, FALLBACK)
    await flow.split(world)
    await flow.split(world)
    first, second = world.outer.orders.values()
    first["status"] = "expired"
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        world.clock.at += 91
        world.outer.changenow_status = 503
        assert (await splitter.sweep("/fallback"))["sent"] == 0  # no order to pay: it goes on waiting
        world.outer.changenow_status = None
        assert (await splitter.sweep("/fallback"))["sent"] == 2
        tasks = world.outer.take(QUEUE)
        paid = {flow.tokens().read(task.json()["token"]).cn_api_id for task in tasks}
        assert second["id"] in paid
        assert first["id"] not in paid
        for task in tasks:
            assert (await payer.deliver(task)).json() == {"status": "next"}
        await confirm_all(world, payer)
    assert await violations(world, sql) == []


async def test_those_for_whom_no_exchange_order_can_be_had_do_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service_code.gcsplit.anew import Anew
    from service_code.kit.changenow import ExchangeRefusedError

    set_to(world, FALLBACK)
    split = [(await flow.split(world))[0] for _ in range(7)]
    monkeypatch.setattr("service_code.gcsplit.fallback.AT_ONCE", 2)
    order = Anew.order

    async def refused(self: Anew, row: Any, *more: Any) -> Any:
        if row["unique_id"] in split[:5]:
            raise ExchangeRefusedError("X", "not today")
        return await order(self, row, *more)

    monkeypatch.setattr(Anew, "order", refused)
    world.clock.at += 91
    async with world.run("gcsplit") as splitter:
        assert (await splitter.sweep("/fallback"))["sent"] == 2
        assert (await splitter.sweep())["dead"] == 0


@pytest.mark.parametrize(("status", "code"), [("failed", "EXCHANGE_FAILED"), ("expired", None)])
async def test_what_the_payer_refuses_for_good_dies_as_ever_and_what_time_mends_does_not(
    world: World, chain: Chain, sql: Any, status: str, code: str | None
) -> None:
    set_to(world, FALLBACK)
    _, task = await flow.split(world)
    next(iter(world.outer.orders.values()))["status"] = status
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).json()["code"] == f"EXCHANGE_{status.upper()}"
        world.clock.at += 91
        assert (await splitter.sweep("/fallback"))["sent"] == (code is None)
        assert (await splitter.sweep())["dead"] == (code is not None)
    assert await sql.fetchval("SELECT error_code FROM failed_transactions") == code


async def test_an_order_that_the_exchange_does_not_know_yet_is_asked_for_again_and_then_made_anew(
    world: World, chain: Chain, sql: Any
) -> None:
    set_to(world, FALLBACK)
    _, soon = await flow.split(world)
    known = dict(world.outer.orders)
    _, never = await flow.split(world)
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        world.outer.orders.clear()
        for retry, task in enumerate((soon, never)):
            assert (await payer.deliver(task, retry)).json()["status"] == "retry"
        world.outer.orders.update(known)
        assert (await payer.deliver(soon, 1)).json() == {"status": "next"}
        world.clock.at += 91
        assert (await payer.deliver(never, 2)).json()["code"] == "TOKEN_EXPIRED"
        # A payer of the release before took the first such answer for the last.
        await sql.execute("UPDATE dead_letters SET code = 'EXCHANGE_UNKNOWN'")
        assert (await splitter.sweep())["dead"] == 0
        assert (await splitter.sweep("/fallback"))["sent"] == 1
        (again,) = world.outer.take(QUEUE)
        assert (await payer.deliver(again)).json() == {"status": "next"}
        await confirm_all(world, payer)
    assert await violations(world, sql) == []


async def test_whoever_is_sent_anew_for_a_day_in_vain_is_dead_and_a_replay_has_its_day_again(
    world: World, sql: Any
) -> None:
    set_to(world, FALLBACK)
    unique_id, _ = await flow.split(world)
    async with world.run("gcsplit") as splitter:
        for _ in range(4):
            world.clock.at += DAY / 4 - 1
            assert (await splitter.sweep())["dead"] == 0
            assert (await splitter.sweep("/fallback"))["sent"] == 1
        world.clock.at += 91
        assert (await splitter.sweep("/fallback"))["sent"] == 0
        assert (await splitter.sweep())["dead"] == 1
        ledger = await balances(sql)
        assert (ledger["exchange_clearing"], ledger["dead_payouts"]) == (0, -flow.share(ETH // 20))
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()["generation"] == 6
        world.clock.at += 91
        assert (await splitter.sweep())["dead"] == 0
        assert (await splitter.sweep("/fallback"))["sent"] == 1
    dead = await sql.fetchrow("SELECT generation, error_code FROM failed_transactions")
    assert (dead["generation"], dead["error_code"]) == (5, "WINDOW_PASSED")


async def test_a_sender_that_is_killed_anywhere_in_its_fallback_sends_each_payment_all_the_same(
    world: World, chain: Chain, sql: Any
) -> None:
    set_to(world, FALLBACK)
    await flow.split(world)
    world.clock.at += 91
    async with mortal(world, "gcsplit") as splitter:
        assert (await splitter.sweep("/fallback"))["sent"] == 1
        steps = splitter.life.steps
    tasks = world.outer.take(QUEUE)
    for step in range(1, steps + 1, 3):
        await flow.split(world)
        world.clock.at += 91
        async with mortal(world, "gcsplit", die_at=step) as splitter:
            with suppress(DiedError):
                await splitter.sweep("/fallback")
        tasks += world.outer.take(QUEUE)
    world.clock.at += 91
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        for _ in range(3):
            await splitter.sweep()
            await splitter.sweep("/fallback")
            tasks += world.outer.take(QUEUE)
            for task in tasks:
                assert (await payer.deliver(task)).status == 200
            await confirm_all(world, payer)
            world.clock.at += 91
        assert (await splitter.sweep())["dead"] == 0
    splits = await sql.fetchval("SELECT count(*) FROM split_payout_que")
    assert await chain.nonce(world.wallet.address) == splits
    assert await violations(world, sql) == []
