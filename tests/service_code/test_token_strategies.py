"""The strategies for a token's window, one by one: what each does when, and that nothing is paid twice by it."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.crashing import DiedError, mortal
from tests.service_code.flow import ETH, balances, confirm_all
from tests.service_code.judged import violations
from tests.service_code.outer import Task
from tests.service_code.window import A_DAY, BREAKER, QUEUE, Strategy, ends, line
from tests.service_code.world import BASE, World, routes

FALLBACK = Strategy(fallback=True)
DELIVERY = Strategy(policy=A_DAY, at_delivery=True)
BREAKS = Strategy(breaker=True)
HEALTH = (BASE.format("gchostpay"), 200)
DAY = 86400


def set_to(world: World, strategy: Strategy) -> None:
    world.edges[QUEUE] = strategy.edge


def generation(task: Task) -> int:
    return flow.tokens().read(task.json()["token"]).generation


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


# Strategy 5


async def test_while_the_payer_is_down_nothing_is_minted_and_then_with_the_whole_window(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    set_to(world, BREAKS)
    _, first = await flow.received(world)
    _, second = await flow.received(world)
    async with world.run("gcsplit") as splitter:
        assert (await splitter.deliver(first)).json() == {"status": "next"}
        world.clock.at += 3000
        assert (await splitter.deliver(second)).json() == {"status": "next"}
        assert world.outer.take(QUEUE) == []
        swept = await splitter.sweep()
        assert (swept["waiting_for"], swept["dead"], swept["let_go"]) == ([QUEUE], 0, 0)
        assert await sql.fetchval("SELECT count(*) FROM outbox WHERE withheld_at IS NOT NULL AND sent_at IS NULL") == 2
        async with world.run("gchostpay") as payer:
            world.clock.at += 11
            swept = await splitter.sweep()
            assert (swept["waiting_for"], swept["resent"], swept["let_go"]) == ([], 1, 1)
            tasks = world.outer.take(QUEUE)
            assert {flow.tokens().read(task.json()["token"]).issued_at.timestamp() for task in tasks} == {
                world.clock.at
            }
            for task in tasks:
                assert (await payer.deliver(task)).json() == {"status": "next"}
            await confirm_all(world, payer)
    events = [(line["event"], line["severity"]) for line in log_lines if "breaker" in line.get("event", "")]
    assert events == [("breaker_open", "ERROR"), ("breaker_closed", "WARNING")]
    assert await chain.nonce(world.wallet.address) == 2
    assert await violations(world, sql) == []


async def test_the_payer_is_asked_once_an_interval_and_once_more_while_it_is_down(world: World, chain: Chain) -> None:
    set_to(world, BREAKS)
    splits = [(await flow.received(world))[1] for _ in range(6)]
    async with world.run("gcsplit") as splitter:
        async with world.run("gchostpay"):
            await asyncio.gather(*(splitter.deliver(task) for task in splits[:3]))
            world.clock.at += 4
            await splitter.deliver(splits[3])
            assert world.doors.calls == [HEALTH]
            world.clock.at += 2
            await splitter.deliver(splits[4])
            assert world.doors.calls == [HEALTH] * 2
        world.clock.at += 5
        breaker = splitter.kit.breakers
        assert [await breaker.let_through(QUEUE) for _ in range(3)] == [False] * 3
        async with world.run("gchostpay"):
            world.clock.at += 9
            assert await breaker.let_through(QUEUE) is False  # it is up, but nobody has asked yet
            world.clock.at += 1
            assert await asyncio.gather(*(breaker.let_through(QUEUE) for _ in range(5))) == [True] + [False] * 4
            assert await breaker.let_through(QUEUE) is True
    assert len(world.doors.calls) == 3


async def test_a_payer_without_its_node_counts_as_down_unless_the_edge_says_otherwise(
    world: World, chain: Chain
) -> None:
    for opens_on, opens in (("degraded", True), ("down", False)):
        edge = BREAKS.edge
        edge["token"]["breaker"] = BREAKER | {"opens_on": opens_on, "failure_threshold": 2}
        world.edges[QUEUE] = edge
        async with (
            world.run("gchostpay", ETHEREUM_RPC_URL="http://127.0.0.1:9"),
            world.run("gcsplit") as splitter,
        ):
            assert await splitter.kit.breakers.let_through(QUEUE) is True  # one bad answer is none
            world.clock.at += 5
            assert await splitter.kit.breakers.let_through(QUEUE) is not opens


async def test_a_breaker_that_may_not_ask_lets_everything_through_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, log_lines: list[dict[str, Any]]
) -> None:
    from tests.service_code.doors import Doors
    from tests.service_code.world import Answer

    async def refused(*_: Any) -> Answer:
        return Answer(403, "")

    set_to(world, BREAKS)
    monkeypatch.setattr(Doors, "call", refused)
    await flow.split(world)
    assert flow.alerts(log_lines, "breaker_blind") == 1


async def test_what_is_kept_back_for_a_day_is_dead_and_was_never_minted(world: World, sql: Any) -> None:
    set_to(world, BREAKS)
    _, task = await flow.received(world)
    async with world.run("gcsplit") as splitter:
        await splitter.deliver(task)
        world.clock.at += DAY - 1
        assert (await splitter.sweep())["dead"] == 0
        world.clock.at += 2
        assert (await splitter.sweep())["dead"] == 1
    assert world.outer.take(QUEUE) == []
    assert await sql.fetchval("SELECT error_code FROM failed_transactions") == "NEVER_QUEUED"


# All together


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_paid_twice_or_lost_whatever_is_combined(
    world: World, chain: Chain, sql: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    at_delivery = draw.random() < 0.4
    strategy = Strategy(
        policy=A_DAY if at_delivery else Strategy().policy,
        at_delivery=at_delivery,
        fallback=draw.random() < 0.6,
        breaker=draw.random() < 0.6,
    )
    seen: list[Task] = []
    take = world.outer.take

    def remembered(queue: str) -> list[Task]:
        found = take(queue)
        seen.extend(found if queue == QUEUE else [])
        return found

    monkeypatch.setattr(world.outer, "take", remembered)
    payments: list[str] = []
    async with line(world, strategy) as hop:
        for _ in range(25):
            await hop.until(world.clock.at + draw.choice((0, 1, 7, 35, 95, 400)))
            match draw.choice(
                ("arrive", "arrive", "down", "up", "again", "behind", "lost mark", "no tasks", "fallback")
            ):
                case "arrive":
                    payments.append(await hop.arrive())
                case "down":
                    hop.go_down()
                case "up":
                    hop.come_back()
                    hop.is_full = False
                case "again" if seen:
                    await hop.payer.deliver(draw.choice(seen), 3)
                case "behind" if seen:
                    world.clock.at -= 70
                    await hop.payer.deliver(draw.choice(seen[-3:]), 3)
                    world.clock.at += 70
                case "lost mark":
                    await sql.execute("UPDATE outbox SET sent_at = NULL WHERE service = 'gcsplit'")
                case "no tasks":
                    hop.is_full = True
                case "fallback":
                    await asyncio.gather(hop.splitter.sweep("/fallback"), hop.splitter.sweep())
        hop.come_back()
        await hop.until(world.clock.at + 1000)
        if strategy.at_delivery:
            await hop.until(world.clock.at + 100)
        for task in seen:
            await hop.payer.deliver(task, 9)
        await confirm_all(world, hop.payer)
        world.clock.at += DAY + 1000
        await hop.splitter.sweep()
    became = await ends(sql, payments)
    assert became["paid"] + became["dead"] == len(payments)
    assert await chain.nonce(world.wallet.address) == became["paid"]
    assert await violations(world, sql) == []


async def test_the_direct_way_hands_over_what_the_receiver_does_not_take_to_the_same_strategies(
    world: World, chain: Chain, sql: Any
) -> None:
    set_to(world, replace(FALLBACK, breaker=True))
    direct = routes(hostpay_hop=0)
    _, first = await flow.received(world)
    _, second = await flow.received(world)
    async with world.run("gcsplit", ROUTES=direct) as splitter:
        await splitter.deliver(first)
        assert world.doors.calls == []  # kept back, and not called
        async with world.run("gchostpay") as payer:
            world.clock.at += 20
            await splitter.deliver(second)
            assert world.doors.calls == [HEALTH, HEALTH]
            world.clock.at += 91
            await splitter.sweep()
            await splitter.sweep("/fallback")
            for task in world.outer.take(QUEUE):
                assert (await payer.deliver(task)).status == 200
            await confirm_all(world, payer)
    assert await chain.nonce(world.wallet.address) == 2
    assert await violations(world, sql) == []
