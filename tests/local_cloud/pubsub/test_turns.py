"""What is done to a deep backlog leaves the loop to others between its turns, and ends as if done at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest

from local_cloud.cloud import Cloud
from local_cloud.pubsub import line, seeking, turns
from local_cloud.pubsub.publishing import publish_all
from local_cloud.pubsub.state import PubSub
from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.pubsub.virtual import PubsubMessage, Puller, Subscription, Topic

TOPIC, NAME, OTHER = (
    f"projects/{PROJECT}/{what}" for what in ("topics/t", "subscriptions/deep", "subscriptions/filtered")
)
#: Messages of one ordering key, and one of another behind them.
DEEP = 3000

pins(
    "pubsub",
    "Pull",
    "Seeking, deleting a subscription and a key with many messages leave the cloud to other calls meanwhile",
    ours=True,
)


@pytest.fixture
async def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PubSub]:
    monkeypatch.setattr(turns, "STEPS", 2)
    monkeypatch.setattr(line, "LOOK", 500)
    async with Running(Settings(state=tmp_path / "state")) as running:
        yield await filled(running.cloud)


async def filled(cloud: Cloud) -> PubSub:
    core = cloud.use(PubSub)
    core.add_topic(Topic(name=TOPIC))
    core.add_subscription(Subscription(name=NAME, topic=TOPIC, enable_message_ordering=True))
    core.add_subscription(Subscription(name=OTHER, topic=TOPIC, filter="attributes:odd"))
    keys = ["k"] * DEEP + ["other"]
    made = [
        PubsubMessage(data=b"x", ordering_key=key, attributes={"odd": "1"} if at % 2 else {})
        for at, key in enumerate(keys)
    ]
    publish_all(core, TOPIC, made)
    await cloud.store.committed()
    return core


async def turns_until(done: Callable[[], bool], work: Coroutine[None, None, None] | None = None) -> int:
    """How many turns of the loop it takes until something is done."""
    task = asyncio.ensure_future(work) if work is not None else None
    count = 0
    while not done() or (task is not None and not task.done()):
        await asyncio.sleep(0)
        count += 1
        assert count < 100_000
    return count


async def test_a_seek_with_a_filter_reads_in_turns(core: PubSub) -> None:
    backlog = core.backlogs[OTHER]
    backlog.purge()
    assert backlog.stats().undelivered == 0
    assert await turns_until(lambda: True, core.seek_to_time(OTHER, 0.0)) >= DEEP // 2 // seeking.SLICE
    assert backlog.stats().undelivered == DEEP // 2


async def test_what_a_deleted_subscription_held_goes_in_turns(core: PubSub) -> None:
    core.delete_subscription(OTHER)
    core.delete_subscription(NAME)
    assert core.log.live[core.log.tail]
    assert await turns_until(lambda: not any(core.log.live.values())) >= 2
    core.add_subscription(Subscription(name=NAME, topic=TOPIC))
    assert core.backlogs[NAME].stats().undelivered == 0


async def test_what_two_hold_goes_with_the_last_of_them_though_seeks_come_between(core: PubSub) -> None:
    half = DEEP // 2
    for _ in range(3):
        core.backlogs[NAME].purge()
        await core.seek_to_time(NAME, 0.0)
    stats = [core.backlogs[name].stats() for name in (OTHER, NAME)]
    assert stats[0].undelivered == half
    assert half <= stats[1].undelivered <= DEEP + 1
    core.delete_subscription(NAME)
    core.delete_topic(TOPIC)
    core.delete_subscription(OTHER)
    await turns_until(lambda: not any(core.log.live.values()))
    assert not core._logs


async def test_another_key_is_found_behind_many_of_one_that_waits(core: PubSub) -> None:
    backlog = core.backlogs[NAME]
    first, waiting = Puller(1), Puller(1)
    backlog.attach(first)
    assert [delivery.message().ordering_key for delivery in first.got] == ["k"]
    backlog.attach(waiting)
    assert not waiting.got
    assert await turns_until(lambda: bool(waiting.got)) >= 2
    assert [delivery.message().ordering_key for delivery in waiting.got] == ["other"]
