"""What the log says at start: every message with its place, and what each holder is done with.

A message that is not in the log any more was needed by nobody. Within the log the later record has the last word; a
message that was written again (MOVED) brings along all that was known of it, which is why the oldest segment can always
go when its messages have been moved.
"""

from local_cloud.pubsub import records
from local_cloud.pubsub.log import Log
from local_cloud.pubsub.marks import Marks


class Replayed:
    """The log's contents: `rows` by topic and number are (place, size, time, ordering key)."""

    def __init__(self, starts: dict[int, tuple[int, int]]) -> None:
        """`starts`: each holder's topic, and the first message that it can have."""
        self.rows: dict[int, dict[int, tuple[int, int, float, str]]] = {}
        self.marks = {holder: Marks(start) for holder, (_, start) in starts.items()}
        self.failures: dict[int, dict[int, int]] = {holder: {} for holder in starts}
        self.ends: dict[int, int] = {}
        #: The highest number of a topic or holder that the log speaks of.
        self.highest = 0
        self._holders: dict[int, list[int]] = {}
        for holder, (topic, _) in starts.items():
            self._holders.setdefault(topic, []).append(holder)

    def read(self, log: Log) -> None:
        """Reads the whole log."""
        for kind, payload, place in log.replay():
            if kind in (records.PUBLISHED, records.MOVED):
                self._message(kind, payload, place)
            elif kind == records.ACKED:
                holder, numbers = records.read_acked(payload)
                self.highest = max(self.highest, holder)
                if (marks := self.marks.get(holder)) is not None:
                    for number in numbers:
                        marks.add(number)
            elif kind == records.FAILED:
                holder, number, failures = records.read_failed(payload)
                if holder in self.failures:
                    self.failures[holder][number] = failures
            elif kind == records.MARKED:
                holder, dumped = records.read_marked(payload)
                self.highest = max(self.highest, holder)
                if holder in self.marks:
                    self.marks[holder] = Marks.load(dumped)
                    self.failures[holder].clear()
            else:
                for topic, end in records.read_ends(payload):
                    self.ends[topic] = max(self.ends.get(topic, 0), end)

    def _message(self, kind: int, payload: memoryview, place: int) -> None:
        found = records.read_published(kind, payload)
        row = (place + found.at, len(payload) - found.at, found.time, found.key)
        self.rows.setdefault(found.topic, {})[found.number] = row
        self.highest = max(self.highest, found.topic)
        self.ends[found.topic] = max(self.ends.get(found.topic, 0), found.number + 1)
        if found.holders is None:
            return
        for holder in self._holders.get(found.topic, ()):
            if holder in found.holders:
                self.marks[holder].discard(found.number)
                if failures := found.holders[holder]:
                    self.failures[holder][found.number] = failures
            else:
                self.marks[holder].add(found.number)
