"""Duplicates on demand: a share of successful dispatches is delivered a second time.

Google delivers at least once and says that more is rare (docs: "multiple task execution is possible"); here it can be
made frequent, so that a receiver's idempotency is seen to work. Which tasks are chosen follows from the seed alone: by
its name where the caller gave one, otherwise by how many tasks of its queue were asked about before it. Leaves alone:
the second delivery itself (dispatcher.py).
"""

from dataclasses import dataclass, field
from hashlib import blake2b

from local_cloud.engines.tasks import Task

#: The key of the share that holds for queues without one of their own.
EVERY_QUEUE = ""


@dataclass(slots=True)
class Duplicates:
    """Shares by the queue's full name."""

    shares: dict[str, float]
    seed: int = 0
    _asked: dict[str, int] = field(default_factory=dict)

    def forget(self, queue: str) -> None:
        """The queue was deleted: one of its name counts anew."""
        self._asked.pop(queue, None)

    def chosen(self, queue: str, task: Task) -> bool:
        """Whether a success of this attempt is to be delivered once more."""
        share = self.shares.get(queue)
        if share is None:
            share = self.shares.get(EVERY_QUEUE, 0.0)
        if share <= 0:
            return False
        if task.named:
            key = task.id
        else:
            asked = self._asked[queue] = self._asked.get(queue, 0) + 1
            key = f"#{asked}"
        drawn = blake2b(f"{self.seed}\n{queue}\n{key}".encode(), digest_size=7).digest()
        return int.from_bytes(drawn) < share * 2**56
