"""The meter: minutes on a clock of the test's own, kept by a real store."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_cloud.clock import Clock
from local_cloud.engines.meter import Meter
from local_cloud.metrics import points as points_module
from local_cloud.metrics.points import RETENTION, Points
from local_cloud.metrics.series import SECOND, STEP, Key, Point, Run, key
from local_cloud.store import Store
from tests.fidelity import pins

ATTEMPTS = "cloudtasks.googleapis.com/queue/task_attempt_count"
DELAYS = "cloudtasks.googleapis.com/queue/task_attempt_delays"
DEPTH = "cloudtasks.googleapis.com/queue/depth"
MINUTE = 60.0
START = 1_700_000_040.0  # a full minute


class StillClock:
    """A clock that only the test moves."""

    def __init__(self, now: float = START) -> None:
        self.time = now
        self.passed: list[Callable[[], None]] = []

    def now(self) -> float:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += seconds
        for passed in self.passed:
            passed()


def name(metric: str) -> Callable[[str], Key]:
    return lambda queue: key(metric, "cloud_tasks_queue", {"queue_id": queue}, {})


class Bench:
    """A meter with one counter, one distribution and one gauge."""

    def __init__(self, folder: Path, clock: StillClock) -> None:
        self.clock, self.store, self.depth = clock, Store(folder), 0
        self.meter = Meter(self._as_clock(), Points(self.store))
        self.attempts = self.meter.counter(ATTEMPTS, name(ATTEMPTS))
        self.delays = self.meter.distribution(DELAYS, name(DELAYS))
        self.meter.sampler(lambda _: [(name(DEPTH)("q"), self.depth)])
        self.meter.start()

    def _as_clock(self) -> Clock:
        clock: Any = self.clock
        return clock  # type: ignore[no-any-return]

    def points(self, metric: str) -> list[Point]:
        [kept] = self.meter.points.find(metric)
        return kept.points(0, 2**62)

    async def stop(self) -> None:
        self.meter.stop()
        await self.store.close()


@pytest.fixture
async def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path / "state", StillClock())
    yield made
    await made.stop()


def minutes(*counts: int) -> list[Point]:
    """Points of the minutes after START."""
    made = []
    for index, count in enumerate(counts):
        end = int(START * SECOND) + (index + 1) * STEP
        made.append(Point(end - STEP, end, count))
    return [point for point in made if point.value]


@pins(
    "monitoring",
    "Metrics",
    "A counter's point is what happened in its minute; a minute without anything has none",
    documented="Metric model: DELTA; metrics list: sampled every 60 seconds",
)
async def test_what_happens_is_counted_in_its_minute(bench: Bench) -> None:
    bench.attempts["q"] += 2
    bench.clock.move(61)
    bench.attempts["q"] += 3
    bench.clock.move(180)
    bench.attempts["q"] += 1
    bench.clock.move(60)
    assert bench.points(ATTEMPTS) == minutes(2, 3, 0, 0, 1)


@pins(
    "monitoring",
    "Metrics",
    "A move of the clock over any stretch fills every minute of it, gauges with what held",
    ours="time moves as a whole; a day of nothing is kept as one run",
)
async def test_a_day_of_nothing_is_every_minute_of_it_and_costs_one_run(bench: Bench) -> None:
    bench.depth = 7
    bench.clock.move(24 * 3600)
    found = bench.points(DEPTH)
    assert len(found) == 24 * 60
    assert {point.value for point in found} == {7}
    assert all(point.start == point.end for point in found)
    assert bench.meter.points.runs == 1


async def test_distributions_hold_the_values_of_their_minute(bench: Bench) -> None:
    for value in (1.0, 3.0, 500.0):
        bench.delays["q"].add(value)
    bench.clock.move(MINUTE)
    bench.delays["q"].add(8.0)
    bench.clock.move(MINUTE)
    first, second = (point.value for point in bench.points(DELAYS))
    assert (first.size, first.mean, second.size, second.mean) == (3, 168.0, 1, 8.0)  # type: ignore[union-attr]


@pins(
    "monitoring",
    "Metrics",
    "Points are kept through a restart; the minute that a restart divides is one point",
    ours="Google's collectors outlive us",
)
async def test_a_restart_keeps_points_and_the_minute_that_it_divides(tmp_path: Path) -> None:
    clock = StillClock()
    first = Bench(tmp_path / "state", clock)
    first.attempts["q"] += 4
    first.delays["q"].add(1.0)
    clock.move(MINUTE + 10)
    first.attempts["q"] += 5
    first.delays["q"].add(2.0)
    await first.stop()
    clock.move(20)
    second = Bench(tmp_path / "state", clock)
    second.attempts["q"] += 6
    second.delays["q"].add(4.0)
    clock.move(MINUTE)
    assert second.points(ATTEMPTS) == minutes(4, 11)
    delays = [point.value for point in second.points(DELAYS)]
    assert [(value.size, value.mean) for value in delays] == [(1, 1.0), (2, 3.0)]  # type: ignore[union-attr]
    await second.stop()
    third = Bench(tmp_path / "state", clock)
    assert third.points(ATTEMPTS) == minutes(4, 11)
    await third.stop()


async def test_long_series_are_read_back_whole(tmp_path: Path) -> None:
    clock = StillClock()
    first = Bench(tmp_path / "state", clock)
    for count in range(1, 200):
        first.attempts["q"] += count
        clock.move(MINUTE)
    wanted = first.points(ATTEMPTS)
    await first.stop()
    second = Bench(tmp_path / "state", clock)
    assert second.points(ATTEMPTS) == wanted == minutes(*range(1, 200))
    assert second.meter.points.runs == 200
    await second.stop()


@pins(
    "monitoring",
    "Metrics",
    "Points are kept for six weeks, and no more of them than memory affords",
    documented="Data retention: 6 weeks; the bound is our own",
)
async def test_what_is_older_than_six_weeks_goes(tmp_path: Path) -> None:
    clock = StillClock()
    bench = Bench(tmp_path / "state", clock)
    bench.attempts["q"] += 1
    bench.attempts["old"] += 1
    clock.move(MINUTE)
    for _ in range(60):  # a chunk of its own
        bench.attempts["q"] += 1 + (_ % 2)
        clock.move(MINUTE)
    clock.move(RETENTION / SECOND)
    bench.attempts["q"] += 9
    clock.move(3600)
    assert [point.value for point in bench.points(ATTEMPTS)] == [9]
    await bench.stop()
    again = Bench(tmp_path / "state", clock)
    assert [point.value for point in again.points(ATTEMPTS)] == [9]
    await again.stop()


async def test_the_oldest_go_when_there_are_too_many(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points_module, "MAX_RUNS", 500)
    kept = bench.meter.points
    for queue in range(10):
        for minute in range(100):
            end = int(START * SECOND) + (minute + queue) * STEP
            kept.append(name(ATTEMPTS)(str(queue)), "DELTA", "INT64", Run(end - STEP, end, 1, minute + 1))
    newest = max(one.last.last for one in kept.find(ATTEMPTS) if one.last)
    kept.expire(newest)
    assert 0 < kept.runs <= 500
    assert max(one.last.last for one in kept.find(ATTEMPTS) if one.last) == newest


async def test_series_beyond_the_bound_are_not_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points_module, "MAX_SERIES", 3)
    for queue in range(10):
        bench.attempts[str(queue)] += 1
    bench.clock.move(MINUTE)
    assert len(bench.meter.points.find(ATTEMPTS)) == 3


async def test_an_older_point_is_not_taken(bench: Bench) -> None:
    kept, depth = bench.meter.points, name(DEPTH)("old")
    kept.append(depth, "GAUGE", "INT64", Run(2 * STEP, 2 * STEP, 1, 5))
    kept.append(depth, "GAUGE", "INT64", Run(STEP, STEP, 1, 4))
    kept.append(depth, "GAUGE", "INT64", Run(2 * STEP, 2 * STEP, 1, 4))
    found = kept.get(depth)
    assert found is not None
    assert found.points(0, 2**62) == [Point(2 * STEP, 2 * STEP, 5)]


async def test_a_sampler_that_fails_stops_neither_the_clock_nor_the_others(bench: Bench) -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    bench.meter.sampler(lambda _: [(name(DEPTH)("other"), 1 // bench.depth)])
    bench.meter.sampler(lambda _: [(name(DEPTH)("last"), 3)])
    bench.clock.move(MINUTE)
    assert [type(error) for error in told] == [ZeroDivisionError]
    assert {dict(kept.key.resource_labels)["queue_id"] for kept in bench.meter.points.find(DEPTH)} == {"q", "last"}


async def test_a_clock_that_is_set_back_loses_nothing(bench: Bench) -> None:
    bench.attempts["q"] += 1
    bench.clock.move(MINUTE)
    bench.clock.move(-600)
    bench.attempts["q"] += 1
    bench.clock.move(700)
    assert bench.points(ATTEMPTS)[0] == minutes(1)[0]
