"""How the tasks of a queue flow through the dispatcher: rate, concurrency, pause, run, purge, overload."""

import asyncio
from collections.abc import Callable

import pytest

from local_cloud.engines.backoff import RetryPolicy
from tests.fidelity import pins
from tests.local_cloud.dispatcher.room import NAME, STALL, Room
from tests.local_cloud.receiver import Receiver

pins(
    "cloud_tasks",
    "Dispatch",
    "Pause takes creates, running attempts finish; RunTask ignores pause, rate, concurrency and schedule",
    documented="PauseQueue, RunTask",
)


@pytest.mark.parametrize("rate", [0.5, 1.5, 10, 50, 500])
async def test_no_task_is_ahead_of_the_rate_after_the_burst(room: Room, there: Receiver, rate: float) -> None:
    queue = room.open(rate=rate)
    burst = queue.bucket.burst
    count = burst + 40
    start = room.clock.now()
    for index in range(count):
        room.add(queue, f"t{index}", there.url)
    await room.clock.advance(count / rate + 1)
    assert len(there.requests) == count
    # Measured in the cloud's time, in which the bucket speaks; the machine adds what its own work takes.
    expected = [max(0.0, (index - burst + 1) / rate) for index in range(count)]
    early = [due - (at - start) for at, due in zip(there.times, expected, strict=True)]
    assert max(early) <= 0.002


async def test_no_more_run_at_once_than_the_queue_allows(room: Room, there: Receiver) -> None:
    there.hold = asyncio.Event()
    queue = room.open(concurrent=3)
    for index in range(10):
        room.add(queue, f"t{index}", there.url)
    await there.arrived(3)
    assert (queue.running, there.most_running) == (3, 3)
    there.hold.set()
    await there.arrived(10)
    await room.clock.settle()
    assert there.most_running == 3
    assert not queue.tasks


async def test_pause_takes_tasks_and_resume_sends_them(room: Room, there: Receiver) -> None:
    queue = room.open()
    room.dispatcher.set_paused(queue, True)
    room.add(queue, "t", there.url)
    await room.clock.advance(60)
    assert not there.requests
    assert not room.dispatcher.is_due()
    room.dispatcher.set_paused(queue, False)
    await there.arrived(1)


async def test_a_running_attempt_finishes_while_the_queue_is_paused(room: Room, there: Receiver) -> None:
    there.hold, there.answers = asyncio.Event(), [500, 200]
    queue = room.open()
    task = room.add(queue, "t", there.url)
    await there.arrived(1)
    room.dispatcher.set_paused(queue, True)
    there.hold.set()
    await room.clock.advance(60)
    assert (len(there.requests), task.responses) == (1, 1)
    room.dispatcher.set_paused(queue, False)
    await there.arrived(2)
    await room.clock.settle()
    assert not queue.tasks


@pins(
    "cloud_tasks",
    "Dispatch",
    "The wait counts from the answer; after RunTask from its call",
    documented="RunTask",
)
async def test_run_ignores_pause_and_schedule_and_counts_as_an_attempt(room: Room, there: Receiver) -> None:
    there.answers = [500, 200]
    queue = room.open(retry=RetryPolicy(min_backoff=7, max_backoff=7))
    room.dispatcher.set_paused(queue, True)
    task = room.add(queue, "t", there.url, after=3600)
    called = room.clock.now()
    room.dispatcher.run(queue, task)
    await there.arrived(1)
    await room.clock.settle()
    assert task.dispatched == 1
    assert task.schedule == pytest.approx(called + 7, abs=STALL)
    room.dispatcher.run(queue, task)
    await room.clock.settle()
    assert task.gone


@pins(
    "cloud_tasks",
    "Queues",
    "Purge and pause take effect at once (Google: within a minute)",
    ours="PurgeQueue",
)
async def test_purge_takes_what_was_there_and_an_attempt_that_runs_has_no_consequences(
    room: Room, there: Receiver
) -> None:
    there.hold, there.answers = asyncio.Event(), [500]
    queue = room.open(concurrent=1)
    for index in range(3):
        room.add(queue, f"t{index}", there.url, named=True)
    await there.arrived(1)
    assert room.dispatcher.purge(queue) == 3
    there.hold.set()
    await room.clock.advance(3600)
    assert len(there.requests) == 1
    assert room.journal.is_buried(f"{NAME}/tasks/t2")
    room.add(queue, "later", there.url)
    await there.arrived(2)


@pins(
    "cloud_tasks",
    "Dispatch",
    "429 and 503 halve the queue's rate, at most once a second, down to a sixteenth and not under "
    "1/s; so does a share of failures above nine tenths; it doubles again after each 5 s without",
    ours="HttpRequest says that it happens, not how",
)
async def test_overload_slows_the_whole_queue_and_it_recovers(room: Room, there: Receiver) -> None:
    there.answers = [503]
    queue = room.open(rate=100)
    for index in range(5):
        room.add(queue, f"t{index}", there.url)
    await there.arrived(5)
    await room.clock.settle()
    assert queue.bucket.rate < 100
    there.answers = [200]
    await room.clock.advance(60)
    room.add(queue, "after", there.url)
    assert queue.bucket.rate == 100


async def test_a_deleted_queue_takes_its_timers_with_it(room: Room, there: Receiver) -> None:
    queue = room.open()
    room.add(queue, "t", there.url, after=5)
    room.dispatcher.close(queue)
    await room.clock.advance(60)
    assert not there.requests
    assert room.clock.next_due() is None


async def test_many_ends_leave_nothing_behind(room: Room, there: Receiver) -> None:
    queue = room.open()
    sizes: list[Callable[[], int]] = [
        lambda: len(queue.tasks),
        lambda: queue.running,
        lambda: room.dispatcher.in_flight,
    ]
    for index in range(300):
        room.add(queue, f"t{index}", there.url)
    await room.clock.advance(5)
    await room.store.committed()
    assert [size() for size in sizes] == [0, 0, 0]
    assert len(room.clock._heap) < 10
