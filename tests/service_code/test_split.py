"""gcsplit's promises: one split a payment, and none forgotten: the dead are recorded, alerted, and replayed once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service_code.gcsplit import sweep as sweep_module
from service_code.gcsplit.split import Splitter
from service_code.kit.deaths import bury
from service_code.kit.orders import SplitOrder
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, balances, confirm_all, share
from tests.service_code.world import INVOKER, World

HOSTPAY = "hostpay-execution-queue"


async def test_a_payment_is_split_once_however_often_it_is_delivered(world: World, sql: Any) -> None:
    units = ETH // 20 + 19
    unique_id, task = await flow.received(world, units)
    async with world.run("gcsplit") as one, world.run("gcsplit") as two:
        answers = await asyncio.gather(*(door.deliver(task) for door in (one, two) * 5))
        assert {answer.status for answer in answers} == {200}

    (pay,) = world.outer.take(HOSTPAY)
    claim = flow.tokens().read(pay.json()["token"])
    order = world.outer.orders[claim.cn_api_id]
    assert (claim.unique_id, claim.amount.units, claim.generation) == (unique_id, share(units), 1)
    assert order["exact"].scaleb(18) == share(units)
    assert order["payinAddress"] == claim.payin_address
    fee = units * 5 // 100
    assert await balances(sql) == {
        "processor_receivable": units,
        "unsplit_funds": 0,
        "exchange_clearing": -share(units),
        "platform_fees": -fee,
        "rounding": -(units - share(units) - fee),
    }
    stored = await sql.fetchval("SELECT message::text FROM outbox WHERE queue = $1", HOSTPAY)
    assert "token" not in stored


async def test_a_channel_may_have_a_share_of_its_own(world: World) -> None:
    _, task = await flow.received(world, 1000, channel_id=-5)
    async with world.run("gcsplit", SPLIT_CLIENT_PERCENT_BY_CHANNEL='{"-5": 97}') as splitter:
        await splitter.deliver(task)
    (pay,) = world.outer.take(HOSTPAY)
    assert flow.tokens().read(pay.json()["token"]).amount.units == 970


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_an_exchange_that_is_away_is_asked_again(world: World, sql: Any, status: int) -> None:
    _, task = await flow.received(world)
    world.outer.changenow_status = status
    async with world.run("gcsplit") as splitter:
        assert (await splitter.deliver(task)).status == 500
        world.outer.changenow_status = None
        assert (await splitter.deliver(task, 1)).status == 200
    assert await sql.fetchval("SELECT count(*) FROM split_payout_que") == 1


async def test_a_payment_that_the_exchange_refuses_is_dead_and_can_be_replayed_once(
    world: World, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    unique_id, task = await flow.received(world)
    world.outer.changenow_status, world.outer.changenow_refusal = 400, "not_valid_address"
    async with world.run("gcsplit") as splitter:
        assert (await splitter.deliver(task)).json()["code"] == "EXCHANGE_NOT_VALID_ADDRESS"
        assert (await splitter.deliver(task, 1)).json() == {"status": "already_dead"}
        ledger = await balances(sql)
        assert (ledger["unsplit_funds"], ledger["dead_payouts"]) == (0, -ETH // 20)
        assert sum(line.get("event") == "payment_dead" for line in log_lines) == 1
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).status == 409
        world.outer.changenow_status = None
        replays = await asyncio.gather(*(splitter.operate("POST", f"/dead/{unique_id}/replay") for _ in range(4)))
        assert sorted(answer.json()["status"] for answer in replays) == ["already_replayed"] * 3 + ["replayed"]
        assert (await splitter.operate("GET", "/dead")).json() == {"dead": []}

    assert len(world.outer.take(HOSTPAY)) == 1
    ledger = await balances(sql)
    assert (ledger["unsplit_funds"], ledger["dead_payouts"], ledger["exchange_clearing"]) == (0, 0, -share(ETH // 20))


async def test_a_host_payment_past_its_window_is_dead_alerted_and_replayed_once_with_a_fresh_order(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    unique_id, old = await flow.split(world)
    next(iter(world.outer.orders.values()))["status"] = "expired"
    async with world.run("gcsplit") as splitter, world.run("gchostpay") as payer:
        world.clock.at += 89
        assert (await splitter.sweep())["dead"] == 0
        world.clock.at += 2
        assert (await splitter.sweep())["dead"] == 1
        assert (await splitter.sweep())["dead"] == 0
        (dead,) = (await splitter.operate("GET", "/dead")).json()["dead"]
        assert (dead["unique_id"], dead["code"], dead["amount"]) == (unique_id, "WINDOW_PASSED", str(share(ETH // 20)))
        (alert,) = [line for line in log_lines if line.get("event") == "payment_dead"]
        assert (alert["severity"], alert["unique_id"], alert["code"]) == ("ERROR", unique_id, "WINDOW_PASSED")
        assert (await balances(sql))["dead_payouts"] == -share(ETH // 20)

        replays = await asyncio.gather(*(splitter.operate("POST", f"/dead/{unique_id}/replay") for _ in range(4)))
        assert sorted(answer.json()["status"] for answer in replays) == ["already_replayed"] * 3 + ["replayed"]
        (new,) = world.outer.take(HOSTPAY)
        claim = flow.tokens().read(new.json()["token"])
        assert (claim.generation, claim.cn_api_id != flow.tokens().read(old.json()["token"]).cn_api_id) == (2, True)
        assert (await payer.deliver(new)).status == 200
        assert (await payer.deliver(old, 3)).status == 200
        await confirm_all(world, payer)
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()["status"] == "already_replayed"

    assert await chain.nonce(world.wallet.address) == 1
    ledger = await balances(sql)
    assert (ledger["exchange_clearing"], ledger["dead_payouts"]) == (0, 0)


async def test_a_death_is_named_by_what_the_payer_said(world: World, chain: Chain, sql: Any) -> None:
    _, task = await flow.split(world)
    next(iter(world.outer.orders.values()))["status"] = "failed"
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        assert (await payer.deliver(task)).json()["code"] == "EXCHANGE_FAILED"
        world.clock.at += 91
        assert (await splitter.sweep())["dead"] == 1
    assert await sql.fetchval("SELECT error_code FROM failed_transactions") == "EXCHANGE_FAILED"


async def test_a_payer_whose_clock_is_behind_signs_nothing_that_is_buried(world: World, chain: Chain, sql: Any) -> None:
    unique_id, task = await flow.split(world)
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        world.clock.at += 200
        assert (await splitter.sweep())["dead"] == 1
        world.clock.at -= 150
        assert (await payer.deliver(task)).json() == {"status": "already_failed"}
        world.clock.at += 150
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()["status"] == "replayed"
        (again,) = world.outer.take(HOSTPAY)
        assert (await payer.deliver(again)).json() == {"status": "next"}
        await confirm_all(world, payer)
    assert (await balances(sql))["dead_payouts"] == 0


async def test_what_the_release_before_signed_though_it_was_buried_is_taken_back_from_the_dead(
    world: World, chain: Chain, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = "SELECT 1 WHERE $1::text IS NULL AND $2::integer IS NULL"  # it did not look
    monkeypatch.setattr("service_code.kit.wallet.signing.BURIED", before)
    unique_id, task = await flow.split(world)
    async with world.run("gchostpay") as payer, world.run("gcsplit") as splitter:
        world.clock.at += 200
        assert (await splitter.sweep())["dead"] == 1
        world.clock.at -= 150  # a payer whose clock is behind signs after all
        assert (await payer.deliver(task)).status == 200
        world.clock.at += 150
        refused = await splitter.operate("POST", f"/dead/{unique_id}/replay")
        assert (refused.status, refused.json()["error"]) == (409, "BEING_PAID")
        await confirm_all(world, payer)
        assert (await splitter.sweep())["late"] == 1
        assert (await splitter.sweep())["late"] == 0
        answer = await splitter.operate("POST", f"/dead/{unique_id}/replay")
        assert answer.json()["status"] == "already_paid_late"

    assert await chain.nonce(world.wallet.address) == 1
    ledger = await balances(sql)
    assert (ledger["exchange_clearing"], ledger["dead_payouts"]) == (0, 0)


async def test_a_host_payment_that_cannot_be_queued_goes_on_within_its_window_and_is_dead_after_it(
    world: World, sql: Any
) -> None:
    _, first = await flow.received(world)
    _, second = await flow.received(world)
    world.outer.tasks_status = 403
    async with world.run("gcsplit") as splitter:
        assert (await splitter.deliver(first)).status == 200
        world.clock.at += 60
        assert (await splitter.deliver(second)).status == 200
        world.clock.at += 35
        world.outer.tasks_status = 200
        swept = await splitter.sweep()
        assert (swept["resent"], swept["dead"]) == (1, 1)

    (task,) = world.outer.take(HOSTPAY)
    claim = flow.tokens().read(task.json()["token"])
    assert claim.issued_at.timestamp() == world.clock.at  # minted when the task was made
    assert await sql.fetchval("SELECT error_code FROM failed_transactions") == "NEVER_QUEUED"
    assert await sql.fetchval("SELECT count(*) FROM outbox WHERE cancelled_at IS NOT NULL") == 1


async def test_a_task_made_late_whose_sent_mark_was_lost_has_its_whole_window(world: World, sql: Any) -> None:
    _, task = await flow.received(world)
    world.outer.tasks_status = 403
    async with world.run("gcsplit") as splitter:
        assert (await splitter.deliver(task)).status == 200
        world.clock.at += 80
        world.outer.tasks_status = 200
        assert (await splitter.sweep())["resent"] == 1
        await sql.execute("UPDATE outbox SET sent_at = NULL WHERE service = 'gcsplit'")  # the mark was lost
        world.clock.at += 15
        assert (await splitter.sweep())["dead"] == 0  # its token is fifteen seconds old
        world.clock.at += 80
        assert (await splitter.sweep())["dead"] == 1


async def test_operators_see_the_dead_letters_of_all_services_newest_first(world: World) -> None:
    _, task = await flow.received(world)
    async with world.run("gcsplit") as splitter, world.run("gchostpay", ETHEREUM_RPC_URL="http://127.0.0.1:9") as payer:
        task.body = b"{"
        await splitter.deliver(task, 2)
        await payer.deliver(flow.pay_task("rubbish"))
        answer = await splitter.operate("GET", "/dead-letters")
        token = {"Authorization": f"Bearer {world.token('gcsplit', INVOKER)}"}
        assert (await splitter.request("GET", "/dead-letters", b"", **token)).status == 403
    newest, oldest = answer.json()["dead_letters"]
    assert (newest["service"], oldest["service"]) == ("gchostpay", "gcsplit")
    assert newest["id"] > oldest["id"]
    assert (oldest["endpoint"], oldest["code"], oldest["attempt_number"]) == ("/process_split", "NOT_JSON", 3)
    assert (oldest["task_name"], oldest["unique_id"], "body" in oldest) == (task.name, None, False)
    assert oldest["created_at"].endswith("Z")


async def test_a_crash_between_the_commit_and_the_task_is_mended_by_the_next_delivery(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service_code.kit.outbox import Outbox

    class Killed(BaseException):
        pass

    async def die(*_: Any) -> None:
        raise Killed

    _, task = await flow.received(world)
    monkeypatch.setattr(Outbox, "send", die)
    async with world.run("gcsplit") as splitter:
        with pytest.raises(Killed):
            await splitter.deliver(task)
    monkeypatch.undo()
    async with world.run("gcsplit") as splitter:
        assert (await splitter.deliver(task, 1)).json() == {"status": "next"}
        assert (await splitter.deliver(task, 2)).json() == {"status": "next"}
    assert len(world.outer.take(HOSTPAY)) == 1
    assert len(world.outer.orders) == 1


async def test_what_could_not_be_split_in_a_day_is_dead(world: World, sql: Any) -> None:
    unique_id, _ = await flow.received(world)
    async with world.run("gcsplit") as splitter, world.run("gcwebhook") as webhook:
        world.clock.at += 24 * 3600 - 10
        assert (await splitter.sweep())["dead"] == 0
        world.clock.at += 20
        assert (await splitter.sweep())["dead"] == 1
        assert (await webhook.sweep())["splits"] == 0
        world.outer.tasks.clear()
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()["status"] == "replayed"
    assert len(world.outer.take(HOSTPAY)) == 1
    assert await sql.fetchval("SELECT error_code FROM failed_transactions") == "SPLIT_WINDOW_PASSED"


async def test_a_payment_that_died_while_its_exchange_was_ordered_is_not_split(
    world: World, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, task = await flow.received(world)
    world.clock.at += 24 * 3600 + 10
    order_exchange = Splitter.order_exchange
    async with world.run("gcsplit") as splitter:

        async def slow(self: Splitter, order: SplitOrder, answer: Any, now: Any) -> Any:
            made = await order_exchange(self, order, answer, now)
            assert (await splitter.sweep())["dead"] == 1
            return made

        monkeypatch.setattr(Splitter, "order_exchange", slow)
        assert (await splitter.deliver(task)).json() == {"status": "already_processed"}
    assert await sql.fetchval("SELECT count(*) FROM split_payout_que") == 0
    ledger = await balances(sql)
    assert (ledger["unsplit_funds"], ledger["dead_payouts"]) == (0, -ETH // 20)


async def test_a_payment_that_is_split_while_the_sweep_goes_on_is_not_buried(
    world: World, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, task = await flow.received(world)
    world.clock.at += 24 * 3600 + 10
    async with world.run("gcsplit") as splitter:

        async def late(*args: Any, **more: Any) -> bool:
            assert (await splitter.deliver(task)).json() == {"status": "next"}
            return await bury(*args, **more)

        monkeypatch.setattr(sweep_module, "bury", late)
        assert (await splitter.sweep())["dead"] == 0
    assert await sql.fetchval("SELECT count(*) FROM failed_transactions") == 0
    ledger = await balances(sql)
    assert (ledger["unsplit_funds"], ledger.get("dead_payouts", 0)) == (0, 0)


async def test_a_replay_that_is_refused_has_changed_nothing(world: World, sql: Any) -> None:
    unique_id, _ = await flow.split(world)
    await sql.execute(
        """
        INSERT INTO failed_transactions (unique_id, generation, stage, error_code, error_message, currency, amount,
            from_account, status, failed_at)
        VALUES ($1, 0, 'split', 'X', 'x', 'eth', 5, 'unsplit_funds', 'dead', now())
        """,
        unique_id,
    )
    postings = await sql.fetchval("SELECT count(*) FROM ledger_postings")
    async with world.run("gcsplit") as splitter:
        answer = await splitter.operate("POST", f"/dead/{unique_id}/replay")
    assert (answer.status, answer.json()["error"]) == (409, "NOT_DEAD")
    assert await sql.fetchval("SELECT status FROM failed_transactions") == "dead"
    assert await sql.fetchval("SELECT count(*) FROM ledger_postings") == postings
