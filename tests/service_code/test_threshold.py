"""The threshold payout from notice to last posting: gathered at once, converted when it can be, paid once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, alerts
from tests.service_code.gathering import (
    BATCH,
    CONVERT,
    KEPT,
    PAID,
    TRIGGER,
    WORTH,
    books,
    gathered,
    gathering,
)
from tests.service_code.world import World


async def test_a_threshold_that_is_just_met_pays_all_in_one_though_everything_comes_twice(
    world: World, chain: Chain, sql: Any
) -> None:
    tasks = await gathered(world, "291", count=2)
    async with gathering(world) as line:
        await line.run(tasks)
    batch = await sql.fetchrow("SELECT * FROM payout_batches")
    assert (batch["members"], batch["amount"], batch["amount_usdt"]) == (2, 2 * KEPT, 2 * WORTH)
    paid = await sql.fetchrow("SELECT * FROM split_payout_hostpay")
    assert (paid["unique_id"], paid["status"]) == (batch["batch_id"], "completed")
    found = await chain.ask("eth_getTransactionByHash", paid["tx_hash"])
    assert int(found["value"], 16) == 2 * KEPT
    (order,) = world.outer.orders.values()
    assert (order["exact"], order["flow"]) == (Decimal(2 * KEPT) / ETH, "standard")
    held = await books(sql)
    assert held["accumulated_funds"] == held["exchange_clearing"] == held["unsplit_funds"] == 0
    assert held["platform_fees"] == -2 * PAID * 3 // 100
    assert held["host_wallet"] + held["gas_expense"] == -2 * KEPT
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_one_unit_short_waits_for_the_next_payment(world: World, chain: Chain, sql: Any) -> None:
    async with gathering(world) as line:
        await line.run(await gathered(world, "145.500001"))
        assert await sql.fetchval("SELECT count(*) FROM payout_batches") == 0
        assert (await books(sql))["accumulated_funds"] == -KEPT
        world.clock.at += 60
        assert (await line.running["gcbatchprocessor"].sweep())["sent"] == 0
        await line.run(await gathered(world, "145.500001", units=10**15))
    assert await sql.fetchval("SELECT members FROM payout_batches") == 2
    assert (await books(sql))["accumulated_funds"] == 0


async def test_an_exchange_that_is_down_delays_conversions_and_nothing_else(
    world: World, chain: Chain, sql: Any
) -> None:
    world.outer.changenow_status = 503
    tasks = await gathered(world, "291", count=2)
    async with gathering(world) as line:
        for task in tasks:
            assert await line.status(task) == "next"
            assert await line.status(task) == "next"
        assert world.outer.estimates == []
        assert (await books(sql))["accumulated_funds"] == -2 * KEPT
        questions = world.outer.take(CONVERT)
        assert len(questions) == 2
        for _ in range(10):
            world.clock.at += 60
            for question in questions:
                assert (await line.deliver(question)).status == 500
        row = await sql.fetchrow(
            "SELECT conversion_status, conversion_attempts, extract(epoch FROM last_conversion_attempt)::bigint, "
            "accumulated_usdt FROM payout_accumulation LIMIT 1"
        )
        assert tuple(row) == ("pending", 10, int(world.clock.at), None)
        waiting = (await line.running["gcsplit2"].operate("GET", "/conversions")).json()["conversions"]
        assert [one["attempts"] for one in waiting] == [10, 10]
        world.outer.changenow_status = None
        await line.run(questions)
    row = await sql.fetchrow(
        "SELECT conversion_status, conversion_attempts, accumulated_usdt, eth_to_usdt_rate::text AS rate "
        "FROM payout_accumulation LIMIT 1"
    )
    assert tuple(row) == ("completed", 11, WORTH, "3000.000000000000")
    assert (await books(sql))["accumulated_funds"] == 0


async def test_conversions_and_batches_at_once_make_one_batch(world: World, chain: Chain, sql: Any) -> None:
    tasks = await gathered(world, "1164", count=8)
    async with gathering(world) as line, world.run("gcsplit2") as second, world.run("gcbatchprocessor") as other:
        for task in tasks:
            await line.deliver(task)
        questions = world.outer.take(CONVERT)
        both = [service.deliver(task) for task in questions for service in (line.running["gcsplit2"], second)]
        assert {answer.status for answer in await asyncio.gather(*both)} == {200}
        due = world.outer.take(BATCH)
        assert due
        both = [service.deliver(task) for task in due for service in (line.running["gcbatchprocessor"], other)]
        statuses = [answer.json()["status"] for answer in await asyncio.gather(*both)]
        assert statuses.count("sent") == 1, statuses
        triggers = world.outer.take(TRIGGER)
        assert len(triggers) == 1
        await line.run(triggers)
    assert await sql.fetchval("SELECT count(*) FROM payout_batches") == 1
    assert await sql.fetchval("SELECT count(DISTINCT batch_id) FROM payout_accumulation") == 1
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay") == 1
    assert (await books(sql))["accumulated_funds"] == 0


async def test_conversions_that_wait_for_an_hour_wake_somebody(
    world: World, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    (task,) = await gathered(world, "100")
    async with world.run("gcaccumulator") as accumulator, world.run("gcsplit2") as converter:
        await accumulator.deliver(task)
        for minutes, woken in ((0, 0), (59, 0), (2, 1)):
            world.clock.at += 60 * minutes
            assert (await converter.sweep())["pending"] == 1
            assert alerts(log_lines, "conversions_stuck") == woken


async def test_a_payment_of_which_the_fee_leaves_nothing_is_buried_once(world: World, sql: Any) -> None:
    (task,) = await gathered(world, "100", units=1)
    async with world.run("gcaccumulator") as accumulator, world.run("gcwebhook") as webhook:
        assert (await accumulator.deliver(task)).json()["code"] == "AMOUNT_TOO_SMALL"
        assert (await accumulator.deliver(task)).json()["status"] == "already_dead"
        world.clock.at += 7200
        assert (await webhook.sweep())["gathered"] == 0
    assert (await books(sql))["dead_payouts"] == -1


async def test_a_batch_whose_trigger_is_lost_dies_after_its_day_and_is_replayed(
    world: World, chain: Chain, sql: Any
) -> None:
    tasks = await gathered(world, "291", count=2)
    async with gathering(world) as line, world.run("gcsplit") as splitter:
        while not world.outer.take(TRIGGER):
            for task in tasks:
                assert (await line.deliver(task)).status == 200
            tasks = [task for task in world.outer.tasks if task.queue != TRIGGER]
            world.outer.tasks = [task for task in world.outer.tasks if task.queue == TRIGGER]
        world.clock.at += 24 * 3600
        assert (await splitter.sweep())["dead"] == 0
        world.clock.at += 60
        assert (await splitter.sweep())["dead"] == 1
        await line.running["gcbatchprocessor"].sweep()
        batch = await sql.fetchrow("SELECT batch_id, status FROM payout_batches")
        assert batch["status"] == "failed"
        assert (await books(sql))["dead_payouts"] == -2 * KEPT
        answer = await splitter.operate("POST", f"/dead/{batch['batch_id']}/replay")
        assert answer.json()["status"] == "replayed"
        await line.run(world.outer.take(TRIGGER))
    held = await books(sql)
    assert held["dead_payouts"] == held["accumulated_funds"] == held["exchange_clearing"] == 0


async def test_clients_do_not_share_a_batch(world: World, chain: Chain, sql: Any) -> None:
    async with gathering(world) as line:
        await line.run(await gathered(world, "200"))
        await line.run(await gathered(world, "200", client_wallet="0x" + "ef" * 20))
        assert await sql.fetchval("SELECT count(*) FROM payout_batches") == 0
        await line.run(await gathered(world, "200"))
    batch = await sql.fetchrow("SELECT members, client_wallet FROM payout_batches")
    assert tuple(batch) == (2, "0x" + "cd" * 20)
    assert (await books(sql))["accumulated_funds"] == -KEPT


async def test_what_is_refused_for_good_has_failed_until_an_operator_asks_again(
    world: World, chain: Chain, sql: Any
) -> None:
    world.outer.changenow_status, world.outer.changenow_refusal = 400, "pair_is_inactive"
    (task,) = await gathered(world, "100")
    async with gathering(world) as line:
        await line.deliver(task)
        (question,) = world.outer.take(CONVERT)
        assert (await line.deliver(question)).json()["code"] == "EXCHANGE_PAIR_IS_INACTIVE"
        assert await line.status(question) == "already_failed"
        (waiting,) = (await line.running["gcsplit2"].operate("GET", "/conversions")).json()["conversions"]
        assert (waiting["status"], waiting["accumulated"]) == ("failed", str(KEPT))
        world.outer.changenow_status = None
        path = f"/conversions/{waiting['unique_id']}/retry"
        assert (await line.running["gcsplit2"].operate("POST", path)).json()["status"] == "pending"
        assert (await line.running["gcsplit2"].operate("POST", path)).json()["status"] == "already_pending"
        await line.run(world.outer.take(CONVERT))
    assert (await books(sql))["exchange_clearing"] == 0
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"


@pytest.mark.parametrize("lost", ["message", "exchange"])
async def test_a_batch_whose_message_is_lost_or_whose_exchange_is_away_is_sent_by_the_sweeper(
    world: World, chain: Chain, sql: Any, lost: str
) -> None:
    (task,) = await gathered(world, "100")
    async with gathering(world) as line:
        await line.deliver(task)
        (question,) = world.outer.take(CONVERT)
        await line.deliver(question)
        (due,) = world.outer.take(BATCH)
        batches = line.running["gcbatchprocessor"]
        if lost == "exchange":
            world.outer.changenow_status = 503
            assert (await line.deliver(due)).status == 500
            assert (await line.deliver(due)).status == 500
            world.clock.at += 60
            assert (await batches.sweep())["sent"] == 0
            world.outer.changenow_status = None
        world.clock.at += 60
        assert (await batches.sweep())["sent"] == 1
        assert (await batches.sweep())["sent"] == 0
        assert await line.status(due) == "below_threshold"
        await line.run(world.outer.take(TRIGGER))
    assert await sql.fetchval("SELECT count(*) FROM payout_batches") == 1
    assert (await books(sql))["accumulated_funds"] == 0


async def test_a_batch_that_the_exchange_refuses_keeps_its_money_and_holds_up_its_client_until_asked_again(
    world: World, chain: Chain, sql: Any
) -> None:
    (task,) = await gathered(world, "100")
    async with gathering(world) as line:
        await line.deliver(task)
        (question,) = world.outer.take(CONVERT)
        await line.deliver(question)
        (due,) = world.outer.take(BATCH)
        world.outer.changenow_status, world.outer.changenow_refusal = 400, "not_valid_address"
        assert await line.status(due) == "refused"
        world.outer.changenow_status = None
        assert await line.status(due) == "refused"
        await line.run(await gathered(world, "100"))
        assert (await books(sql))["accumulated_funds"] == -2 * KEPT
        batches = line.running["gcbatchprocessor"]
        (refused,) = (await batches.operate("GET", "/batches")).json()["batches"]
        assert (refused["error_code"], refused["members"]) == ("EXCHANGE_NOT_VALID_ADDRESS", 1)
        path = f"/batches/{refused['batch_id']}/retry"
        assert (await batches.operate("POST", path)).json()["status"] == "sent"
        assert (await batches.operate("POST", path)).json()["status"] == "already_sent"
        await line.run(world.outer.take(TRIGGER))
        world.clock.at += 60
        assert (await batches.sweep())["sent"] == 1
        await line.run(world.outer.take(TRIGGER))
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay WHERE status = 'completed'") == 2
    assert (await books(sql))["accumulated_funds"] == 0


async def test_a_batch_that_fails_is_told_is_replayed_like_any_payout_and_paid_once(
    world: World, chain: Chain, sql: Any
) -> None:
    (task,) = await gathered(world, "100")
    async with gathering(world, PAYOUT_LIMIT_ETH="0.001") as line, world.run("gcsplit") as splitter:
        await line.run([task])
        batch = await sql.fetchrow("SELECT batch_id, status, error_code FROM payout_batches")
        assert tuple(batch)[1:] == ("failed", "OVER_PAYMENT_LIMIT")
        assert (await books(sql))["dead_payouts"] == -KEPT
        assert await sql.fetchval("SELECT unique_id FROM failed_transactions") == batch["batch_id"]
        path = f"/failed-transactions/{batch['batch_id']}/retry"
        assert (await splitter.operate("POST", path)).json()["status"] == "replayed"
        assert (await line.running["gcbatchprocessor"].sweep())["noted"] == 1
        trigger = world.outer.take(TRIGGER)
    async with gathering(world) as line, world.run("gcsplit") as splitter, world.run("gchostpay") as payer:
        await line.run(trigger)
        await chain.mine(100)
        world.clock.at += 100
        await payer.sweep()
        await splitter.sweep()
        await line.running["gcbatchprocessor"].sweep()
    assert await sql.fetchval("SELECT status FROM payout_batches") == "paid"
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay WHERE status = 'completed'") == 1
    held = await books(sql)
    assert held["dead_payouts"] == held["accumulated_funds"] == 0


async def test_a_payment_of_a_threshold_is_put_anew_until_it_is_accumulated_and_never_dies(
    world: World, sql: Any
) -> None:
    await gathered(world, "100")
    async with world.run("gcwebhook") as webhook, world.run("gcsplit") as splitter:
        for _ in range(30):
            world.clock.at += 3700
            assert (await splitter.sweep())["dead"] == 0
            assert (await webhook.sweep())["gathered"] == 1
        assert world.outer.take("split-payment-queue") == []
        *_, task = world.outer.take("gcaccumulator-queue")
        async with world.run("gcaccumulator") as accumulator:
            assert (await accumulator.deliver(task)).json()["status"] == "next"
        world.clock.at += 7200
        assert (await webhook.sweep())["gathered"] == 0
    assert (await books(sql))["accumulated_funds"] == -KEPT


async def test_the_timeline_of_one_payment_goes_through_its_batch(world: World, chain: Chain, sql: Any) -> None:
    tasks = await gathered(world, "291", count=2)
    async with gathering(world) as line:
        await line.run(tasks)
    unique_id = tasks[0].json()["unique_id"]
    async with world.run("gcwebhook") as webhook:
        seen = (await webhook.operate("GET", f"/payments/{unique_id}")).json()
        batch = (await webhook.operate("GET", f"/payments/{seen['batch']['batch_id']}")).json()
    assert seen["status"] == batch["status"] == "paid"
    hops = {hop["hop"] for hop in seen["hops"]}
    expected = ("accumulated", "converted", "batch assembled", "batch ordered", "staged payout paid", "payout mined")
    assert hops >= {"received", f"queued on {CONVERT}", f"queued on {TRIGGER}", *expected}
    keys = [posting["entry_key"].partition(":")[0] for posting in seen["ledger"]]
    assert sorted(keys) == ["accumulate", "batch", "gas", "notice", "payout"]
    assert len({payout["tx_hash"] for payout in seen["payouts"]}) == 1


async def test_operators_see_which_channels_wait_for_what(world: World) -> None:
    async with world.run("gcwebhook", THRESHOLD_BY_CHANNEL='{"-7": 250, "8": "0.5"}') as webhook:
        told = await webhook.operate("GET", "/thresholds")
    assert told.json() == {"thresholds": {"-7": "250", "8": "0.5"}}


@pytest.mark.parametrize("wrong", ['{"-1": "x"}', '{"a": "1"}', '{"-1": "0"}', "[]", "{"])
async def test_thresholds_that_are_none_are_refused_at_start(world: World, wrong: str) -> None:
    from service_code.kit.settings import SettingsError

    with pytest.raises(SettingsError, match="THRESHOLD_BY_CHANNEL"):
        async with world.run("gcwebhook", THRESHOLD_BY_CHANNEL=wrong):
            pass
