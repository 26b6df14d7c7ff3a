"""What of a subscription is next to go out: messages never handed out, those that came back, those of ordering keys.

Owns the place in the topic up to which everything was handed out once, and what waits for the end of a backoff. The
order within keys is ordering.py's; why a message came back is the backlog's.
"""

import heapq
from collections import deque

from local_cloud.pubsub.consumer import Consumer
from local_cloud.pubsub.holders import Holder
from local_cloud.pubsub.ordering import Order

#: So many new messages at most are put behind their keys in one go.
LOOK = 5000


class Line:
    """The line of one subscription. Keys count only where it is `ordered`."""

    def __init__(self, holder: Holder, *, ordered: bool) -> None:
        self._holder = holder
        self._ordered = ordered
        self.order = Order(lambda number: number not in self._holder.marks)
        self._fresh = holder.marks.floor
        self._again: deque[int] = deque()
        self._later: list[tuple[float, int, str]] = []
        self._turn = False
        #: next() gave up after a while: there may be something behind messages whose keys wait.
        self.has_more = False

    def next(self, consumer: Consumer) -> tuple[int, str] | None:
        """The next message for a consumer, with its key; by turns one that came back and a new one: none starves."""
        if self._ordered and (waiting := self.order.next(consumer)) is not None:
            return waiting
        self._turn = not self._turn
        if self._turn:
            return self._returned() or self._new(consumer)
        return self._new(consumer) or self._returned()

    def back(self, number: int) -> None:
        """A message without a key is in line again."""
        self._again.append(number)

    def delay(self, when: float, number: int, key: str) -> None:
        """A message is in line again at a time; with a key, nothing of it goes out until then."""
        heapq.heappush(self._later, (when, number, key))
        if key:
            self.order.block(key, when)

    def next_due(self) -> float:
        """When to wake() it."""
        return self._later[0][0] if self._later else float("inf")

    def wake(self, now: float) -> None:
        """Backoffs are over."""
        while self._later and self._later[0][0] <= now:
            _, number, key = heapq.heappop(self._later)
            if key:
                self.order.unblock(key, now)
            else:
                self._again.append(number)

    def reach(self, number: int) -> None:
        """Takes note of all up to a message: one of another life's leases is acknowledged before it went out here."""
        while self._fresh <= number:
            found = self._holder.topic.next(self._fresh, number + 1)
            self._fresh = found + 1
            if found <= number and found not in self._holder.marks:
                if key := self._holder.topic.key_of(found):
                    self.order.keep(found, key)
                else:
                    self._again.append(found)

    def clear(self) -> None:
        """Everything that is open is new."""
        self._fresh = self._holder.marks.floor
        self.has_more = False
        self._again.clear()
        self._later.clear()
        self.order.clear()

    def _returned(self) -> tuple[int, str] | None:
        while self._again:
            number = self._again.popleft()
            if number not in self._holder.marks:
                return number, self._holder.topic.key_of(number)
        return None

    def _new(self, consumer: Consumer) -> tuple[int, str] | None:
        topic, end = self._holder.topic, self._holder.topic.visible
        until = self._fresh + LOOK
        while self._fresh < end:
            if self._fresh >= until:
                self.has_more = True
                return None
            number = topic.next(self._fresh, end)
            self._fresh = min(number + 1, end)
            if number < end and number not in self._holder.marks:
                key = topic.key_of(number)
                if not self._ordered or not key or self.order.admit(number, key, consumer):
                    return number, key
        self.has_more = False
        return None
