"""The rollout's record as services read it: seldom, in time, at no payment's cost, and nothing but a record."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.rollout import left
from service_code.kit import record, tasks
from service_code.kit.outside import Answer, Outside, UnreachableError
from service_code.kit.record import AGAIN, LIVES, Record, RecordError, Release, RolloutRecord, Share, read
from service_code.kit.routes import takes_new_way
from tests.service_code.notices import ipn, notify, order
from tests.service_code.world import Clock, Running, StaticAccess, World, routes

SPLIT = {"split-hop": 0}


async def queued(world: World, webhook: Running) -> bool:
    """Whether a new payment's split goes by the queue."""
    assert (await notify(webhook, ipn(world, order(world))))[0] == 200
    return bool(world.outer.take("split-payment-queue"))


async def unread(lines: list[dict[str, Any]]) -> list[str]:
    found = [line["why"] for line in lines if line.get("event") == "rollout_record_unread"]
    lines.clear()
    return found


async def test_a_step_is_taken_by_a_running_service_within_five_seconds(world: World) -> None:
    world.rollout({"split-hop": 100})
    async with world.run("gcwebhook", ROUTES=routes(split_hop=0)) as webhook:
        assert await queued(world, webhook), "the record counts, not the environment's default"
        world.rollout({"split-hop": 0})
        world.clock.at += 4.9
        assert await queued(world, webhook)
        world.clock.at += 0.1
        assert not await queued(world, webhook)


async def test_a_route_that_the_record_does_not_name_and_a_service_without_a_bucket_go_by_the_default(
    world: World,
) -> None:
    async with world.run("gcwebhook", ROUTES=routes(split_hop=0)) as webhook:
        assert not await queued(world, webhook)
        assert world.outer.record_reads == 0
    world.rollout({"payout": 100})
    async with world.run("gcwebhook", ROUTES=routes(split_hop=0)) as webhook:
        assert not await queued(world, webhook)


async def test_many_payments_at_once_read_it_once_and_health_and_probes_never(world: World) -> None:
    world.rollout({"split-hop": 100})
    async with world.run("gcwebhook") as webhook:
        for _ in range(3):
            await webhook.request("GET", "/health")
        assert world.outer.record_reads == 0
        assert all(await asyncio.gather(*(notify(webhook, ipn(world, order(world))) for _ in range(20))))
        assert world.outer.record_reads == 1


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_record_that_cannot_be_read_leaves_the_last_one_and_is_asked_for_again_after_one_second_and_then_five(
    world: World, log_lines: list[dict[str, Any]], status: int
) -> None:
    world.rollout(SPLIT)
    async with world.run("gcwebhook") as webhook:
        assert not await queued(world, webhook)
        world.rollout({"split-hop": 100})
        world.outer.record_status = status
        world.clock.at += 5
        for _ in range(3):
            assert not await queued(world, webhook)
        assert await unread(log_lines) == [f"Cloud Storage answered {status}"]
        assert world.outer.record_reads == 2
        for wait in (AGAIN, LIVES, LIVES):
            world.clock.at += wait - 0.1
            assert not await queued(world, webhook)
            assert await unread(log_lines) == []
            world.clock.at += 0.1
            assert not await queued(world, webhook)
            assert await unread(log_lines) == [f"Cloud Storage answered {status}"]
        world.outer.record_status = 200
        world.clock.at += LIVES
        assert await queued(world, webhook)
        assert await unread(log_lines) == []
        world.outer.record_status = status
        world.clock.at += LIVES
        assert await queued(world, webhook)
        world.outer.record_status, reads = 200, world.outer.record_reads
        world.clock.at += AGAIN
        assert await queued(world, webhook)
        assert world.outer.record_reads == reads + 1, "one that failed by itself is made good a second later"


class Slow(Outside):
    """Cloud Storage, whose answers take their time by the clock, and which says nothing at some times."""

    def __init__(self, clock: Clock, silent: tuple[float, float]) -> None:
        super().__init__()
        self.clock, self.silent, self.body = clock, silent, b""

    async def call(self, *_: Any, timeout: float = 0.0, **_more: Any) -> Answer:
        found, began = self.body, self.clock.seconds()
        self.clock.at += timeout - 0.01
        if self.silent[0] <= began < self.silent[1]:
            raise UnreachableError("no answer", timeout=True)
        return Answer(200, found)


@pytest.mark.parametrize("silent", [(0.0, 0.0), (0.5, 5.5), (4.0, 6.5)])
async def test_what_a_rollout_waits_for_is_longer_than_an_old_record_counts_and_a_task_by_it_takes(
    silent: tuple[float, float],
) -> None:
    clock = Clock(100.0)
    store = Slow(clock, (100 + silent[0], 100 + silent[1]))
    read_by = RolloutRecord("http://storage", "bucket", store, StaticAccess(), clock)
    store.body = json.dumps(GOOD).encode()
    assert (await read_by.latest()).releases
    changed = 100.0  # while it was being read
    store.body = json.dumps(GOOD | {"releases": {}}).encode()
    last = changed
    while clock.at < changed + 30:
        if (await read_by.latest()).releases:
            last = clock.at
        clock.at += 0.1
    assert last - changed <= left.LIVES + left.READ + left.AGAIN
    assert last - changed + tasks.TIMEOUT <= left.READ_BY_ALL


def test_what_the_operator_s_side_knows_of_it_is_what_services_do() -> None:
    assert (left.LIVES, left.READ, left.AGAIN, left.CREATE) == (LIVES, 2 * record.TIMEOUT, AGAIN, tasks.TIMEOUT)


async def test_a_store_that_does_not_answer_costs_a_second_and_no_payment(
    world: World, log_lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_code.kit.record.TIMEOUT", 0.05)
    hangs = asyncio.Event()

    async def hang() -> None:
        await hangs.wait()

    world.rollout(SPLIT)
    world.outer.during_record = hang
    async with world.run("gcwebhook") as webhook:
        assert await queued(world, webhook)
        assert await unread(log_lines) == ["Cloud Storage: no answer in 0.05 s"]
        hangs.set()


async def test_rubbish_leaves_the_last_record(world: World, log_lines: list[dict[str, Any]]) -> None:
    world.rollout(SPLIT)
    async with world.run("gcwebhook") as webhook:
        assert not await queued(world, webhook)
        world.outer.record = b'{"version": 1, "routes": {"split-hop": {"percent": 100}}, "releases": {}}'
        world.clock.at += 5
        assert not await queued(world, webhook)
        assert await unread(log_lines) == ["split-hop has no salt"]


GOOD: dict[str, Any] = {
    "version": 1,
    "routes": {"payout": {"percent": 50, "salt": "payout"}},
    "releases": {"gcsplit": {"percent": 10, "salt": "gcsplit-t", "canary": "gcsplit-t"}},
}


def test_what_the_program_declares_is_read() -> None:
    assert read(json.dumps(GOOD).encode()) == Record(
        routes={"payout": Share(50, "payout")}, releases={"gcsplit": Release(10, "gcsplit-t", "gcsplit-t")}
    )


def test_a_newer_releases_record_is_read_as_far_as_it_is_known() -> None:
    newer = GOOD | {"version": 2, "regions": ["x"]}
    newer["routes"] = {"payout": GOOD["routes"]["payout"] | {"since": "2027"}}
    newer["releases"] = {"gcsplit": GOOD["releases"]["gcsplit"] | {"stable": "gcsplit-s"}}
    assert read(json.dumps(newer).encode()) == read(json.dumps(GOOD).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"version": True},
        {"version": 0},
        {"version": "1"},
        {"routes": []},
        {"routes": {"payout": 50}},
        {"releases": None},
        {"routes": {"payout": {"percent": 101, "salt": "s"}}},
        {"routes": {"payout": {"percent": True, "salt": "s"}}},
        {"routes": {"payout": {"percent": 1.5, "salt": "s"}}},
        {"routes": {"payout": {"percent": 1, "salt": ""}}},
        {"releases": {"gcsplit": {"percent": 1, "salt": "s"}}},
        {"releases": {"gcsplit": {"percent": 1, "salt": "s", "canary": "Not A Revision"}}},
        {"padding": "x" * 100_000},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_what_is_no_record_is_refused_whole(change: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        read(json.dumps(GOOD | change).encode())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_rubbish_breaks_its_reader(body: bytes | str) -> None:
    with pytest.raises(RecordError):
        read(body.encode() if isinstance(body, str) else body)


@pytest.mark.parametrize("percent", [1, 10, 25, 50, 75, 90])
@pytest.mark.parametrize("salt", ["payout", "gcsplit-0a1b2c3d"])
def test_a_share_is_what_its_number_says(percent: int, salt: str) -> None:
    payments = 20_000
    taken = sum(takes_new_way(salt, f"pay{number:013d}", percent) for number in range(payments))
    expected = payments * percent / 100
    # Five standard deviations of the binomial law: a fair mixture leaves them once in two million trials.
    assert abs(taken - expected) < 5 * (expected * (1 - percent / 100)) ** 0.5
