"""The sweeper says how the payments of both sides of a rollout stand: who is due and unpaid counts, and nobody else."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import spec
from service_code.gcsplit.rules import PAYOUT
from service_code.gcsplit.sides import HOPS, Sides
from service_code.kit import logs
from service_code.kit.clock import moment
from service_code.kit.estimates import ASK_QUEUE, ESTIMATE
from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.world import World, routes

ROOT = Path(__file__).parents[2]
TRIED = "gchostpay-t"
Said = dict[tuple[str, str], tuple[int, int, int]]


async def stand(world: World) -> Said:
    """What is said now: begun, due, unpaid."""
    stream = io.StringIO()
    async with world.run("gcsplit") as splitter:
        logs.configure("gcsplit", "p", stream)
        await Sides(splitter.kit).say(moment(splitter.kit.clock))
    lines = [line for line in map(json.loads, stream.getvalue().splitlines()) if line.get("event") == "side_stands"]
    return {(line["subject"], line["side"]): (line["begun"], line["due"], line["unpaid"]) for line in lines}


def whole_minute(world: World) -> None:
    """The next minute begins."""
    world.clock.at += 60 - world.clock.at % 60


async def test_a_payment_counts_when_it_was_begun_and_once_more_when_it_is_due_and_then_as_unpaid_or_paid(
    world: World, chain: Chain, sql: Any
) -> None:
    world.rollout(releases={"gchostpay": (100, TRIED)})
    whole_minute(world)
    tasks = [(await flow.split(world))[1] for _ in range(2)]
    assert {task.tag for task in tasks} == {"canary"}
    world.clock.at += 60
    assert await stand(world) == {("gchostpay", "canary"): (2, 0, 0), ("gchostpay", "stable"): (0, 0, 0)}
    async with world.run("gchostpay") as payer:
        world.clock.at -= 30
        assert (await payer.deliver(tasks[0])).status == 200
        await chain.mine(1)
        (confirm,) = world.outer.take("hostpay-confirm-queue")
        assert (await payer.deliver(confirm)).status == 200
    world.clock.at += 30 + 300
    assert (await stand(world))["gchostpay", "canary"] == (0, 2, 1)
    world.clock.at += 60
    assert (await stand(world))["gchostpay", "canary"] == (0, 0, 0)


async def test_the_ways_of_the_routes_that_payments_take_are_sides_too(world: World) -> None:
    shares = {"payout": 50, "estimate": 40, "split-hop": 100, "registration": 50}
    world.rollout(shares)
    whole_minute(world)
    async with world.run("gcsplit", ROUTES=routes(payout=0)) as splitter:
        _, task = await flow.received(world)
        assert (await splitter.deliver(task)).status == 200
    world.clock.at += 360
    said = await stand(world)
    assert {subject for subject, _ in said} == set(shares) - {"registration"}
    for name in ("split-hop", "estimate", "payout"):
        assert sorted(said[name, side] for side in ("stable", "canary")) == [(0, 0, 0), (0, 1, 1)]
    assert said["split-hop", "canary"] == (0, 1, 1)


async def test_a_minute_is_said_once_whoever_sweeps(world: World) -> None:
    world.rollout({"payout": 50})
    stream = io.StringIO()
    async with world.run("gcsplit") as splitter:
        logs.configure("gcsplit", "p", stream)
        sides, other = Sides(splitter.kit), Sides(splitter.kit)  # as two instances have them
        for one in (sides, other, sides):
            await one.say(moment(splitter.kit.clock))
    assert stream.getvalue().count("side_stands") == 2


async def test_nothing_is_said_or_asked_while_nothing_is_tried(world: World) -> None:
    assert await stand(world) == {}
    world.rollout({"payout": 0})
    assert await stand(world) == {}


def test_the_routes_and_queues_that_are_asked_for_are_declared() -> None:
    system = spec.load(ROOT)
    assert {name: system.routes[name].queue for name in HOPS} == HOPS
    assert PAYOUT in system.routes
    assert ESTIMATE in system.routes
    assert ASK_QUEUE in system.queues
