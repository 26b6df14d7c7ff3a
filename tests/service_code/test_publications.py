"""Publishing in order: a later event of a key never before an earlier one, whatever fails or crashes in between."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from aiohttp import web

from tests.service_code.paynow import balanced, notify, order, points, register, states, waiting
from tests.service_code.world import World


def told(world: World) -> list[str]:
    return [message.json()["unique_id"] for message in waiting(world)]


async def test_an_event_whose_publishing_failed_stays_queued_and_the_sweeper_publishes_it(
    world: World, sql: Any
) -> None:
    world.outer.publish_faults = [503]
    async with world.run("paynowwebhook") as webhook:
        answer = await notify(webhook, order())
        assert (answer.status, answer.json()["status"]) == (200, "queued")
        assert (await states(sql), told(world)) == ({"event-1": "queued"}, [])
        assert (await webhook.sweep())["published"] == 0  # still in hand
        world.clock.at += 11
        assert (await webhook.sweep())["published"] == 1
        assert (await webhook.sweep())["published"] == 0
    assert told(world) == ["event-1"]


async def test_the_next_event_of_a_key_takes_the_unpublished_ones_along_in_order(world: World) -> None:
    world.outer.publish_faults = [503, 503]
    async with world.run("paynowwebhook") as webhook:
        await register(webhook)
        for number in (1, 2, 3):
            await notify(webhook, order(number))
    assert told(world) == ["event-1", "event-2", "event-3"]


async def test_an_event_that_comes_while_its_key_is_published_waits_for_it_and_needs_no_sweep(world: World) -> None:
    async with world.run("paynowwebhook") as webhook:
        await register(webhook)

        async def second() -> None:
            assert (await notify(webhook, order(2))).json()["status"] == "queued"
            assert told(world) == []  # nothing overtakes the first

        world.outer.during_publish = second
        await notify(webhook, order(1))
    assert told(world) == ["event-1", "event-2"]


async def test_another_key_does_not_wait(world: World) -> None:
    async with world.run("paynowwebhook") as webhook:
        await register(webhook)
        await register(webhook, "u2", "c2")

        async def other() -> None:
            await notify(webhook, order(2, customer={"id": "c2"}))
            assert told(world) == ["event-2"]

        world.outer.during_publish = other
        await notify(webhook, order(1))
    assert told(world) == ["event-1"]


async def test_a_crash_between_commit_and_publishing_holds_the_key_until_the_sweeper(world: World, sql: Any) -> None:
    async with world.run("paynowwebhook") as webhook:
        await register(webhook)
        died, over = asyncio.Event(), asyncio.Event()

        async def die() -> None:
            died.set()
            await over.wait()
            raise web.HTTPServiceUnavailable

        world.outer.during_publish = die
        request = asyncio.create_task(notify(webhook, order(1)))
        await died.wait()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        over.set()
        await notify(webhook, order(2))
        assert told(world) == []
        world.clock.at += 31
        assert (await webhook.sweep())["published"] == 2
    assert told(world) == ["event-1", "event-2"]


async def test_a_lost_answer_publishes_twice_and_credits_once(world: World, sql: Any) -> None:
    world.outer.publish_faults = ["lost"]
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        await register(webhook)
        await notify(webhook, order(1))
        await notify(webhook, order(2))
        events = waiting(world)
        assert [event.json()["unique_id"] for event in events] == ["event-1", "event-1", "event-2"]
        for event in events:
            assert (await worker.push(event)).status == 200
    assert await points(sql) == 200
    await balanced(sql)


async def test_a_dead_letter_that_could_not_be_published_is_published_by_the_sweeper(world: World, sql: Any) -> None:
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        await notify(webhook, order())
        (event,) = waiting(world)
        world.outer.publish_faults = [503]
        assert (await worker.push(event)).status == 200
        assert waiting(world, "paynow-events-dlq") == []
        world.clock.at += 11
        assert (await worker.sweep())["published"] == 1
    assert len(waiting(world, "paynow-events-dlq")) == 1


async def test_a_service_cannot_publish_to_a_topic_that_is_not_its_own(world: World, sql: Any) -> None:
    async with world.run("paynowwebhook", TOPICS="{}") as webhook:
        assert (await notify(webhook, order())).json()["status"] == "queued"
    assert "TOPICS" in await sql.fetchval("SELECT last_error FROM outbox")


@pytest.mark.parametrize("seed", range(4))
async def test_under_random_faults_every_event_is_published_in_the_order_of_its_user_and_credited_once(
    world: World, sql: Any, seed: int
) -> None:
    """Two instances, failures and lost answers, sweeps in between, duplicates at the worker."""
    chance = random.Random(seed)
    users = ("a", "b", "c")
    accepted: dict[str, list[str]] = {user: [] for user in users}
    async with (
        world.run("paynowwebhook") as one,
        world.run("paynowwebhook") as two,
        world.run("paynowworker") as worker,
    ):
        for user in users:
            await register(one, user, f"c-{user}")

        async def events(user: str, first: int) -> None:
            for number in range(first, first + 6):
                webhook = chance.choice((one, two))
                assert (await notify(webhook, order(number, customer={"id": f"c-{user}"}))).status == 200
                accepted[user].append(f"event-{number}")
                if chance.random() < 0.3:
                    world.clock.at += 11
                    await chance.choice((one, two)).sweep()

        world.outer.publish_faults = [chance.choice((200, 200, 503, "lost")) for _ in range(30)]
        await asyncio.gather(*(events(user, 100 * index) for index, user in enumerate(users, 1)))
        world.outer.publish_faults = []
        world.clock.at += 31
        await asyncio.gather(one.sweep(), two.sweep())
        published = waiting(world)
        for user in users:
            line = [message.json()["unique_id"] for message in published if message.ordering_key == f"user:{user}"]
            assert list(dict.fromkeys(line)) == accepted[user]
        for event in published:
            assert (await worker.push(event)).status == 200
            if chance.random() < 0.3:
                assert (await worker.push(event)).status == 200
    for user in users:
        assert await points(sql, user) == 600
    await balanced(sql)
