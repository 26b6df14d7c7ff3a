"""When old segments of the log go: at once where nobody needs them, else after what is needed was written again.

The log is a ring: only its oldest segment is ever removed, for a record there may tell of messages before it. Where a
few messages hold up many segments, they are written again at the end, with all that is known of them (records.MOVED).
"""

import asyncio

from local_cloud.pubsub import records
from local_cloud.pubsub.backlog import Backlog
from local_cloud.pubsub.log import SEGMENT_BYTES, Log
from local_cloud.pubsub.topic_log import TopicLog

#: The oldest segment is written again when the log has so many bytes, and so many times what is needed of it.
LEAST, WASTE = 4 * SEGMENT_BYTES, 3
#: Records that are looked at in one turn of the loop.
SLICE = 500


class Cleaner:
    """The cleaning of one log, whose topics are kept by their number."""

    def __init__(self, log: Log, topics: dict[int, TopicLog]) -> None:
        self._log = log
        self._topics = topics
        self._task: asyncio.Task[None] | None = None
        self._removing = False
        #: A segment that could not be cleaned: left to the next run.
        self._given_up = 0
        #: Cleaning begins at so many bytes.
        self.least = LEAST

    @property
    def at_work(self) -> bool:
        """Whether something is being cleaned."""
        return self._removing or self._task is not None

    def look(self) -> None:
        """Sees whether there is something to clean; called after every commit."""
        front = self._front()
        if front is None:
            return
        if not self._log.live[front] and not self._removing:
            self._removing = True
            self._log.after_commit(self._remove)  # where its messages went must be on disk before they go
        elif self._task is None and front != self._given_up and self._is_wasteful():
            self._task = asyncio.get_running_loop().create_task(self._clean(front))

    def stop(self) -> None:
        """Leaves the rest to the next run."""
        if self._task is not None:
            self._task.cancel()

    def _front(self) -> int | None:
        """The oldest segment, unless it is written to still."""
        front = next(iter(self._log.sizes), None)
        return front if front is not None and front < self._log.written else None

    def _is_wasteful(self) -> bool:
        size = sum(self._log.sizes.values())
        return size > self.least and size > WASTE * sum(self._log.live.values())

    def _remove(self) -> None:
        self._removing = False
        front = self._front()
        if front is not None and not self._log.live[front]:
            self._log.remove(front)
            self.look()

    async def _clean(self, front: int) -> None:
        """Cleans a segment; where that fails it stays, whole, and with it all after it."""
        try:
            await self._write_again(front)
        except Exception as error:
            self._given_up = front
            self._log.tell(
                f"Segment {front} of Pub/Sub's log could not be cleaned ({error}): nothing is lost, the files grow, "
                "and it is tried again after the next start"
            )
        finally:
            self._task = None
        self.look()

    async def _write_again(self, front: int) -> None:
        """Writes again what is needed of a segment."""
        moved: list[tuple[TopicLog, int, int, int]] = []
        for index, (kind, payload, place) in enumerate(self._log.records(front)):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            if kind not in (records.PUBLISHED, records.MOVED):
                continue
            found = records.read_published(kind, payload)
            topic = self._topics.get(found.topic)
            if topic is None or topic.place(found.number) != place + found.at:
                continue
            holders = self._holders(topic, found.number)
            head = records.moved(found.topic, found.number, found.time, found.key.encode(), holders)
            at = self._log.append(records.MOVED, head, bytes(payload[found.at :]), lazy=True) + len(head)
            moved.append((topic, found.number, place + found.at, at))
        await self._log.committed()
        for topic, number, old, new in moved:
            if topic.place(number) == old:
                topic.moved(number, new)

    @staticmethod
    def _holders(topic: TopicLog, number: int) -> dict[int, int]:
        """Who needs a message, each with its failed deliveries."""
        return {
            key: holder.failures.get(number, 0) if isinstance(holder, Backlog) else 0
            for key, holder in topic.holders.items()
            if number not in holder.marks
        }
