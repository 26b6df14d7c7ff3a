"""The direct way of the two hops (USE_CLOUD_TASKS=false): it pays, loses nothing, and gives way to the queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_code.kit.routes import takes_new_way
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, balances
from tests.service_code.notices import ipn, notify, order
from tests.service_code.outer import Task
from tests.service_code.world import BASE, Running, World, routes

DIRECT = routes(split_hop=0, hostpay_hop=0)
HOPS = ("split-payment-queue", "hostpay-execution-queue")


@asynccontextmanager
async def line(world: World, shares: str = DIRECT) -> AsyncIterator[tuple[Running, Running, Running]]:
    async with (
        world.run("gcwebhook", ROUTES=shares) as webhook,
        world.run("gcsplit", ROUTES=shares) as splitter,
        world.run("gchostpay") as payer,
    ):
        yield webhook, splitter, payer


async def notified(world: World, webhook: Running) -> str:
    """Have a payment come in; its id."""
    sold = order(world, units=ETH // 20)
    assert (await notify(webhook, ipn(world, sold)))[0] == 200
    return sold.unique_id


def made(world: World) -> list[Task]:
    """The tasks of both hops."""
    return [task for hop in HOPS for task in world.outer.take(hop)]


async def ways(sql: Any) -> list[tuple[str, str, bool]]:
    told = "SELECT queue, way, sent_at IS NOT NULL AS sent FROM outbox WHERE queue = ANY($1)"
    rows = await sql.fetch(f"{told} ORDER BY queue DESC", list(HOPS))
    return [tuple(row) for row in rows]


async def is_paid_once(world: World, payer: Running, sql: Any, chain: Chain) -> None:
    await flow.confirm_all(world, payer)
    assert [row["status"] for row in await sql.fetch("SELECT status FROM split_payout_hostpay")] == ["completed"]
    assert await chain.nonce(world.wallet.address) == 1
    assert (await balances(sql))["exchange_clearing"] == 0
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_a_payment_is_paid_within_the_processors_own_call_and_no_task_is_made(
    world: World, chain: Chain, sql: Any
) -> None:
    async with line(world) as (webhook, _, payer):
        unique_id = await notified(world, webhook)
        assert made(world) == []
        assert world.doors.calls == [(BASE.format("gchostpay"), 200), (BASE.format("gcsplit"), 200)]
        await is_paid_once(world, payer, sql, chain)
        hops = (await webhook.operate("GET", f"/payments/{unique_id}")).json()["hops"]
    directly = {hop["detail"] for hop in hops if hop["hop"] == "handed on directly"}
    assert directly == {f"instead of {queue}" for queue in HOPS}
    assert await ways(sql) == [(hop, "direct", True) for hop in HOPS]


async def test_a_receiver_that_is_down_costs_a_minute_since_the_sweeper_sends_by_the_queue(
    world: World, chain: Chain, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    async with line(world) as (webhook, splitter, payer):
        world.doors.harm = "away"
        await notified(world, webhook)  # answered 200 all the same
        assert (await webhook.sweep())["resent"] == 0, "the row is still in the hands of its request"
        world.clock.at += 11
        assert (await webhook.sweep())["resent"] == 1
        (split,) = made(world)
        assert (await splitter.deliver(split)).json() == {"status": "next"}
        world.clock.at += 11
        assert (await splitter.sweep())["resent"] == 1
        (pay,) = made(world)
        assert (await payer.deliver(pay)).json()["status"] == "next"
        await is_paid_once(world, payer, sql, chain)
    assert await ways(sql) == [(hop, "direct", True) for hop in HOPS]
    assert sum(line.get("event") == "direct_failed" for line in log_lines) == 2


async def test_a_receiver_that_refuses_or_fails_leaves_the_payment_to_the_queue(
    world: World, chain: Chain, sql: Any
) -> None:
    async with line(world) as (webhook, splitter, payer):
        world.outer.changenow_status = 503
        await notified(world, webhook)
        assert world.doors.calls == [(BASE.format("gcsplit"), 500)]
        world.outer.changenow_status = None
        world.clock.at += 11
        await webhook.sweep()
        (split,) = made(world)
        assert (await splitter.deliver(split)).json() == {"status": "next"}
        await is_paid_once(world, payer, sql, chain)


async def test_a_lost_answer_pays_once_though_the_queue_brings_the_message_again(
    world: World, chain: Chain, sql: Any
) -> None:
    async with line(world) as (webhook, splitter, payer):
        world.doors.harm = "lost"
        await notified(world, webhook)
        world.doors.harm = None
        world.clock.at += 11
        assert (await webhook.sweep())["resent"] == 1
        assert (await splitter.sweep())["resent"] == 1
        again = made(world)
        assert sorted(task.queue for task in again) == sorted(HOPS)
        for task in again:
            receiver = splitter if task.service == "gcsplit" else payer
            assert (await receiver.deliver(task)).status == 200
        assert made(world) == []
        await is_paid_once(world, payer, sql, chain)


async def test_a_call_that_is_still_waited_for_is_not_overtaken_by_the_sweeper(
    world: World, chain: Chain, sql: Any
) -> None:
    async with line(world) as (webhook, splitter, payer):
        swept: list[int] = []

        async def meanwhile() -> None:
            world.clock.at += 15  # the answer takes its time, and the sweepers have their turn
            swept.extend([(await webhook.sweep())["resent"], (await splitter.sweep())["resent"]])

        world.doors.meanwhile = meanwhile
        await notified(world, webhook)
        assert (swept, made(world)) == ([0, 0, 0, 0], [])
        await is_paid_once(world, payer, sql, chain)


async def test_a_sender_that_dies_while_it_waits_is_made_up_for_when_nobody_can_still_be_waiting(
    world: World, chain: Chain, sql: Any
) -> None:
    async with line(world) as (webhook, splitter, payer):
        await notified(world, webhook)
        # As the crash leaves it: the mark that the receiver had it was never written.
        await sql.execute("UPDATE outbox SET sent_at = NULL WHERE queue = $1", HOPS[0])
        world.clock.at += 39
        assert (await webhook.sweep())["resent"] == 0
        world.clock.at += 2
        assert (await webhook.sweep())["resent"] == 1
        (split,) = made(world)
        assert (await splitter.deliver(split)).status == 200
        await is_paid_once(world, payer, sql, chain)


@pytest.mark.parametrize("back", [True, False], ids=["back to the direct way", "on to the queue"])
async def test_the_way_is_changed_with_work_in_flight_and_every_payment_is_paid_once(
    world: World, chain: Chain, sql: Any, back: bool
) -> None:
    first, then = (routes(), DIRECT) if back else (DIRECT, routes())
    async with line(world, first) as (webhook, _, _):
        if not back:
            world.doors.harm = "away"
        await notified(world, webhook)
    world.doors.harm = None
    async with line(world, then) as (webhook, splitter, payer):
        world.clock.at += 11
        await webhook.sweep()
        await notified(world, webhook)
        for _ in range(2):
            for task in made(world):
                assert (await (splitter if task.service == "gcsplit" else payer).deliver(task)).status == 200
        await flow.confirm_all(world, payer)
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay WHERE status = 'completed'") == 2
    assert await chain.nonce(world.wallet.address) == 2
    assert (await balances(sql))["exchange_clearing"] == 0


async def test_a_receiver_of_the_release_before_refuses_the_caller_and_the_queue_takes_over(
    world: World, chain: Chain, sql: Any
) -> None:
    async with world.run("gcwebhook", ROUTES=DIRECT) as webhook, world.run("gcsplit", CALLERS="{}"):
        await notified(world, webhook)
        assert world.doors.calls == [(BASE.format("gcsplit"), 403)]
        world.clock.at += 11
        assert (await webhook.sweep())["resent"] == 1
    assert [task.queue for task in made(world)] == [HOPS[0]]


async def test_half_of_the_payments_go_each_way_and_what_is_replayed_goes_by_the_queue(
    world: World, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    shares = routes(split_hop=50)
    async with world.run("gcwebhook", ROUTES=shares) as webhook:
        for _ in range(20):
            await notified(world, webhook)
        chosen = {
            row["unique_id"]: row["way"] for row in await sql.fetch("SELECT * FROM outbox WHERE queue = $1", HOPS[0])
        }
        assert {way == "queue": takes_new_way("split-hop", key, 50) for key, way in chosen.items()} == {
            True: True,
            False: False,
        }
        assert len(made(world)) == sum(way == "queue" for way in chosen.values())
        world.clock.at += 301  # the queue has given up: put anew, by the queue for all
        await webhook.sweep()
        await webhook.sweep()
    again = await sql.fetch("SELECT way FROM outbox WHERE queue = $1 AND id NOT LIKE '%:1'", HOPS[0])
    assert {row["way"] for row in again} == {"queue"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(min_size=1, max_size=16), max_size=30), st.integers(0, 100), st.integers(0, 100))
def test_a_higher_share_only_moves_payments_towards_the_new_way(keys: list[str], one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    taken = {share: {key for key in keys if takes_new_way("salt", key, share)} for share in (0, fewer, more, 100)}
    assert taken[0] == set() <= taken[fewer] <= taken[more] <= taken[100] == set(keys)
