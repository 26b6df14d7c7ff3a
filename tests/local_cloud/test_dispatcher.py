"""The dispatcher alone: real clock, real store, real HTTP, no API around it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from local_cloud.clock import Clock
from local_cloud.engines.attempt import Identity, Outcome, Target
from local_cloud.engines.backoff import RetryPolicy
from local_cloud.engines.dispatcher import Dispatcher
from local_cloud.engines.journal import StoreJournal
from local_cloud.engines.outgoing import Client
from local_cloud.engines.ports import SigningError
from local_cloud.engines.queues import Limits, Queue
from local_cloud.engines.tasks import Task
from local_cloud.store import Store
from tests.fidelity import pins
from tests.local_cloud.receiver import Receiver, receiver

pins(
    "cloud_tasks",
    "Dispatch",
    "Pause takes creates, running attempts finish; RunTask ignores pause, rate, concurrency and schedule",
    documented="PauseQueue, RunTask",
)

NAME = "projects/p/locations/l/queues/q"
HOSTPAY = RetryPolicy(max_attempts=3, max_retry_duration=60, min_backoff=5, max_backoff=15, max_doublings=2)


class Notes:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.drops: list[tuple[str, str]] = []

    def answered(self, queue: Queue, task: Task, outcome: Outcome, url: str) -> None:
        self.outcomes.append(outcome)

    def dropped(self, queue: Queue, task: Task, why: str) -> None:
        self.drops.append((task.id, why))


class Room:
    """A dispatcher with its surroundings on one state directory."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock(path / "clock")
        self.store = Store(path)
        self.journal = StoreJournal(self.store, self.clock.now)
        self.client = Client()
        self.notes = Notes()
        self.deadline = 600.0
        self.dispatcher = Dispatcher(
            clock=self.clock,
            journal=self.journal,
            client=self.client,
            watcher=self.notes,
            target_of=self.target,
            authorize=self.authorize,
        )

    def target(self, queue: Queue, task: Task) -> Target:
        spec = json.loads(task.spec)
        identity = Identity("x@p.iam.gserviceaccount.com", "aud") if spec.get("signed") else None
        headers = [(name, value) for name, value in spec.get("headers", [])]
        return Target("POST", spec["url"], headers, b"body", self.deadline, identity)

    def authorize(self, target: Target) -> str:
        raise SigningError("the account does not exist")

    def open(self, rate: float = 500, concurrent: int = 1000, retry: RetryPolicy | None = None) -> Queue:
        limits = Limits(rate=rate, concurrent=concurrent, retry=retry or RetryPolicy())
        return self.dispatcher.open(NAME, limits, None, tasks=self.journal.tasks(NAME))

    def add(
        self, queue: Queue, task_id: str, url: str, *, after: float = 0, named: bool = False, **spec: object
    ) -> Task:
        now = self.clock.now()
        body = json.dumps({"url": url, **spec}).encode()
        task = Task(task_id, body, created=now, schedule=now + after, named=named)
        self.dispatcher.add(queue, task)
        return task

    async def close(self) -> None:
        self.client.close()
        self.clock.close()
        await self.store.close()


@asynccontextmanager
async def room_at(path: Path) -> AsyncIterator[Room]:
    room = Room(path)
    try:
        yield room
    finally:
        await room.close()


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with room_at(tmp_path) as made:
        yield made


@pytest.fixture
async def there(room: Room) -> AsyncIterator[Receiver]:
    async with receiver(room.clock.now) as made:
        yield made


#: Seconds by which a busy machine may be late; the exact law is held in virtual time (test_dispatch_law.py).
STALL = 2.0


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


@pins(
    "cloud_tasks",
    "Dispatch",
    "The headers of each attempt, and their values over six answers",
    observed="conformance record",
)
@pins(
    "cloud_tasks",
    "Dispatch",
    "Anything but 2xx is a failure; redirects are not followed",
    observed="conformance record",
)
async def test_headers_of_six_attempts_are_those_recorded_from_the_real_service(room: Room, there: Receiver) -> None:
    there.answers = [503, 404, 429, 500, 302, 200]
    queue = room.open(retry=RetryPolicy(min_backoff=1, max_backoff=1))
    task = room.add(queue, "task-1", there.url + "/a?b=c", headers=[["x-MiXed", "Kept"], ["User-Agent", "mine"]])
    await room.clock.advance(30)
    assert [r.header("X-CloudTasks-TaskRetryCount") for r in there.requests] == ["0", "1", "2", "3", "4", "5"]
    assert [r.header("X-CloudTasks-TaskExecutionCount") for r in there.requests] == ["0", "0", "1", "2", "2", "3"]
    previous = [None, "503", "404", "429", "500", "302"]
    assert [r.header("X-CloudTasks-TaskPreviousResponse") for r in there.requests] == previous
    assert [r.header("X-CloudTasks-TaskRetryReason") for r in there.requests] == [None, "", "", "", "", ""]
    for request in there.requests:
        assert request.target == "/a?b=c"
        assert request.body == b"body"
        assert request.header("User-Agent") == "Google-Cloud-Tasks"
        assert request.header("X-CloudTasks-QueueName") == "q"
        assert request.header("X-CloudTasks-TaskName") == "task-1"
        assert request.header("x-MiXed") == "Kept"
        assert "content-type" not in {name.lower() for name, _ in request.headers}
        eta = request.header("X-CloudTasks-TaskETA")
        assert eta is not None
        assert len(eta.partition(".")[2]) == 6
        assert float(eta) < request.at + 0.001
    assert task.gone
    assert not queue.tasks


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
    "After a missed deadline TaskPreviousResponse is 504, for App Engine 0; TaskRetryReason is empty, for App Engine "
    "`App Error` or, without an answer, `Instance Unavailable`",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
@pins(
    "cloud_tasks",
    "Dispatch",
    "Dispatch deadline 15 s to 30 min, default 10 min, on the cloud's clock; then DEADLINE_EXCEEDED and retried",
    documented="Task.dispatch_deadline",
)
async def test_an_attempt_without_an_answer_by_its_deadline_is_tried_again(room: Room, there: Receiver) -> None:
    there.hold, room.deadline = asyncio.Event(), 0.2
    queue = room.open(retry=RetryPolicy(min_backoff=1, max_backoff=1))
    task = room.add(queue, "t", there.url)
    await there.arrived(1)
    await room.clock.settle()
    assert task.last is not None
    assert task.last.code == 4
    assert (task.dispatched, task.responses) == (1, 0)
    room.deadline, hold, there.hold = 600.0, there.hold, None
    await room.clock.advance(2)
    hold.set()
    second = there.requests[1]
    assert second.header("X-CloudTasks-TaskRetryReason") == ""
    assert second.header("X-CloudTasks-TaskPreviousResponse") == "504"
    assert task.gone


async def test_a_receiver_that_is_not_there_is_tried_again(room: Room, unused_tcp_port: int) -> None:
    queue = room.open(retry=HOSTPAY)
    task = room.add(queue, "t", f"http://127.0.0.1:{unused_tcp_port}/")
    await room.clock.advance(10)
    assert task.dispatched == 2
    assert task.last is not None
    assert (task.last.status, task.last.code) == (0, 14)


@pins(
    "cloud_tasks",
    "Tasks",
    "An account that is deleted or disabled later fails the attempts of its tasks: PERMISSION_DENIED",
    ours=True,
)
async def test_an_account_that_cannot_sign_fails_the_attempt_before_it_leaves(room: Room, there: Receiver) -> None:
    queue = room.open(retry=RetryPolicy(min_backoff=1, max_backoff=1))
    task = room.add(queue, "t", there.url, signed=True)
    await room.clock.settle()
    assert not there.requests
    assert task.last is not None
    assert "does not exist" in task.last.message


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


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_every_form_of_answer_ends_the_task(room: Room, there: Receiver, answer: bytes) -> None:
    there.answers = [answer]
    queue = room.open()
    tasks = [room.add(queue, f"t{index}", there.url) for index in range(3)]
    await there.arrived(3)
    await room.clock.settle()
    assert all(task.gone for task in tasks)


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\ncut"]
)
async def test_what_is_no_answer_is_a_failure(room: Room, there: Receiver, answer: bytes) -> None:
    there.answers = [answer, 200]
    queue = room.open(retry=RetryPolicy(min_backoff=1, max_backoff=1))
    task = room.add(queue, "t", there.url)
    await there.arrived(1)
    await room.clock.advance(5)
    assert task.gone
    assert len(there.requests) == 2


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


async def test_a_restart_goes_on_where_tasks_were(tmp_path: Path) -> None:
    async with room_at(tmp_path) as room, receiver(room.clock.now) as there:
        there.answers = [500, 200]
        queue = room.open(retry=HOSTPAY)
        room.add(queue, "tried", there.url, named=True)
        await room.clock.settle()
        done = room.add(queue, "done", there.url, named=True)
        await room.clock.settle()
        assert done.gone
        later = [room.add(queue, f"later{index}", there.url, after=60) for index in range(20)]
        await room.store.committed()
        port = there.port
    async with room_at(tmp_path) as room:
        queue = room.open(retry=HOSTPAY)
        assert list(queue.tasks) == ["tried", *(task.id for task in later)]
        assert room.journal.is_buried(f"{NAME}/tasks/done")
        tried = queue.tasks["tried"]
        assert (tried.dispatched, tried.responses, tried.executions, tried.named) == (1, 1, 0, True)
        assert tried.last is not None
        assert tried.last.message == "INTERNAL(13): HTTP status code 500"
        assert str(port) in tried.spec.decode()


async def test_an_attempt_in_flight_at_the_end_is_repeated_and_counted(tmp_path: Path) -> None:
    async with receiver(time.time) as there:
        there.hold = asyncio.Event()
        async with room_at(tmp_path) as room:
            room.add(room.open(), "t", there.url)
            await there.arrived(1)
    async with room_at(tmp_path) as room, receiver(room.clock.now) as there:
        row = room.journal.tasks(NAME)[0]
        assert row.dispatched == 1
        row.spec = json.dumps({"url": there.url}).encode()
        queue = room.open()
        request = (await there.arrived(1))[0]
        await room.clock.settle()
        assert request.header("X-CloudTasks-TaskRetryCount") == "1"
        assert not queue.tasks


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
