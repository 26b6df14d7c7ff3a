"""Payments that somebody settles by hand while deliveries of before are still on their way: each is paid once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from service_code.kit import migrate
from service_code.kit.changenow import ChangeNow, ExchangeState
from service_code.kit.clock import from_millis
from service_code.kit.money import Amount
from service_code.kit.tokens import ExecuteClaim, HostPayClaim, Purpose, Tokens
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, alerts, balances, share
from tests.service_code.outer import Task
from tests.service_code.test_staged import CHECKS, EXECUTIONS, RESULTS, STATUSES, line, triggered
from tests.service_code.test_staged_failures import NEWS, RETRIES, TOO_MUCH, exhausted
from tests.service_code.world import SECRETS, World

LIMITS = {"PAYOUT_LIMIT_ETH": "1000000", "DAY_LIMIT_ETH": "1000000"}
TRIGGERS = "gcsplit-hostpay-trigger-queue"
DEATH = """
    INSERT INTO failed_transactions (unique_id, generation, stage, error_code, error_message, currency, amount,
        from_account, status, failed_at)
    VALUES ($1, 1, 'hostpay', 'WINDOW_PASSED', 'x', 'eth', $2, 'exchange_clearing', $3, now())
"""


async def rich(world: World, chain: Chain) -> None:
    await chain.ask("anvil_setBalance", world.wallet.address, hex(3 * TOO_MUCH))


async def test_a_payment_that_is_settled_while_its_replay_asks_the_exchange_is_not_replayed(
    world: World, chain: Chain, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    async with line(world, **LIMITS) as stages, world.run("gcsplit") as splitter:
        await exhausted(stages, trigger)
        await stages.run(world.outer.take(NEWS))
        await rich(world, chain)
        real = ChangeNow.state
        settled: list[str] = []

        async def state(self: ChangeNow, order_id: str) -> ExchangeState:
            if not settled:
                body = {"note": "paid by hand"}
                answer = await splitter.operate("POST", f"/failed-transactions/{unique_id}/recovered", body)
                settled.append(answer.json()["status"])
            return await real(self, order_id)

        monkeypatch.setattr(ChangeNow, "state", state)
        replayed = await splitter.operate("POST", f"/dead/{unique_id}/replay")
        assert (settled, replayed.json()["status"]) == (["recovered"], "already_recovered")
        assert world.outer.take(TRIGGERS) == []
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay") == 0
    assert (await balances(sql))["settled_outside"] == -share(TOO_MUCH)
    async with world.run("gcwebhook") as webhook:
        assert (await webhook.operate("GET", f"/payments/{unique_id}")).json()["status"] == "recovered"


@pytest.mark.parametrize("how", ["recovered", "replayed"])
async def test_a_delivery_of_a_buried_payout_signs_nothing_however_its_death_was_closed(
    world: World, chain: Chain, sql: Any, how: str
) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    async with line(world, **LIMITS) as stages, world.run("gcsplit") as splitter:
        stale = await stages.until(EXECUTIONS, trigger)
        world.outer.names.clear()
        await exhausted(stages, stale)
        await stages.run(world.outer.take(NEWS))
        if how == "recovered":
            await splitter.operate("POST", f"/failed-transactions/{unique_id}/recovered", {"note": "paid by hand"})
        else:
            next(iter(world.outer.orders.values()))["status"] = "expired"
            await splitter.operate("POST", f"/dead/{unique_id}/replay")
        await rich(world, chain)
        assert (await stages.deliver(stale)).json()["status"] == "already_failed"
        assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay") == 0
        await stages.run(world.outer.take(TRIGGERS))
    rows = await sql.fetch("SELECT generation, status FROM split_payout_hostpay")
    assert [tuple(row) for row in rows] == ([] if how == "recovered" else [(2, "completed")])


async def test_a_split_that_was_settled_outside_is_not_split_again(world: World, chain: Chain, sql: Any) -> None:
    unique_id, task = await flow.received(world)
    world.outer.changenow_status = 503
    async with world.run("gcsplit") as splitter:
        assert (await splitter.deliver(task)).status == 500
        world.clock.at += 25 * 3600
        assert (await splitter.sweep())["dead"] == 1
        await splitter.operate("POST", f"/failed-transactions/{unique_id}/recovered", {"note": "by hand"})
        world.outer.changenow_status = None
        assert (await splitter.deliver(task)).json()["status"] == "already_dead"
    assert await sql.fetchval("SELECT count(*) FROM split_payout_que") == 0


async def test_an_answer_that_comes_after_the_payouts_day_lets_nothing_through(
    world: World, chain: Chain, sql: Any
) -> None:
    unique_id, trigger = await triggered(world)
    async with line(world) as stages:
        check = await stages.until(CHECKS, trigger)
        world.clock.at += 86400 - 10
        answer = await stages.until(STATUSES, check)
        world.clock.at += 20
        assert (await stages.deliver(answer)).json()["code"] == "TOKEN_EXPIRED"
    assert tuple(await sql.fetchrow("SELECT state, error_code FROM hostpay_stages")) == ("refused", "TOKEN_EXPIRED")
    assert unique_id


async def test_an_answer_about_a_payout_that_is_dead_lets_nothing_through(world: World, chain: Chain, sql: Any) -> None:
    unique_id, trigger = await triggered(world)
    async with line(world) as stages:
        answer = await stages.until(STATUSES, trigger)
        await sql.execute(DEATH, unique_id, share(ETH // 20), "replayed")
        assert (await stages.deliver(answer)).json()["status"] == "already_failed"
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "checking"


async def test_what_is_being_paid_cannot_be_settled_outside(world: World, chain: Chain, sql: Any) -> None:
    unique_id, pay = await flow.split(world)
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        await payer.deliver(pay)
        # A death beside the payout, as a release of before could write it.
        await sql.execute("UPDATE split_payout_que SET status = 'dead'")
        await sql.execute(DEATH, unique_id, share(ETH // 20), "dead")
        answer = await splitter.operate("POST", f"/failed-transactions/{unique_id}/recovered", {"note": "x"})
        assert (answer.status, answer.json()["error"]) == (409, "BEING_PAID")


@pytest.mark.parametrize("settled", ["dead", "recovered"])
async def test_a_payment_that_was_paid_late_and_then_was_not_dies_as_of_the_next_generation(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]], settled: str
) -> None:
    unique_id, pay = await flow.split(world)
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        await payer.deliver(pay)
        await sql.execute("UPDATE split_payout_que SET status = 'dead'")
        await sql.execute(DEATH, unique_id, share(ETH // 20), settled)
        await splitter.sweep()
        assert alerts(log_lines, "payment_paid_twice") == (settled == "recovered")
        await sql.execute("UPDATE split_payout_hostpay SET status = 'failed', error_code = 'REVERTED'")
        dead = (await splitter.sweep())["dead"]
        if settled == "recovered":  # nothing is written that would move its money once more
            assert (dead, alerts(log_lines, "died_before")) == (0, 1)
            assert await sql.fetchval("SELECT status FROM split_payout_que") == "pending_hostpay"
            assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0
            return
        rows = await sql.fetch("SELECT generation, status, error_code FROM failed_transactions ORDER BY generation")
        assert [tuple(row) for row in rows] == [(1, "paid_late", "WINDOW_PASSED"), (2, "dead", "REVERTED")]
        replayed = await splitter.operate("POST", f"/dead/{unique_id}/replay")
        assert replayed.json()["generation"] == 3


async def test_a_death_that_is_looked_into_is_replayed_only_when_it_is_set_back(
    world: World, chain: Chain, sql: Any
) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    async with line(world, **LIMITS) as stages, world.run("gcsplit") as splitter:
        await exhausted(stages, trigger)
        mark, replay = f"/failed-transactions/{unique_id}/status", f"/dead/{unique_id}/replay"
        await splitter.operate("POST", mark, {"status": "investigating"})
        answer = await splitter.operate("POST", replay)
        assert (answer.status, answer.json()["error"]) == (409, "INVESTIGATING")
        await splitter.operate("POST", mark, {"status": "dead"})
        assert (await splitter.operate("POST", replay)).json()["status"] == "replayed"


async def test_many_at_once_replay_and_settle_a_payment_once(world: World, chain: Chain, sql: Any) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    async with line(world, **LIMITS) as stages, world.run("gcsplit") as splitter:
        await exhausted(stages, trigger)
        settle, replay = f"/failed-transactions/{unique_id}/recovered", f"/dead/{unique_id}/replay"
        answers = await asyncio.gather(
            *(splitter.operate("POST", settle, {"note": str(number)}) for number in range(3)),
            *(splitter.operate("POST", replay) for _ in range(3)),
        )
        assert {answer.status for answer in answers} == {200}
        told = len(world.outer.take(TRIGGERS))
    held = await balances(sql)
    assert held["dead_payouts"] == 0
    assert (told, held.get("settled_outside", 0)) in ((1, 0), (0, -share(TOO_MUCH)))


async def test_a_hash_that_is_none_is_refused_even_beside_a_note(world: World, chain: Chain, sql: Any) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    async with line(world, **LIMITS) as stages, world.run("gcsplit") as splitter:
        await exhausted(stages, trigger)
        body = {"tx_hash": "garbage", "note": "n"}
        assert (await splitter.operate("POST", f"/failed-transactions/{unique_id}/recovered", body)).status == 400


async def test_a_payout_that_nobody_has_split_becomes_a_letter(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    now = from_millis(round(world.clock.at * 1000))
    claim = ExecuteClaim(
        unique_id="nobody", cn_api_id="cn1", issued_at=now, amount=Amount(currency="eth", units=TOO_MUCH),
        network="eth", payin_address="0x" + "ab" * 20, attempt_count=2, first_attempt_at=now,
    )  # fmt: skip
    token = Tokens(SECRETS["HOSTPAY_INTERNAL_SIGNING_KEY"], Purpose.PAYMENT_EXECUTE, ExecuteClaim).mint(claim)
    async with world.run("gchostpay3", **LIMITS) as payer:
        assert (await payer.deliver(execution(token))).json()["code"] == "NOT_A_SPLIT_PAYMENT"
    assert await sql.fetchval("SELECT code FROM dead_letters") == "NOT_A_SPLIT_PAYMENT"
    assert alerts(log_lines, "dead_letter") == 1
    assert await sql.fetchval("SELECT count(*) FROM failed_transactions") == 0


async def test_a_payout_whose_generation_has_died_is_not_given_up_again(world: World, chain: Chain, sql: Any) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    async with line(world, **LIMITS) as stages:
        task = await stages.until(EXECUTIONS, trigger)
        for _ in range(2):
            await stages.deliver(task)
            (task,) = world.outer.take(RETRIES)
            world.clock.at += 60
        await sql.execute(DEATH, unique_id, share(TOO_MUCH), "paid_late")
        assert (await stages.deliver(task)).json()["status"] == "already_failed"
    assert await sql.fetchval("SELECT status FROM split_payout_que") == "pending_hostpay"
    assert world.outer.slack == []


def execution(token: str) -> Task:
    """An execution's task around any token."""
    door = "https://gchostpay3-1.us-central1.run.app"
    return Task(
        queue=EXECUTIONS,
        name="made-by-hand",
        url=f"{door}/",
        body=f'{{"token":"{token}"}}'.encode(),
        headers={},
        audience=door,
        invoker="invoker@p.iam.gserviceaccount.com",
    )


async def test_the_schema_of_failures_goes_down_and_up_with_deaths_in_it(
    world: World, chain: Chain, sql: Any, database: str
) -> None:
    unique_id, trigger = await triggered(world, TOO_MUCH)
    async with line(world, **LIMITS) as stages, world.run("gcsplit") as splitter:
        await exhausted(stages, trigger)
        await splitter.operate("POST", f"/failed-transactions/{unique_id}/recovered", {"note": "by hand"})
    before, newest = await balances(sql), await sql.fetchval("SELECT max(version) FROM schema_migrations")
    url = database.format(user="postgres")
    while await sql.fetchval("SELECT max(version) FROM schema_migrations") >= "20261123000002":
        assert await asyncio.to_thread(migrate.run, "down", url) == 0
    assert await sql.fetchval("SELECT status FROM failed_transactions") == "replayed"
    assert await asyncio.to_thread(migrate.run, "up", url) == 0
    assert await sql.fetchval("SELECT max(version) FROM schema_migrations") == newest
    assert await balances(sql) == before


@pytest.mark.parametrize("what", ["gone", "another address", "another amount"])
async def test_a_replay_never_keeps_an_order_that_is_not_this_payments(
    world: World, chain: Chain, sql: Any, what: str
) -> None:
    unique_id, trigger = await triggered(world)
    (order_id,) = world.outer.orders
    order = world.outer.orders[order_id]
    async with line(world) as stages, world.run("gcsplit") as splitter:
        if what == "gone":
            await sql.execute("UPDATE split_payout_que SET status = 'dead'")
            await sql.execute(DEATH, unique_id, share(ETH // 20), "dead")
            world.outer.orders["another"] = world.outer.orders.pop(order_id)
        else:
            order.update({"payinAddress": "0x" + "12" * 20} if what == "another address" else {"expectedAmountFrom": 7})
            answer = await stages.until(STATUSES, trigger)
            assert (await stages.deliver(answer)).json()["code"] == "EXCHANGE_MISMATCH"
            assert (await splitter.sweep())["dead"] == 1
        replayed = (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()
        assert (replayed["status"], replayed["cn_api_id"] == order_id) == ("replayed", False)


async def test_a_payout_whose_tasks_cannot_be_made_dies_after_its_days(world: World, chain: Chain, sql: Any) -> None:
    _, trigger = await triggered(world)
    async with line(world) as stages, world.run("gcsplit") as splitter:
        world.outer.tasks_status = 403
        await stages.deliver(trigger)
        died = []
        for hour in range(4, 73, 4):
            world.clock.at += 4 * 3600
            await stages.running["gchostpay1"].sweep()
            if (await splitter.sweep())["dead"]:
                died.append(hour)
        assert died == [48]  # the token of the last attempt of its day, after 20 hours, could be good for a day more
        world.outer.tasks_status = 200
        assert (await stages.running["gchostpay1"].sweep())["resent"] == 0


@pytest.mark.parametrize("changed", ["amount", "payin_address", "cn_api_id"])
async def test_nothing_is_signed_but_what_the_split_has_written(
    world: World, chain: Chain, sql: Any, changed: str
) -> None:
    _, trigger = await triggered(world)
    async with line(world) as stages:
        task = await stages.until(EXECUTIONS, trigger)
        tokens = Tokens(SECRETS["HOSTPAY_INTERNAL_SIGNING_KEY"], Purpose.PAYMENT_EXECUTE, ExecuteClaim)
        other: dict[str, Any] = {
            "amount": Amount(currency="eth", units=1),
            "payin_address": "0x" + "12" * 20,
            "cn_api_id": "cn2",
        }
        claim = replace(tokens.read(task.json()["token"]), **{changed: other[changed]})
        assert (await stages.deliver(execution(tokens.mint(claim)))).json()["code"] == "NOT_AS_SPLIT"
        await stages.run([task])
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay") == 1


async def test_the_documents_tokens_open_no_payout_unless_config_says_so(world: World, chain: Chain, sql: Any) -> None:
    _, trigger = await triggered(world)
    async with line(world) as stages:
        check = await stages.until(CHECKS, trigger)
        checks = Tokens(SECRETS["HOSTPAY_INTERNAL_SIGNING_KEY"], Purpose.STATUS_CHECK, HostPayClaim)
        old = execution(checks.mint(checks.read(check.json()["token"]), version=1))
        assert (await stages.deliver(old)).json()["code"] == "TOKEN_OLD_LAYOUT"
        triggers = Tokens(SECRETS["TPS_HOSTPAY_SIGNING_KEY"], Purpose.HOSTPAY_TRIGGER, HostPayClaim)
        token = triggers.mint(triggers.read(trigger.json()["token"]), version=1)
        asked = replace(trigger, body=f'{{"token":"{token}"}}'.encode())
        assert (await stages.deliver(asked)).json()["code"] == "TOKEN_OLD_LAYOUT"
    async with line(world, OLD_TOKENS="true") as stages:
        assert (await stages.deliver(asked)).json()["status"] == "next"


async def test_a_mined_payout_of_which_no_news_came_is_closed_by_the_sweeper_and_news_change_nothing(
    world: World, chain: Chain, sql: Any
) -> None:
    _, trigger = await triggered(world)
    async with line(world) as stages:
        (news,) = [await stages.until(RESULTS, trigger)]
        assert (await stages.running["gchostpay1"].sweep())["closed"] == 0
        world.clock.at += 700
        assert (await stages.running["gchostpay1"].sweep())["closed"] == 1
        closed = await sql.fetchrow("SELECT state, tx_hash, closed_at FROM hostpay_stages")
        assert (closed["state"], closed["tx_hash"]) == (
            "paid",
            await sql.fetchval("SELECT tx_hash FROM split_payout_hostpay"),
        )
        world.clock.at += 60
        assert (await stages.deliver(news)).json()["status"] == "completed"
    assert await sql.fetchval("SELECT closed_at FROM hostpay_stages") == closed["closed_at"]


async def test_two_sweepers_raise_a_fee_once(world: World, chain: Chain, sql: Any) -> None:
    chain.automine = False
    _, pay = await flow.split(world)
    async with world.run("gchostpay") as payer, world.run("gchostpay3") as other:
        await payer.deliver(pay)
        world.clock.at += 100
        await asyncio.gather(payer.sweep(), other.sweep())
    assert await sql.fetchval("SELECT count(*) FROM tx_variants") == 2


async def test_a_token_from_the_future_waits_for_the_clocks(world: World, chain: Chain, sql: Any) -> None:
    _, trigger = await triggered(world)
    async with line(world) as stages:
        for queue in (TRIGGERS, CHECKS, STATUSES, EXECUTIONS):
            trigger = await stages.until(queue, trigger)
            world.clock.at -= 31
            assert (await stages.deliver(trigger)).status == 500
            world.clock.at += 31
        await stages.run([trigger])
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "paid"


@pytest.mark.parametrize("status", ["", "wait\ning", "no_such_order"])
async def test_an_order_that_the_exchange_does_not_tell_of_is_asked_for_again(
    world: World, chain: Chain, sql: Any, status: str
) -> None:
    _, trigger = await triggered(world)
    (order_id,) = world.outer.orders
    order = world.outer.orders[order_id]
    async with line(world) as stages:
        check = await stages.until(CHECKS, trigger)
        if status == "no_such_order":
            del world.outer.orders[order_id]
        else:
            order["status"] = status
        if status == "":
            assert (await stages.deliver(check)).status == 500
        else:
            check = await stages.until(CHECKS, await stages.until(STATUSES, check))
        world.outer.orders[order_id] = {**order, "status": "waiting"}
        await stages.run([check])
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "paid"


async def test_an_order_that_stays_unknown_is_refused(world: World, chain: Chain, sql: Any) -> None:
    _, trigger = await triggered(world)
    world.outer.orders.clear()
    async with line(world) as stages:
        answer = await stages.until(STATUSES, trigger)
        world.clock.at += 600
        assert (await stages.deliver(answer)).json()["code"] == "EXCHANGE_UNKNOWN"
