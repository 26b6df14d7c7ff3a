"""The staged payout from split to posting: who decides, what is retried, what a duplicate changes (nothing)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from service_code.kit.routes import PLACES, place, takes_new_way
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, balances, share
from tests.service_code.outer import Task
from tests.service_code.world import Answer, Running, World, routes

STAGES = ("gchostpay1", "gchostpay2", "gchostpay3")
CHECKS, STATUSES = "gchostpay-status-check-queue", "gchostpay-status-response-queue"
EXECUTIONS, RESULTS = "gchostpay-payment-execute-queue", "gchostpay-payment-response-queue"


class Line:
    """The three services, and the hand that delivers."""

    def __init__(self, world: World, running: dict[str, Running]) -> None:
        self.world = world
        self.running = running

    async def deliver(self, task: Task) -> Answer:
        return await self.running[task.service].deliver(task)

    async def run(self, tasks: list[Task]) -> None:
        """Deliver all that follows, everything twice."""
        while tasks:
            for task in tasks:
                assert (await self.deliver(task)).status == 200
                assert (await self.deliver(task)).status == 200
            tasks, self.world.outer.tasks = self.world.outer.tasks, []

    async def until(self, queue: str, task: Task) -> Task:
        """Deliver what follows until a task of that queue comes."""
        while task.queue != queue:
            assert (await self.deliver(task)).json()["status"] == "next"
            (task,), self.world.outer.tasks = self.world.outer.tasks, []
        return task


@asynccontextmanager
async def line(world: World, **more: str) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        yield Line(world, {name: await stack.enter_async_context(world.run(name, **more)) for name in STAGES})


async def triggered(world: World, units: int = ETH // 20) -> tuple[str, Task]:
    """Have a payment split on the staged way; its id and its trigger."""
    unique_id, task = await flow.received(world, units)
    async with world.run("gcsplit", ROUTES=routes(payout=100)) as splitter:
        assert (await splitter.deliver(task)).json() == {"status": "next"}
    (trigger,) = world.outer.take("gcsplit-hostpay-trigger-queue")
    return unique_id, trigger


async def test_a_staged_payout_is_paid_once_though_everything_comes_twice(world: World, chain: Chain, sql: Any) -> None:
    unique_id, trigger = await triggered(world)
    async with line(world) as stages:
        await stages.run([trigger])

    stage = await sql.fetchrow("SELECT * FROM hostpay_stages")
    paid = await sql.fetchrow("SELECT * FROM split_payout_hostpay")
    assert (stage["unique_id"], stage["state"], stage["exchange_status"]) == (unique_id, "paid", "waiting")
    assert (stage["tx_hash"], paid["status"]) == (paid["tx_hash"], "completed")
    found = await chain.ask("eth_getTransactionByHash", paid["tx_hash"])
    assert (int(found["value"], 16), found["to"]) == (share(ETH // 20), paid["payin_address"].lower())
    held = await balances(sql)
    assert held["exchange_clearing"] == 0
    assert held["host_wallet"] < 0
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_the_order_of_a_staged_payout_has_no_fixed_rate_that_runs_out(
    world: World, chain: Chain, sql: Any
) -> None:
    await triggered(world)
    (order,) = world.outer.orders.values()
    assert order["flow"] == "standard"
    assert await sql.fetchval("SELECT way FROM split_payout_que") == "staged"


@pytest.mark.parametrize("trouble", [429, 500, 503])
async def test_an_exchange_that_does_not_answer_costs_time_and_no_payment(
    world: World, chain: Chain, sql: Any, trouble: int
) -> None:
    _, trigger = await triggered(world)
    async with line(world) as stages:
        check = await stages.until(CHECKS, trigger)
        world.outer.changenow_status = trouble
        for _ in range(120):
            world.clock.at += 60
            answer = await stages.deliver(check)
            assert (answer.status, answer.json()["status"]) == (500, "retry")
        world.outer.changenow_status = None
        await stages.run([check])
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "paid"


async def test_a_node_that_is_away_costs_time_and_no_payment(world: World, chain: Chain, sql: Any) -> None:
    _, trigger = await triggered(world)
    async with line(world, ETHEREUM_RPC_URL="http://127.0.0.1:9") as stages:
        execution = await stages.until(EXECUTIONS, trigger)
        for _ in range(60):
            world.clock.at += 60
            assert (await stages.deliver(execution)).status == 500
    async with line(world) as stages:
        await stages.run([execution])
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "paid"


async def test_an_order_that_is_new_is_asked_for_again_in_a_minute(world: World, chain: Chain, sql: Any) -> None:
    _, trigger = await triggered(world)
    (order,) = world.outer.orders.values()
    order["status"] = "new"
    async with line(world) as stages:
        check = await stages.until(CHECKS, trigger)
        answer = await stages.until(STATUSES, check)
        again = await stages.until(CHECKS, answer)
        assert again.scheduled == pytest.approx(world.clock.at + 60, abs=1)
        assert again.name != check.name
        assert (await stages.deliver(answer)).status == 200  # a repeat asks no third time
        assert world.outer.tasks == []
        order["status"] = "waiting"
        await stages.run([again])
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "paid"


@pytest.mark.parametrize(
    ("status", "code"),
    [("expired", "EXCHANGE_EXPIRED"), ("exchanging", "EXCHANGE_NOT_WAITING"), ("finished", "EXCHANGE_FINISHED")],
)
async def test_an_order_that_takes_no_payment_is_refused_buried_at_once_and_replayed(
    world: World, chain: Chain, sql: Any, status: str, code: str
) -> None:
    unique_id, trigger = await triggered(world)
    (order,) = world.outer.orders.values()
    order["status"] = status
    async with line(world) as stages:
        answer = await stages.until(STATUSES, trigger)
        assert (await stages.deliver(answer)).json()["code"] == code
        async with world.run("gcsplit", ROUTES=routes(payout=0)) as splitter:
            assert (await splitter.sweep())["dead"] == 1
            assert (await balances(sql))["dead_payouts"] == -share(ETH // 20)
            replayed = await splitter.operate("POST", f"/dead/{unique_id}/replay")
            assert replayed.json()["generation"] == 2
        # A payment keeps its way, whatever the percent is now.
        await stages.run(world.outer.take("gcsplit-hostpay-trigger-queue"))
    assert (await balances(sql))["dead_payouts"] == 0
    rows = await sql.fetch("SELECT generation, state FROM hostpay_stages ORDER BY generation")
    assert [tuple(row) for row in rows] == [(1, "refused"), (2, "paid")]


async def test_a_status_that_changes_after_the_payment_was_let_through_refuses_nothing(
    world: World, chain: Chain, sql: Any
) -> None:
    _, trigger = await triggered(world)
    (order,) = world.outer.orders.values()
    async with line(world) as stages:
        check = await stages.until(CHECKS, trigger)
        execution = await stages.until(EXECUTIONS, check)
        order["status"] = "expired"
        world.outer.names.clear()  # the queue has forgotten the names: the check comes once more
        assert (await stages.deliver(check)).status == 200
        (late,) = world.outer.take(STATUSES)
        assert (await stages.deliver(late)).json()["status"] == "next"
        await stages.run([execution])
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "paid"


async def test_a_staged_payout_that_nobody_signs_in_a_day_is_dead_and_not_before(
    world: World, chain: Chain, sql: Any
) -> None:
    _, trigger = await triggered(world)
    async with line(world) as stages, world.run("gcsplit") as splitter:
        check = await stages.until(CHECKS, trigger)
        world.clock.at += timedelta(hours=23).total_seconds()
        assert (await splitter.sweep())["dead"] == 0
        world.clock.at += timedelta(hours=1, minutes=2).total_seconds()
        assert (await splitter.sweep())["dead"] == 1
        assert (await stages.deliver(check)).json()["code"] == "TOKEN_EXPIRED"
    assert await sql.fetchval("SELECT error_code FROM failed_transactions") == "WINDOW_PASSED"


async def test_tokens_enter_no_other_door(world: World) -> None:
    _, trigger = await triggered(world)
    async with line(world) as stages:
        check = await stages.until(CHECKS, trigger)
        for door, service in ((EXECUTIONS, "gchostpay3"), (STATUSES, "gchostpay1"), (RESULTS, "gchostpay1")):
            path = {EXECUTIONS: "/", STATUSES: "/status-verified", RESULTS: "/payment-completed"}[door]
            moved = Task(**{**vars(check), "url": f"https://{service}-1.us-central1.run.app{path}",
                            "audience": f"https://{service}-1.us-central1.run.app",
                            "body": b'{"token":"' + check.json()["token"].encode() + b'"}'})  # fmt: skip
            assert (await stages.deliver(moved)).json()["code"] == "TOKEN_PURPOSE"


def test_a_route_takes_about_its_share_and_never_gives_a_payment_back() -> None:
    ids = [f"pay{number:013d}" for number in range(4000)]
    assert 0 <= min(place("s", key) for key in ids) <= max(place("s", key) for key in ids) < PLACES
    before: set[str] = set()
    for percent in (0, 10, 25, 50, 75, 90, 100):
        taken = {key for key in ids if takes_new_way("s", key, percent)}
        assert before <= taken
        assert abs(len(taken) - 40 * percent) <= 130  # four standard deviations of the widest binomial
        before = taken
    assert before == set(ids)
