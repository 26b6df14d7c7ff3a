"""Tasks and used names on the cloud's store: the dispatcher's journal.

Owns the collections of Cloud Tasks' moving state, one of tasks for each queue, and the names that are refused for a
while (the store's tombstones). Writes are group-committed by the store; a task that is written several times between
two commits is written once. Leaves alone: queue configurations (the API's).
"""

from collections.abc import Callable

from local_cloud.engines.tasks import Task, decode
from local_cloud.store import Collection, Store


class StoreJournal:
    """The journal of one cloud."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._collections: dict[str, Collection[Task]] = {}

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
            self._store.tombstones.bury(f"{queue}/tasks/{task.id}", bury_until, self._now())

    def is_buried(self, name: str) -> bool:
        """Whether a full task name was used too recently."""
        return self._store.tombstones.until(name) > self._now()

    def committed(self, callback: Callable[[], None]) -> None:
        """Calls back when what was written so far is on disk."""
        self._store.after_commit(callback)

    def sweep(self) -> None:
        """Forgets names that have come free."""
        self._store.tombstones.sweep(self._now())

    def _collection(self, queue: str) -> Collection[Task]:
        found = self._collections.get(queue)
        if found is None:
            name = f"cloudtasks.tasks/{queue}"
            found = self._collections[queue] = self._store.collection(name, encode=Task.encode, decode=decode)
        return found
