"""The clock moves from timer to timer, waits for the work each one starts, and keeps its offset."""

import asyncio
import datetime
import mmap
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cloud.clock import Clock, ClockError
from local_cloud.store import StateError
from tests.fidelity import pins

pins(
    "front_end",
    "Operations, clock, state",
    "The clock moves forward only, from timer to timer, waiting for the work of each",
    ours=True,
)


@pytest.fixture
async def clock(tmp_path: Path) -> AsyncIterator[Clock]:
    clock = Clock(tmp_path / "clock")
    yield clock
    clock.close()


async def test_a_move_fires_every_timer_at_its_own_time(clock: Clock) -> None:
    start, seen = clock.now(), []
    for delay in (50, 10, 30, 70):
        clock.call_at(start + delay, lambda delay=delay: seen.append((delay, clock.now() - start)))  # type: ignore[misc]
    moved = await clock.advance(60)
    assert [delay for delay, _ in seen] == [10, 30, 50]
    assert all(abs(at - delay) < 0.5 for delay, at in seen)
    assert (moved.fired, moved.unsettled) == (3, {})
    assert moved.offset == 60


async def test_a_move_waits_for_the_work_that_a_timer_starts(clock: Clock) -> None:
    order: list[str] = []

    async def work() -> None:
        order.append("begun")
        for _ in range(20):
            await asyncio.sleep(0)
        clock.call_later(5, lambda: order.append("after five"))
        order.append("done")

    clock.call_later(10, work)
    clock.call_later(12, lambda: order.append("at twelve"))
    await clock.advance(20)
    assert order == ["begun", "done", "at twelve", "after five"]


async def test_work_that_does_not_end_is_named_and_does_not_hold_the_clock(clock: Clock) -> None:
    stuck = asyncio.Event()
    clock.spawn(stuck.wait(), "dispatch")
    moved = await clock.advance(10, wait=0.05)
    assert (moved.unsettled, moved.offset) == ({"dispatch": 1}, 10)
    stuck.set()
    assert await clock.settle(1)


async def test_what_comes_to_rest_is_waited_for_beside_what_does_not(clock: Clock) -> None:
    stuck, ends = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def slow() -> None:
        asyncio.get_running_loop().call_later(0.02, ends.set)
        await ends.wait()
        order.append("slow")

    clock.spawn(stuck.wait(), "stuck")
    clock.call_later(1, slow)
    clock.call_later(2, lambda: order.append("at two"))
    moved = await clock.advance(10, wait=0.5)
    assert order == ["slow", "at two"]
    assert moved.unsettled == {"stuck": 1}
    assert clock.in_flight() == {"stuck": 1}
    stuck.set()
    assert await clock.settle(5)


async def test_a_deadline_inside_the_move_ends_the_work_that_waits_for_it(clock: Clock) -> None:
    ended = asyncio.Event()

    async def dispatch() -> None:
        clock.call_later(30, ended.set)
        await ended.wait()

    clock.spawn(dispatch(), "dispatch")
    moved = await clock.advance(60, wait=0.05)
    assert ended.is_set()
    assert moved.fired == 1


async def test_timers_fire_by_themselves_in_real_time(clock: Clock) -> None:
    fired = asyncio.Event()
    clock.call_later(0.02, fired.set)
    async with asyncio.timeout(2):
        await fired.wait()


async def test_a_cancelled_timer_does_not_fire(clock: Clock) -> None:
    seen: list[int] = []
    clock.call_later(5, lambda: seen.append(1)).cancel()
    await clock.advance(10)
    assert seen == []
    assert clock.next_due() is None


async def test_a_failing_timer_does_not_stop_the_others(clock: Clock) -> None:
    seen: list[int] = []
    asyncio.get_running_loop().set_exception_handler(lambda *_: seen.append(0))
    clock.call_later(1, lambda: 1 / 0)
    clock.call_later(2, lambda: seen.append(2))
    await clock.advance(3)
    assert seen == [0, 2]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_the_clock_does_not_go_back(clock: Clock, seconds: float) -> None:
    with pytest.raises(ClockError, match="cannot be moved"):
        await clock.advance(seconds)


@pins(
    "front_end",
    "Operations, clock, state",
    "A move of more than 100 years, or past the year 8999, is refused before anything is changed",
    ours=True,
)
async def test_a_move_out_of_the_calendar_changes_nothing(clock: Clock) -> None:
    century = 100 * 365.25 * 24 * 3600
    with pytest.raises(ClockError, match="the most is 100 years"):
        await clock.advance(99999999 * 3600.0)
    assert (clock.offset, clock.path.read_bytes()) == (0, bytes(8))
    while clock.now() < datetime.datetime(8900, 1, 2, tzinfo=datetime.UTC).timestamp():
        await clock.advance(century)
    before = clock.offset
    with pytest.raises(ClockError, match="the year 8999"):
        await clock.advance(century)
    assert clock.offset == before
    Clock(clock.path).close()


@pytest.mark.parametrize("offset", [3.6e11, -60.0, float("nan"), float("inf")])
def test_an_impossible_offset_is_refused_with_its_fix(tmp_path: Path, offset: float) -> None:
    kept = struct.pack("<d", offset)
    (tmp_path / "clock").write_bytes(kept)
    with pytest.raises(StateError, match="remove that file"):
        Clock(tmp_path / "clock")
    assert (tmp_path / "clock").read_bytes() == kept


async def test_the_offset_is_in_the_file_for_everybody_and_survives(clock: Clock) -> None:
    await clock.advance(3600)
    with clock.path.open("rb") as file, mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ) as mapped:
        assert struct.unpack("<d", mapped[:8]) == (3600.0,)
        await clock.advance(1)
        assert struct.unpack("<d", mapped[:8]) == (3601.0,)
    again = Clock(clock.path)
    assert abs(again.now() - time.time() - 3601) < 600
    again.close()


async def test_idle_waits_for_what_is_in_flight(clock: Clock) -> None:
    with clock.busy("call"):
        assert not await clock.settle(0.02)
        assert clock.in_flight() == {"call": 1}
    assert await clock.settle(1)


async def test_ten_thousand_timers_fire_in_one_move(clock: Clock) -> None:
    count = 0

    def hit() -> None:
        nonlocal count
        count += 1

    start = clock.now()
    for n in range(10_000):
        clock.call_at(start + 1 + n * 0.001, hit)
    await clock.advance(20)
    assert count == 10_000


async def test_a_move_that_is_stopped_ends_where_the_clock_stands_and_waits_for_nothing(clock: Clock) -> None:
    hanging, seen = asyncio.Event(), []

    async def work() -> None:
        seen.append(clock.offset)
        hanging.set()
        await asyncio.Event().wait()

    clock.call_later(100, work)
    clock.call_later(200, lambda: seen.append(clock.offset))
    assert clock.stop() is False
    move = asyncio.create_task(clock.advance(1000, wait=3600))
    await hanging.wait()
    assert clock.heading_for() == 1000
    assert clock.stop() is True
    moved = await asyncio.wait_for(move, 60)
    assert (moved.stopped, round(moved.offset), len(seen)) == (True, 100, 1)
    assert clock.heading_for() is None
    assert (await clock.advance(0, wait=0)).stopped is False
