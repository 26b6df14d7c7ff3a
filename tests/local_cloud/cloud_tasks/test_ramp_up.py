"""Ramp-up and duplicates of the dispatcher, in virtual time: nothing waits, and every moment is exact."""

from bisect import bisect_left

import pytest

from local_cloud.engines.backoff import RetryPolicy
from local_cloud.engines.duplicates import EVERY_QUEUE, Duplicates
from local_cloud.engines.queues import Limits, Queue
from local_cloud.engines.ramp import RampUp
from local_cloud.engines.tasks import Task
from tests.fidelity import pins
from tests.local_cloud.virtual import START, World


def queue_of(world: World, rate: float = 500) -> Queue:
    return world.dispatcher.open("q", Limits(rate=rate, concurrent=5000, retry=RetryPolicy()), None)


def add(world: World, queue: Queue, count: int, *, named: bool = False, prefix: str = "t") -> None:
    for index in range(count):
        task = Task(f"{prefix}{index}", b"", created=world.time, schedule=world.time, named=named)
        world.dispatcher.add(queue, task)


def sent_between(world: World, begin: float, end: float) -> int:
    """Dispatches in a span counted from the start of the world."""
    return bisect_left(world.sent, START + end) - bisect_left(world.sent, START + begin)


@pins(
    "cloud_tasks",
    "Dispatch",
    "Ramp-up of new and idle queues is off; `--tasks-ramp-up START` or /_sluice/tasks/ramp-up turns it on: from START "
    "a second, half as much again every 5 minutes, anew after 5 idle minutes",
    documented="HttpRequest says that it happens; Manage scaling risks: the 500/50/5 pattern",
    ours="the law",
)
def test_a_new_queue_ramps_up_by_half_every_five_minutes() -> None:
    world = World()
    world.answer = lambda: (0.0, 200)
    world.dispatcher.ramp_up(RampUp(start=4))
    queue = queue_of(world, rate=10)
    add(world, queue, 12_000)
    world.run(START + 1500)
    for step, rate in enumerate((4, 6, 9, 10, 10)):
        assert sent_between(world, step * 300 + 2, step * 300 + 299) / 297 == pytest.approx(rate, rel=0.01)


def test_the_burst_of_a_queue_that_ramps_up_is_small_too() -> None:
    world = World()
    world.answer = lambda: (0.0, 200)
    world.dispatcher.ramp_up(RampUp(start=5))
    queue = queue_of(world)
    add(world, queue, 50)
    world.run(START)
    assert len(world.sent) == 1


def test_an_idle_queue_starts_again_and_a_busy_one_goes_on() -> None:
    world = World()
    world.answer = lambda: (0.0, 200)
    world.dispatcher.ramp_up(RampUp(start=1, growth=9, every=10, idle=60))
    queue = queue_of(world, rate=100)
    add(world, queue, 1000)
    world.run(START + 40)
    assert queue.bucket.rate == 100
    world.run(START + 80)  # drained long ago, but not yet idle for a minute
    add(world, queue, 1, prefix="kept")
    assert queue.bucket.rate == 100
    world.run(START + 80 + 60)
    add(world, queue, 1, prefix="cold")
    assert queue.bucket.rate == 1


def test_a_step_comes_although_the_next_token_is_far() -> None:
    world = World()
    world.answer = lambda: (0.0, 200)
    world.dispatcher.ramp_up(RampUp(start=0.1, growth=99, every=2, idle=60))
    queue = queue_of(world, rate=10)
    add(world, queue, 5)
    world.run(START + 2.5)
    assert [at - START for at in world.sent] == pytest.approx([0, 2, 2, 2, 2], abs=0.001)


def test_ramp_up_can_be_turned_off_while_tasks_wait() -> None:
    world = World()
    world.answer = lambda: (0.0, 200)
    world.dispatcher.ramp_up(RampUp(start=1))
    queue = queue_of(world)
    add(world, queue, 300)
    world.run(START + 2)
    world.dispatcher.ramp_up(None)
    world.run(START + 4)
    assert not queue.tasks


def test_a_ramp_of_many_years_ends_at_the_queues_own_rate() -> None:
    world = World()
    world.answer = lambda: (0.0, 200)
    world.dispatcher.ramp_up(RampUp(start=1, every=1, idle=1e9))
    queue = queue_of(world)
    add(world, queue, 1)
    world.run(START + 1e8)
    add(world, queue, 1)
    assert queue.bucket.rate == 500


@pins(
    "cloud_tasks",
    "Dispatch",
    "Duplicates on demand: a share of successes is delivered once more, byte for byte, the same ones for the same seed",
    documented="at least once; multiple execution is possible",
    ours="/_sluice/tasks/duplicates, --tasks-duplicates",
)
def test_a_share_of_successes_is_delivered_twice() -> None:
    world = World()
    world.answer = lambda: (0.1, 200)
    world.dispatcher.duplicates = Duplicates({"q": 0.25}, seed=7)
    queue = queue_of(world)
    add(world, queue, 2000, named=True)
    world.run(START + 60)
    assert not queue.tasks
    assert world.dispatcher.in_flight == 0
    assert queue.running == 0
    assert len(world.sent) == pytest.approx(2500, abs=80)
    assert set(world.over.values()) == {"done"}


def test_a_failure_is_no_reason_for_a_duplicate() -> None:
    world = World()
    answers = [500, 500, 200, 200]
    world.answer = lambda: (0.1, answers.pop(0))
    world.dispatcher.duplicates = Duplicates({EVERY_QUEUE: 1.0})
    queue = queue_of(world)
    add(world, queue, 1)
    world.run(START + 60)
    assert answers == []
    assert world.over == {"t0": "done"}


def test_a_duplicate_that_fails_or_never_ends_has_no_consequences() -> None:
    world = World()
    answers = [200, 500, 200, -1]
    world.answer = lambda: (0.1, answers.pop(0))
    world.dispatcher.duplicates = Duplicates({EVERY_QUEUE: 1.0})
    queue = queue_of(world, rate=1)
    add(world, queue, 1)
    world.run(START + 1)
    add(world, queue, 1, prefix="late")
    world.run(START + 700)
    assert answers == []
    assert set(world.over.values()) == {"done"}
    assert not world.rows
    assert world.dispatcher.in_flight == 0


def test_the_seed_says_which_tasks_are_doubled() -> None:
    def chosen(seed: int, *, named: bool) -> list[int]:
        duplicates = Duplicates({EVERY_QUEUE: 0.3, "calm": 0.0}, seed=seed)
        tasks = [Task(f"t{index}", b"", created=0, schedule=0, named=named) for index in range(300)]
        assert not any(duplicates.chosen("calm", task) for task in tasks)
        return [index for index, task in enumerate(tasks) if duplicates.chosen("q", task)]

    for named in (True, False):
        assert chosen(1, named=named) == chosen(1, named=named)
        assert chosen(1, named=named) != chosen(2, named=named)
        assert len(chosen(1, named=named)) == pytest.approx(90, abs=25)
