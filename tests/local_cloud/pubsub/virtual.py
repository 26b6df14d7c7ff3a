"""Pub/Sub's core without a cloud: a clock that jumps, a log in memory, documents in dictionaries; all of it can be
killed at any moment, and comes up again with what was on disk."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from local_cloud.descriptors import message
from local_cloud.pubsub.consumer import Consumer, Delivery
from local_cloud.pubsub.state import PubSub
from tests.local_cloud.virtual import START, Timer

TOPIC = "projects/p/topics/t"
Topic, Subscription, PubsubMessage = (
    message(f"google.pubsub.v1.{kind}") for kind in ("Topic", "Subscription", "PubsubMessage")
)


class Documents(dict[str, Any]):
    """A collection that is always on disk."""

    def save(self, key: str) -> None:
        """In memory there is nothing to do."""

    def pop(self, key: str, *_: Any) -> Any:
        """As the store's: None when there was none."""
        return super().pop(key, None)

    def items(self) -> Any:
        """A copy."""
        return list(super().items())

    def values(self) -> Any:
        """A copy."""
        return list(super().values())


class Disk:
    """A log's records; those from `durable` on are not on disk yet."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes]] = []
        self.durable = 0


class MemoryLog:
    """The log's surface over a Disk."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.sizes: dict[int, int] = {}
        self.written = 0
        self.live = 0
        self.upcoming: object = object()
        self.after: list[Callable[[], None]] = []
        self.on_segment: Callable[[], None] = lambda: None

    def replay(self) -> Iterator[tuple[int, memoryview, int]]:
        for index, (kind, payload) in enumerate(self.disk.records):
            yield kind, memoryview(payload), (index + 1) << 24

    def append(self, kind: int, *parts: bytes, lazy: bool = False) -> int:
        self.disk.records.append((kind, b"".join(parts)))
        return len(self.disk.records) << 24

    def read(self, place: int, size: int) -> bytes:
        at = place & 0xFFFFFF
        if place >> 24 > self.disk.durable:
            return b""  # as a file gives what was not written
        return self.disk.records[(place >> 24) - 1][1][at : at + size]

    def keep(self, _place: int, size: int) -> None:
        self.live += size

    def free(self, _place: int, size: int) -> None:
        self.live -= size

    def after_commit(self, callback: Callable[[], None]) -> None:
        self.after.append(callback)

    async def committed(self) -> None:
        self.commit()

    def commit(self) -> None:
        """All is on disk."""
        self.disk.durable = len(self.disk.records)
        after, self.after, self.upcoming = self.after, [], object()
        for callback in after:
            callback()


class Puller(Consumer):
    """Takes a number of messages at once."""

    def __init__(self, most: int, deadline: float = 10.0) -> None:
        super().__init__(deadline, most)
        self.got: list[Delivery] = []

    def deliver(self, deliveries: list[Delivery]) -> None:
        self.got += deliveries


class World:
    """The core, its clock and its disk."""

    def __init__(self) -> None:
        self.time = START
        self.heap: list[tuple[float, int, Timer]] = []
        self.serial = itertools.count()
        self.disk = Disk()
        self.documents: dict[str, Documents] = {}
        self.start()

    def start(self) -> None:
        """Comes up with what is on disk."""
        del self.disk.records[self.disk.durable :]
        self.heap.clear()
        self.log = MemoryLog(self.disk)
        cloud: Any = self
        log: Any = self.log
        self.core = PubSub(cloud, log)
        self.core.load()

    # what the core asks of a cloud: itself as clock and store
    @property
    def clock(self) -> World:
        return self

    @property
    def store(self) -> World:
        return self

    def json(self, name: str) -> Documents:
        return self.documents.setdefault(name, Documents())

    def messages(self, name: str, _kind: str) -> Documents:
        return self.json(name)

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        heapq.heappush(self.heap, (when, next(self.serial), timer))
        return timer

    def busy(self, _what: str) -> AbstractContextManager[None]:
        return nullcontext()

    def advance(self, seconds: float) -> None:
        """Moves the clock from timer to timer."""
        until = self.time + seconds
        while self.heap and self.heap[0][0] <= until:
            when, _, timer = heapq.heappop(self.heap)
            self.time = max(self.time, when)
            if timer.fn:
                timer.fn()
        self.time = until

    # what tests do
    def publish(self, data: str, key: str = "", **attributes: str) -> str:
        made = PubsubMessage(data=data.encode(), ordering_key=key, attributes=attributes)
        return self.core.append(TOPIC, made, made.attributes)

    def seek(self, subscription: str, when: float) -> None:
        """Seeks to a time; what it waits for here is there at once."""
        work = self.core.seek_to_time(subscription, when)
        with suppress(StopIteration):
            while work is not None:
                work.send(None)

    def pull(self, subscription: str, most: int = 1000, deadline: float = 10.0) -> list[Delivery]:
        puller = Puller(most, deadline)
        backlog = self.core.backlogs[subscription]
        backlog.attach(puller)
        backlog.detach(puller)
        return puller.got
