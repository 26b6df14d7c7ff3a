"""The log of Pub/Sub: what is answered is on disk over any kill, what is torn is cut off, what nobody needs goes."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.pubsub_v1.types import PublishRequest, PublishResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.cloud import Cloud
from local_cloud.pubsub import log as log_module
from local_cloud.pubsub.log import HEAD_BYTES, MAGIC, Log
from local_cloud.pubsub.marks import PIECE, Marks
from local_cloud.pubsub.publishing import publish
from local_cloud.pubsub.state import PubSub
from local_cloud.running import Running
from local_cloud.settings import Settings
from local_cloud.store import StateError
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, process
from tests.local_cloud.pubsub.clients import Clients
from tests.local_cloud.pubsub.virtual import Puller, Subscription, Topic

TOPIC = f"projects/{PROJECT}/topics/t"
#: The benchmark has a hundred.
KILLS = 1


def unexpected(error: Exception) -> None:
    raise error


def opened(path: Path) -> tuple[Log, list[tuple[int, bytes]]]:
    log = Log(path, unexpected)
    return log, [(kind, bytes(payload)) for kind, payload, _ in log.replay()]


async def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    log, none = opened(tmp_path)
    assert none == []
    place = log.append(1, b"head", b"body")
    log.append(2, b"", lazy=True)
    await log.committed()
    assert not log.pending
    assert log.read(place + 4, 4) == b"body"
    await log.close()
    again, records = opened(tmp_path)
    assert records == [(1, b"headbody"), (2, b"")]
    assert again.append(3, b"x") > place
    await again.close()
    assert opened(tmp_path)[1][-1] == (3, b"x")


@pytest.mark.parametrize("left", [0, 5, len(MAGIC), len(MAGIC) + 3, len(MAGIC) + HEAD_BYTES + 2])
async def test_a_torn_end_is_cut_off_and_the_log_goes_on(tmp_path: Path, left: int) -> None:
    log, _ = opened(tmp_path)
    log.append(1, b"first")
    log.append(1, b"second")
    await log.close()
    file = tmp_path / "00000001.log"
    file.write_bytes(file.read_bytes()[:left])
    again, records = opened(tmp_path)
    assert records == []
    again.append(1, b"third")
    await again.close()
    assert opened(tmp_path)[1] == [(1, b"third")]


async def test_damage_elsewhere_is_refused_and_nothing_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SEGMENT_BYTES", 100)
    log, _ = opened(tmp_path)
    for _ in range(5):
        log.append(1, b"x" * 60)
    await log.close()
    file = tmp_path / "00000001.log"
    damaged = file.read_bytes()[:-1] + b"?"
    file.write_bytes(damaged)
    with pytest.raises(StateError, match="is damaged at byte"):
        opened(tmp_path)
    assert file.read_bytes() == damaged


@pins(
    "pubsub",
    "Publishing",
    "A flipped bit in the log stops the start, and changes nothing; only the last write, torn by a kill, is cut off, "
    "and the cloud's log says so",
    ours="Google loses no answered message",
)
@pytest.mark.parametrize("at", [0, 4, 8, HEAD_BYTES + 2], ids=["size", "checksum", "kind", "payload"])
async def test_a_flipped_bit_in_the_newest_segment_is_no_torn_end(tmp_path: Path, at: int) -> None:
    log, _ = opened(tmp_path)
    for body in (b"first", b"second", b"third"):
        log.append(1, body)
    await log.close()
    file = tmp_path / "00000001.log"
    whole = file.read_bytes()
    second = len(MAGIC) + HEAD_BYTES + len(b"first")
    third = second + HEAD_BYTES + len(b"second")
    file.write_bytes(damaged := flipped(whole, second + at))
    with pytest.raises(StateError, match=f"is damaged at byte {second}"):
        opened(tmp_path)
    assert file.read_bytes() == damaged
    file.write_bytes(flipped(whole, third + at))
    told: list[str] = []
    log = Log(tmp_path, unexpected, told.append)
    assert [bytes(payload) for _, payload, _ in log.replay()] == [b"first", b"second"]
    assert file.read_bytes() == whole[:third]
    assert len(told) == 1
    assert f"{len(whole) - third} bytes" in told[0]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 64,)) + data[at + 1 :]


@given(
    marked=st.lists(st.integers(0, 3 * PIECE), max_size=60),
    run=st.tuples(st.integers(0, PIECE), st.integers(0, 2 * PIECE)),
    raised=st.integers(0, 2 * PIECE),
    taken=st.sets(st.integers(0, 3 * PIECE), max_size=10),
)
@settings(deadline=None)
def test_marks_are_a_set(marked: list[int], run: tuple[int, int], raised: int, taken: set[int]) -> None:
    marks, model = Marks(), set[int]()
    for number in [*marked, *range(run[0], run[0] + run[1])]:
        assert marks.add(number) == (number not in model)
        model.add(number)
    marks.raise_floor(raised)
    model |= set(range(raised))
    for number in taken:
        if number >= marks.floor:
            marks.discard(number)
            model.discard(number)
    for copy in (marks, marks.copy(), Marks.load(marks.dump())):
        assert {number for number in range(3 * PIECE + 1) if number in copy} == model


@asynccontextmanager
async def cloud_at(state: Path) -> AsyncIterator[tuple[Cloud, PubSub]]:
    async with Running(Settings(state=state)) as running:
        yield running.cloud, running.cloud.use(PubSub)


@pins(
    "pubsub",
    "Publishing",
    "The disk holds what somebody needs still, and little more: a subscription that acknowledges nothing does not make "
    "it keep the messages of the others",
    ours=True,
)
async def test_segments_go_when_nobody_needs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SEGMENT_BYTES", 4000)
    chance = random.Random(5)
    lazy, busy = (f"projects/{PROJECT}/subscriptions/{name}" for name in ("lazy", "busy"))
    async with cloud_at(tmp_path / "state") as (cloud, core):
        core._cleaner.least = 12_000
        core.add_topic(Topic(name=TOPIC))
        core.add_subscription(Subscription(name=lazy, topic=TOPIC, filter="attributes:rare"))
        core.add_subscription(Subscription(name=busy, topic=TOPIC, enable_message_ordering=True))
        kept: dict[str, bytes] = {}
        for number in range(600):
            rare = {"rare": "1"} if number % 40 == 3 else {}
            body = bytes(chance.randrange(256) for _ in range(50))
            identity = publish(cloud, TOPIC, body, rare, ordering_key=f"k{number % 3}")
            if rare:
                kept[identity] = body
            if number % 20 == 19:
                await cloud.store.committed()
                take(core, busy)
        await cloud.store.committed()
        publish(cloud, TOPIC, b"the last")
        await cloud.store.committed()
        take(core, busy)
        await core.log.committed()
        await cleaned(core)
        end = core._named[TOPIC].end
        size = sum(core.log.sizes.values())
        assert size < 20_000, "600 messages of 100 bytes and more were written"
        files = sorted(int(path.stem) for path in (tmp_path / "state" / "pubsub").glob("*.log"))
        assert files == list(core.log.sizes)
        assert files[0] > 1
    async with cloud_at(tmp_path / "state") as (cloud, core):
        assert core._named[TOPIC].end == end
        assert core.backlogs[busy].stats().undelivered == 0
        assert {one.message_id: one.data for one in take(core, lazy)} == kept
        core.delete_subscription(lazy)
        assert not any(core.log.live.values())


@pins(
    "pubsub",
    "Publishing",
    "Cleaning that fails is told in the cloud's log once, loses nothing, and is tried again after the next start",
    ours=True,
)
async def test_cleaning_that_fails_is_told_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "SEGMENT_BYTES", 4000)
    lazy = f"projects/{PROJECT}/subscriptions/lazy"
    async with cloud_at(tmp_path / "state") as (cloud, core):
        core._cleaner.least = 8_000
        core.add_topic(Topic(name=TOPIC))
        core.add_subscription(Subscription(name=lazy, topic=TOPIC, filter="attributes:rare"))

        async def fill() -> None:
            for number in range(100):
                publish(cloud, TOPIC, b"x" * 100, {"rare": "1"} if number == 3 else {})
                await cloud.store.committed()

        read = core.log.records
        with monkeypatch.context() as broken:
            broken.setattr(core.log, "records", lambda _number: iter([(1, memoryview(b""), 0)]))
            await fill()
            await fill()
        assert not core._cleaner.at_work
        said = [event["message"] for event in cloud.log.events if "could not be cleaned" in event["message"]]
        assert len(said) == 1
        assert core.log.records == read
    async with cloud_at(tmp_path / "state") as (cloud, core):
        core._cleaner.least = 8_000
        publish(cloud, TOPIC, b"y", {"rare": "2"})
        await cloud.store.committed()
        await cleaned(core)
        assert len(core.log.sizes) < 5
        assert len(take(core, lazy)) == 3


async def cleaned(core: PubSub) -> None:
    """Returns when nothing is being cleaned."""
    while core._cleaner.at_work:
        turned = asyncio.Event()
        core.log.after_commit(turned.set)
        await turned.wait()


def take(core: PubSub, name: str) -> list[Any]:
    """Pulls and acknowledges everything."""
    puller = Puller(1000)
    backlog = core.backlogs[name]
    backlog.attach(puller)
    backlog.detach(puller)
    backlog.ack(delivery.ack_id for delivery in puller.got)
    return [delivery.message() for delivery in puller.got]


async def test_a_disk_that_fails_stops_the_cloud(tmp_path: Path) -> None:
    failures: list[Exception] = []
    log = Log(tmp_path / "log", failures.append)
    list(log.replay())
    (tmp_path / "log").rmdir()
    log.append(1, b"x")
    with pytest.raises(StateError, match="can no longer be written"):
        await log.committed()
    assert len(failures) == 1
    assert log.pending
    with pytest.raises(StateError):
        await log.committed()


@pins(
    "pubsub",
    "Publishing",
    "A message whose id was answered is delivered, whenever the cloud is killed (bench/pubsub_kills.py: 100 times)",
    documented="Publish: at-least-once delivery",
)
async def test_kills_in_the_middle_of_publishing_lose_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    answered: set[str] = set()
    topic = subscription = ""
    for _ in range(KILLS):
        with process(state) as place:
            clients = Clients(place)
            topic = topic or clients.topic()
            subscription = subscription or clients.subscription(topic)
            clients.close()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
                call: Any = channel.unary_unary(
                    "/google.pubsub.v1.Publisher/Publish", PublishRequest.serialize, PublishResponse.deserialize
                )
                request = PublishRequest(topic=topic, messages=[{"data": b"x"}])
                goal = len(answered) + 200

                async def caller(
                    call: Any = call, request: Any = request, goal: int = goal, place: Any = place
                ) -> None:
                    while len(answered) < goal:
                        try:
                            answered.add((await call(request)).message_ids[0])
                        except grpc.aio.AioRpcError:
                            return
                    place.kill()

                await asyncio.gather(*(caller() for _ in range(8)))
    with process(state) as place:
        clients = Clients(place)
        came: set[str] = set()
        while answered - came:
            got = clients.pull(subscription, 1000)
            assert got, f"{len(answered - came)} of {len(answered)} answered messages are lost"
            came |= {one.message.message_id for one in got}
            clients.ack(subscription, *got)
        clients.close()
