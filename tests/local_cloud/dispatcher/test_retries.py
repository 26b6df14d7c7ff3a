"""When the dispatcher tries a task again, and when it gives up."""

from itertools import pairwise

import pytest

from local_cloud.engines.backoff import RetryPolicy
from tests.fidelity import pins
from tests.local_cloud.dispatcher.room import HOSTPAY, STALL, Room
from tests.local_cloud.receiver import Receiver


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


@pins(
    "cloud_tasks",
    "Dispatch",
    "Backoff, and the stop rule of both limits",
    documented="RetryConfig",
)
async def test_three_attempts_and_sixty_seconds_mean_six_attempts(room: Room, there: Receiver) -> None:
    there.answers = [500]
    queue = room.open(retry=HOSTPAY)
    room.add(queue, "pay", there.url)
    await room.clock.advance(3600)
    offsets = [at - there.times[0] for at in there.times]
    assert offsets == pytest.approx([0, 5, 15, 30, 45, 60], abs=STALL)
    assert [name for name, _ in room.notes.drops] == ["pay"]
    assert "max_attempts is 3" in room.notes.drops[0][1]
    assert not queue.tasks


async def test_waits_double_then_grow_then_stay(room: Room, there: Receiver) -> None:
    there.answers = [500]
    queue = room.open(retry=RetryPolicy(min_backoff=10, max_backoff=300, max_doublings=3, max_attempts=9))
    room.add(queue, "t", there.url)
    await room.clock.advance(7200)
    assert gaps(there.times) == pytest.approx([10, 20, 40, 80, 160, 240, 300, 300], abs=STALL)


@pins(
    "cloud_tasks",
    "Dispatch",
    "Retry-After in seconds postpones its task, up to an hour",
    documented="HttpRequest",
    ours=True,
)
async def test_retry_after_is_heeded(room: Room, there: Receiver) -> None:
    there.answers = [b"HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: 40\r\n\r\n", 200]
    queue = room.open(retry=RetryPolicy(min_backoff=1, max_backoff=1))
    room.add(queue, "t", there.url)
    await room.clock.advance(60)
    assert gaps(there.times) == pytest.approx([40], abs=STALL)


@pins(
    "cloud_tasks",
    "Dispatch",
    "Tasks end after 31 days",
    documented="CreateQueue",
)
async def test_no_task_lives_longer_than_31_days(room: Room, there: Receiver) -> None:
    queue = room.open()
    room.dispatcher.set_paused(queue, True)
    room.add(queue, "old", there.url)
    await room.clock.advance(86400)
    room.add(queue, "young", there.url)
    await room.clock.advance(30 * 86400 + 1)
    assert list(queue.tasks) == ["young"]
    assert "31 days" in room.notes.drops[0][1]
