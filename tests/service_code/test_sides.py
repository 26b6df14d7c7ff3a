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


async def test_a_payment_that_a_tried_revision_does_not_pay_counts_once_its_time_is_over(
    world: World, chain: Chain, sql: Any
) -> None:
    world.rollout(releases={"gchostpay": (100, TRIED)})
    _, task = await flow.split(world)
    assert task.tag == "canary"
    assert await stand(world) == {("gchostpay", "canary"): (1, 0, 0), ("gchostpay", "stable"): (0, 0, 0)}
    world.clock.at += 301
    assert (await stand(world))["gchostpay", "canary"] == (1, 1, 1)
    async with world.run("gchostpay") as payer:
        world.clock.at -= 260
        assert (await payer.deliver(task)).status == 200
    await chain.mine(1)
    world.clock.at += 260
    assert (await stand(world))["gchostpay", "canary"] == (1, 1, 0)
    world.clock.at += 2 * 86_400
    assert (await stand(world))["gchostpay", "canary"] == (0, 0, 0)


async def test_the_ways_of_the_routes_that_payments_take_are_sides_too(world: World) -> None:
    shares = {"payout": 50, "estimate": 40, "split-hop": 100, "registration": 50}
    world.rollout(shares)
    async with world.run("gcsplit", ROUTES=routes(payout=0)) as splitter:
        _, task = await flow.received(world)
        assert (await splitter.deliver(task)).status == 200
    world.clock.at += 700
    said = await stand(world)
    assert {subject for subject, _ in said} == set(shares) - {"registration"}
    for name, pairs in (("split-hop", {"stable": 0, "canary": 1}), ("estimate", None), ("payout", None)):
        counts = {side: said[name, side] for side in ("stable", "canary")}
        assert sum(begun for begun, _, _ in counts.values()) == 1
        assert [one for one in counts.values() if one[0]] == [(1, 1, 1)]
        if pairs is not None:
            assert {side: begun for side, (begun, _, _) in counts.items()} == pairs


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
