"""Tasks and used names on the cloud's store: the dispatcher's journal.

Owns the collections of Cloud Tasks' moving state, one of tasks for each queue and one of the names that are refused
for a while. Writes are group-committed by the store; a task that is written several times between two commits is
written once. Leaves alone: queue configurations (the API's).
"""

import asyncio
from collections.abc import Callable

from local_cloud.engines.tasks import Task, decode
from local_cloud.store import Collection, Store

#: Used names that have come free are swept out when so many have been buried since the last sweep.
SWEEP_EVERY = 10_000


class StoreJournal:
    """The journal of one cloud."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._buried = store.json("cloudtasks.names")
        self._since_sweep = 0
        self._waiting: set[asyncio.Task[None]] = set()

    def tasks(self, queue: str) -> list[Task]:
        """The tasks that a queue has on disk, in the order of their creation."""
        return self._collection(queue).values()

    def save(self, queue: str, task: Task) -> None:
        """Writes a task's row."""
        self._collection(queue)[task.id] = task

    def drop(self, queue: str, task: Task, bury_until: float) -> None:
        """Deletes a task's row, and refuses its name for a while."""
        self._collection(queue).pop(task.id)
        if bury_until:
            self._buried[f"{queue}/tasks/{task.id}"] = bury_until
            self._since_sweep += 1
            if self._since_sweep >= SWEEP_EVERY:
                self.sweep()

    def is_buried(self, name: str) -> bool:
        """Whether a full task name was used too recently."""
        until = self._buried.get(name)
        return until is not None and until > self._now()

    def committed(self, callback: Callable[[], None]) -> None:
        """Calls back when what was written so far is on disk."""
        waiting = asyncio.ensure_future(self._wait(callback))
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)

    def sweep(self) -> None:
        """Forgets names that have come free."""
        self._since_sweep, now = 0, self._now()
        for name, until in self._buried.items():
            if until <= now:
                self._buried.pop(name)

    async def _wait(self, callback: Callable[[], None]) -> None:
        await self._store.committed()
        callback()

    def _collection(self, queue: str) -> Collection[Task]:
        return self._store.collection(f"cloudtasks.tasks/{queue}", encode=Task.encode, decode=decode)
