"""Who needs a topic's messages: subscriptions and snapshots. What is common to both: which ones they are done with."""

from collections.abc import Callable, Iterator, Mapping

from local_cloud.pubsub.marks import Marks
from local_cloud.pubsub.topic_log import Entry, TopicLog

Matcher = Callable[[Mapping[str, str]], bool]


class Holder:
    """One subscription or snapshot in its topic's log."""

    def __init__(self, key: int, topic: TopicLog, marks: Marks, match: Matcher | None = None) -> None:
        #: Its number in the log, never given to another one.
        self.key = key
        self.topic = topic
        self.marks = marks
        #: The subscription's filter: what it does not match counts as acknowledged from the beginning.
        self.match = match
        #: Messages not done with, and their bytes.
        self.open_messages = 0
        self.open_bytes = 0
        self._oldest = 0

    def takes(self, attributes: Mapping[str, str]) -> bool:
        """Whether a message is for it."""
        return self.match is None or self.match(attributes)

    def hold(self, size: int) -> None:
        """A new message is one more that it needs."""
        self.open_messages += 1
        self.open_bytes += size

    def finish(self, number: int) -> bool:
        """Is done with a message; False when it was."""
        size = self.topic.size(number)
        if not size or not self.marks.add(number):
            return False
        self.open_messages -= 1
        self.open_bytes -= size
        self.topic.held(number, -1)
        return True

    def open_entries(self, start: int = 0) -> Iterator[Entry]:
        """Messages that it is not done with, oldest first."""
        for entry in self.topic.entries(max(start, self.marks.floor), self.topic.end):
            if entry.number not in self.marks:
                yield entry

    def oldest(self) -> Entry | None:
        """The oldest message that it is not done with."""
        if not self.open_messages:
            return None
        found = next(self.open_entries(self._oldest), None)
        self._oldest = found.number if found is not None else self.topic.end
        return found

    def count(self) -> None:
        """Counts afresh what is open, and holds it in the topic: after a load."""
        self._oldest = 0
        self.open_messages, self.open_bytes = self.topic.hold_all(self.marks)

    def replace(self, marks: Marks) -> None:
        """Takes other marks: what was done with may be open again."""
        before, self.marks, self._oldest = self.marks, marks, 0
        self.open_messages, self.open_bytes = self.topic.hold_all(marks, before)

    def drop(self) -> None:
        """Needs nothing any more."""
        self.topic.holders.pop(self.key, None)
        self.topic.let_go_all(self.marks)
        self.open_messages = self.open_bytes = 0
