"""A simulated cloud around the dispatcher: a clock that jumps, a journal in memory, a carrier that answers at will.

Nothing waits here. The tests of the dispatcher's laws and the benchmark of the backoff use it.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local_cloud.engines.attempt import Outcome, Target
from local_cloud.engines.backoff import RetryPolicy
from local_cloud.engines.dispatcher import Dispatcher
from local_cloud.engines.outgoing import Call, Origin, Reply
from local_cloud.engines.queues import Limits, Queue
from local_cloud.engines.tasks import Task

START = 1_800_000_000.0


class Timer:
    def __init__(self, fn: Callable[[], None]) -> None:
        self.fn: Callable[[], None] | None = fn

    def cancel(self) -> None:
        self.fn = None


class World:
    """Clock, journal, carrier and watcher of a simulated cloud."""

    def __init__(self) -> None:
        self.time = START
        self.heap: list[tuple[float, int, Timer]] = []
        self.serial = itertools.count()
        self.rows: dict[str, bytes] = {}
        self.sent: list[float] = []
        self.answer: Callable[[], tuple[float, int]] = lambda: (0.0, 500)
        self.over: dict[str, str] = {}
        self.dispatcher = Dispatcher(
            clock=self,
            journal=self,
            client=self,
            watcher=self,
            target_of=lambda _queue, _task: Target("POST", "http://h/", [], b"", 600.0),
            authorize=lambda _target: "",
        )

    # the clock
    def now(self) -> float:
        return self.time

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self.heap, (when, next(self.serial), timer))
        return timer

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        yield

    def run(self, until: float) -> None:
        while self.heap and self.heap[0][0] <= until:
            when, _, timer = heapq.heappop(self.heap)
            self.time = max(self.time, when)
            if timer.fn:
                timer.fn()
        self.time = until

    # the journal
    def save(self, queue: str, task: Task) -> None:
        self.rows[task.id] = task.encode()

    def drop(self, queue: str, task: Task, bury_until: float) -> None:
        del self.rows[task.id]

    def committed(self, callback: Callable[[], None]) -> None:
        self.call_at(self.time, callback)

    # the carrier
    def send(self, origin: Origin, request: bytes, done: Callable[[Reply], None], head: bool = False) -> Call:
        call = Call(request, head, done)
        self.sent.append(self.time)
        takes, status = self.answer()
        if status >= 0:
            self.call_at(self.time + takes, lambda: call.finish(Reply(status, error="none" if not status else "")))
        return call

    # the watcher
    def answered(self, queue: Queue, task: Task, outcome: Outcome, url: str) -> None:
        if outcome.ok:
            self.over.setdefault(task.id, "done")

    def dropped(self, queue: Queue, task: Task, why: str) -> None:
        assert task.id not in self.over
        self.over[task.id] = "dropped"


def policies(chance: random.Random) -> RetryPolicy:
    """Any settings of a queue that the API takes, none of them without an end."""
    low = chance.choice([0.1, 1.0, 5.0, round(chance.uniform(0.001, 200), 3)])
    return RetryPolicy(
        max_attempts=chance.choice([-1, 1, 2, 3, 5, 12, 40, 100]),
        max_retry_duration=float(chance.choice([0, 1, 10, 60, 3600, 86400])),
        min_backoff=low,
        max_backoff=low + chance.choice([0.0, round(chance.uniform(0, 60), 3), round(chance.uniform(0, 7200), 3)]),
        max_doublings=chance.randrange(17),
    )


def attempts_of_a_failing_task(policy: RetryPolicy, most: int) -> list[float]:
    """When a task that always fails at once was attempted, counted from the first attempt."""
    world = World()
    queue = world.dispatcher.open("q", Limits(rate=500, concurrent=10, retry=policy), None)
    world.dispatcher.add(queue, Task("t", b"", created=START, schedule=START, named=False))
    while world.heap and len(world.sent) < most and not world.over:
        world.run(world.heap[0][0])
    return [at - START for at in world.sent]
