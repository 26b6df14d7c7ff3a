"""The breaker of a token's window: what it keeps back and when it lets go; and all strategies combined at random."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from service_code.gcsplit import fallback
from service_code.gcsplit.anew import Anew
from service_code.gcsplit.fallback import Fallback
from service_code.kit.changenow import ExchangeAwayError
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import confirm_all
from tests.service_code.judged import violations
from tests.service_code.outer import Task
from tests.service_code.window import (
    A_DAY,
    BREAKER,
    BREAKS,
    DAY,
    FALLBACK,
    QUEUE,
    Strategy,
    ends,
    line,
    set_to,
)
from tests.service_code.world import BASE, World, routes

HEALTH = (BASE.format("gchostpay"), 200)


@pytest.fixture(autouse=True)
def patient_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """A payer on a busy machine is slow, not ill."""
    monkeypatch.setattr("service_code.kit.app.HEALTH_TIMEOUT", 30.0)


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


async def test_an_open_breaker_that_may_not_ask_any_more_lets_everything_through_and_does_not_call_the_payer_well(
    world: World, monkeypatch: pytest.MonkeyPatch, log_lines: list[dict[str, Any]]
) -> None:
    from tests.service_code.doors import Doors
    from tests.service_code.world import Answer

    async def refused(*_: Any) -> Answer:
        return Answer(403, "")

    set_to(world, BREAKS)
    async with world.run("gcsplit") as splitter:
        assert await splitter.kit.breakers.let_through(QUEUE) is False  # the payer does not run
        monkeypatch.setattr(Doors, "call", refused)
        world.clock.at += 11
        assert await splitter.kit.breakers.let_through(QUEUE) is True
    said = [(line["event"], line["message"]) for line in log_lines if "breaker" in line.get("event", "")]
    blind = "the receiver cannot be asked: messages are sent without knowing"
    assert said == [
        ("breaker_open", "the receiver is down: messages wait"),
        ("breaker_blind", blind),
        ("breaker_closed", blind),
    ]


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


class Slow:
    """An exchange that takes its time for each order, on a clock of the test's; and what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float, *, away: bool = False) -> None:
        self.time, self.asked = 0.0, 0
        order = Anew.order

        async def slow(anew: Anew, row: Any, now: Any) -> Any:
            self.asked += 1
            self.time += seconds
            if away:
                raise ExchangeAwayError("no answer")
            return await order(anew, row, now)

        monkeypatch.setattr(Anew, "order", slow)
        monkeypatch.setattr(fallback, "time", SimpleNamespace(monotonic=lambda: self.time))
        monkeypatch.setattr(fallback, "TOGETHER", 1)


async def test_a_slow_exchange_has_its_twenty_seconds_and_the_next_round_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(world, FALLBACK)
    for _ in range(4):
        await flow.split(world)
    Slow(monkeypatch, 9.0)
    world.clock.at += 91
    async with world.run("gcsplit") as splitter:
        assert [(await splitter.sweep("/fallback"))["sent"] for _ in range(2)] == [3, 1]


async def test_an_exchange_that_is_away_ends_the_round(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    set_to(world, FALLBACK)
    monkeypatch.setattr(fallback, "AWAY", 2)
    for _ in range(4):
        await flow.split(world)
    exchange = Slow(monkeypatch, 0.0, away=True)
    world.clock.at += 91
    async with world.run("gcsplit") as splitter:
        assert (await splitter.sweep("/fallback"))["sent"] == 0
    assert exchange.asked == 2


async def test_a_sweep_that_is_cut_off_while_it_lets_go_has_done_the_rest(
    world: World, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutOffError(BaseException):
        pass

    async def cut(*_: Any) -> int:
        raise CutOffError

    await flow.split(world)
    world.clock.at += 91
    monkeypatch.setattr(Fallback, "let_go", cut)
    async with world.run("gcsplit") as splitter:
        with pytest.raises(CutOffError):
            await splitter.sweep()
    assert await sql.fetchval("SELECT error_code FROM failed_transactions") == "WINDOW_PASSED"


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
