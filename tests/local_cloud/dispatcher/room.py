"""A dispatcher alone on one state directory: real clock, real store, real HTTP, no API around it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

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

NAME = "projects/p/locations/l/queues/q"
HOSTPAY = RetryPolicy(max_attempts=3, max_retry_duration=60, min_backoff=5, max_backoff=15, max_doublings=2)
#: Seconds by which a busy machine may be late; the exact law is held in virtual time (test_dispatch_law.py).
STALL = 2.0


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
