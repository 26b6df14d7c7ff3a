"""One subscription's backlog: what is handed to whom, until when it is leased, and what becomes of it.

Owns acknowledgements, what a failed delivery leads to (backoff, dead letters' count), and consumers' turns. What is
next in line is line.py's, the order within keys ordering.py's; bytes and what other subscriptions need are the topic's
(topic_log.py). Everything takes place on the cloud's clock. Sources: Google's pages on subscribers, lease management,
exactly-once delivery, retry policies.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from local_cloud.clock import Timer
from local_cloud.descriptors import Message
from local_cloud.errors import ApiError
from local_cloud.pubsub import ack_ids, config
from local_cloud.pubsub.consumer import Consumer, Delivery, Refusals
from local_cloud.pubsub.holders import Holder, Matcher
from local_cloud.pubsub.leases import Lease, Leases
from local_cloud.pubsub.line import Line
from local_cloud.pubsub.marks import Marks
from local_cloud.pubsub.topic_log import Entry, TopicLog

if TYPE_CHECKING:
    from local_cloud.pubsub.state import PubSub

#: So many messages at most are handed to a consumer at once, and before it is the next one's turn where there are more.
TURN, SHARED_TURN = 100, 8


class Stats(NamedTuple):
    """What a backlog holds: `oldest` is the publish time of the oldest message that is not acknowledged."""

    undelivered: int
    undelivered_bytes: int
    oldest: float | None
    outstanding: int


class Backlog(Holder):
    """The messages of one subscription that are not acknowledged."""

    def __init__(
        self, pubsub: "PubSub", subscription: Message, *, key: int, topic: TopicLog, marks: Marks, match: Matcher | None
    ) -> None:
        super().__init__(key, topic, marks, match)
        self._pubsub = pubsub
        self.name: str = subscription.name
        #: The Subscription message, and what the core reads of it.
        self.config = subscription
        self.law = config.read(subscription)
        #: When somebody last pulled, streamed or acknowledged, for expiration policies.
        self.last_used = pubsub.clock.now()
        self.consumers: list[Consumer] = []
        self._leases = Leases()
        #: Consumers that went away with something outstanding, by their client's name.
        self._left: dict[str, Consumer] = {}
        self._line = Line(self, ordered=self.law.ordered)
        #: Failed deliveries of messages that are not out now.
        self.failures: dict[int, int] = {}
        self._timer: Timer | None = None
        self._due = float("inf")
        self._retention: Timer | None = None
        self._pumping = False
        self._next_pump: asyncio.Handle | None = None
        #: Ack ids of before the last seek mean nothing any more.
        self._since = 0

    def configure(self, subscription: Message) -> None:
        """Takes changed settings; consumers are closed where push was set or unset."""
        before, self.config, self.law = self.law, subscription, config.read(subscription)
        if before.pushes != self.law.pushes:
            kind = "push" if self.law.pushes else "pull"
            self.close(ApiError("FAILED_PRECONDITION", f"The subscription was changed to {kind} delivery."))
        self._watch_retention(afresh=True)
        self.pump()

    def attach(self, consumer: Consumer) -> None:
        """From now on the consumer gets messages; it takes over what one of its name has left behind."""
        self.last_used = self._pubsub.clock.now()
        if (left := self._left.pop(consumer.client, None)) is not None:
            self._leases.hand_over(left, consumer)
            self._line.order.hand_over(left, consumer)
        self.consumers.append(consumer)
        self.pump()

    def detach(self, consumer: Consumer) -> None:
        """It gets no more; what it has stays leased until its deadlines."""
        self.last_used = self._pubsub.clock.now()
        if consumer in self.consumers:
            self.consumers.remove(consumer)
        self._left = {client: left for client, left in self._left.items() if left.outstanding}
        if consumer.client and consumer.outstanding:
            self._left[consumer.client] = consumer

    def ack(self, ids: Iterable[str]) -> Refusals:
        """Acknowledges deliveries; gives what was refused."""
        refused = Refusals()
        done: list[int] = []
        for text, number in self._known(ids, refused):
            lease = self._leases.get(number)
            key = lease.key if lease is not None else self.topic.key_of(number)
            if not self.law.ordered or not key:
                self._leases.end(lease)
                done.append(number)
            elif self.law.exactly_once and not self._line.order.is_first(number, key):
                refused[text] = Refusals.UNORDERED
            else:
                self._line.reach(number)
                self._leases.end(lease)
                done += self._line.order.acknowledge(number, key)
        self._finish(done)
        for watcher in self._pubsub.watchers:
            watcher.acked(self, len(done))
        self.last_used = self._pubsub.clock.now()
        self.pump()
        return refused

    def modify(self, ids: Iterable[str], seconds: float) -> Refusals:
        """Makes deliveries' deadlines so many seconds from now; 0 gives the messages back at once."""
        refused = Refusals()
        now = self._pubsub.clock.now()
        changed = 0
        for _, number in self._known(ids, refused):
            lease = self._leases.get(number)
            if lease is None:
                continue
            changed += 1
            if seconds <= 0:
                self._fail(lease)
                continue
            self._leases.extend(lease, now + seconds)
        for watcher in self._pubsub.watchers:
            (watcher.modified if seconds > 0 else watcher.returned)(self, changed)
        self.last_used = now
        self.pump()
        return refused

    def release(self, ids: Iterable[str], delay: float) -> Refusals:
        """Gives deliveries back, to go out again after so many seconds: for who has a backoff of its own."""
        refused = Refusals()
        for _, number in self._known(ids, refused):
            if (lease := self._leases.get(number)) is not None:
                self._fail(lease, delay)
                for watcher in self._pubsub.watchers:
                    watcher.returned(self, 1)
        self.pump()
        return refused

    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """Deliveries that reached nobody: as if they had not been made."""
        for _, number in self._known([delivery.ack_id for delivery in deliveries], Refusals()):
            if (lease := self._leases.get(number)) is not None:
                self._leases.end(lease)
                self._keep_failures(lease)
                if self.law.ordered and lease.key:
                    self._take_back(lease)
                else:
                    self._line.back(number)
        self.pump()

    def pump(self) -> None:
        """Hands out what may go out, in turns among the consumers that have room."""
        if self._pumping:
            return
        self._pumping = True
        try:
            idle = 0
            while self.consumers and idle < len(self.consumers):
                consumer = self.consumers.pop(0)
                self.consumers.append(consumer)
                idle = 0 if self._serve(consumer) else idle + 1
        finally:
            self._pumping = False
        if self._line.has_more and self.consumers and self._next_pump is None:
            self._next_pump = asyncio.get_running_loop().call_soon(self._pump_on)
        self._arm()

    def _pump_on(self) -> None:
        """Goes on where next() gave up, a turn of the loop later."""
        self._next_pump = None
        self.pump()

    def new(self) -> None:
        """There are messages on disk that were not before."""
        if self._retention is None:
            self._watch_retention()
        if self.consumers:
            self.pump()

    def stats(self) -> Stats:
        """What is there now."""
        oldest = self.oldest()
        when = oldest.time if oldest is not None else None
        return Stats(self.open_messages, self.open_bytes, when, len(self._leases))

    def reset(self, marks: Marks) -> None:
        """After a seek: other messages are open, nothing is out, deliveries are counted from the beginning."""
        self.replace(marks)
        self._forget()
        self._since = self._leases.serial
        self._watch_retention(afresh=True)
        self.pump()

    def purge(self) -> None:
        """Everything that is there is acknowledged."""
        self._pubsub.reset(self, Marks(self.topic.end))

    def close(self, error: ApiError) -> None:
        """Tells the consumers that there is nothing for them any more."""
        consumers, self.consumers = self.consumers, []
        for consumer in consumers:
            consumer.closed(error)

    def end(self, error: ApiError) -> None:
        """The subscription is gone."""
        self.close(error)
        self._forget()
        self.drop()
        for timer in (self._timer, self._retention):
            if timer is not None:
                timer.cancel()

    def _forget(self) -> None:
        self._leases.clear()
        self._line.clear()
        self.failures.clear()
        for consumer in self.consumers:
            consumer.keys.clear()

    def _known(self, ids: Iterable[str], refused: Refusals) -> Iterable[tuple[str, int]]:
        """The messages that ack ids stand for, as far as they do: a lease's own, or (at least once) one before it."""
        for text in ids:
            parts = ack_ids.decode(text)
            if parts is None or parts.subscription != self.key:
                refused[text] = Refusals.INVALID
                continue
            current = parts.life == self._pubsub.life
            lease = self._leases.get(parts.number)
            if self.law.exactly_once and not (lease is not None and current and lease.serial == parts.serial):
                refused[text] = Refusals.INVALID
            elif parts.number not in self.marks and not (current and parts.serial <= self._since):
                yield text, parts.number

    def _serve(self, consumer: Consumer) -> bool:
        """One consumer's turn."""
        self._expire()
        deliveries: list[Delivery] = []
        size = 0
        room = min(consumer.room(), TURN if len(self.consumers) == 1 else SHARED_TURN)
        while len(deliveries) < room and consumer.room() > 0:
            taken = self._line.next(consumer)
            if taken is None:
                break
            deliveries.append(self._lease(taken[0], taken[1], consumer))
            size += deliveries[-1].size
        if deliveries:
            for watcher in self._pubsub.watchers:
                watcher.sent(self, consumer, len(deliveries), size)
            consumer.deliver(deliveries)
        return bool(deliveries)

    def _lease(self, number: int, key: str, consumer: Consumer) -> Delivery:
        entry = self.topic.get(number)
        assert entry is not None
        failures = self.failures.pop(number, 0)
        deadline = self._pubsub.clock.now() + consumer.deadline
        lease = self._leases.start(number, deadline, consumer, size=entry.size, key=key, failures=failures)
        raw = self._pubsub.log.read(entry.place, entry.size)
        return Delivery(ack_ids.encode(self.key, number, lease.serial, self._pubsub.life), failures + 1, raw)

    def _finish(self, numbers: list[int]) -> None:
        """Messages are acknowledged for good."""
        done = [number for number in numbers if self.finish(number)]
        for number in done:
            self.failures.pop(number, None)
        if done:
            self._pubsub.record_acks(self, done)

    def _fail(self, lease: Lease, delay: float | None = None) -> None:
        """A delivery was refused or ran out of time: the message goes out again, later, or to the dead letter topic."""
        number, failures = lease.number, lease.failures + 1
        self._leases.end(lease)
        ordered = self.law.ordered and bool(lease.key)
        if ordered:
            self._take_back(lease)
        if self.law.max_attempts and failures >= self.law.max_attempts and self._bury(lease, failures):
            return
        self.failures[number] = failures
        if self.law.max_attempts:
            self._pubsub.record_failures(self, number, failures)
        if delay is None:
            delay = self._backoff(failures)
        if delay > 0:
            when = self._pubsub.clock.now() + delay
            self._line.delay(when, number, lease.key if ordered else "")
        elif not ordered:
            self._line.back(number)

    def _take_back(self, lease: Lease) -> None:
        """With a message of an ordering key go all that follow it."""
        for other in self._line.order.take_back(lease.number, lease.key):
            if (follower := self._leases.get(other)) is not None:
                self._leases.end(follower)
                self._keep_failures(follower)

    def _keep_failures(self, lease: Lease) -> None:
        if lease.failures:
            self.failures[lease.number] = lease.failures

    def _bury(self, lease: Lease, failures: int) -> bool:
        """Whether the dead letter topic has taken the message."""
        entry = self.topic.get(lease.number)
        assert entry is not None
        raw = self._pubsub.log.read(entry.place, entry.size)
        if not self._pubsub.dead_letter(self, raw, failures):
            return False
        if self.law.ordered and lease.key:
            self._line.order.acknowledge(lease.number, lease.key)
        self._finish([lease.number])
        for watcher in self._pubsub.watchers:
            watcher.dead_lettered(self, 1)
        return True

    def _backoff(self, failures: int) -> float:
        if self.law.backoff is None:
            return 0.0
        least, most = self.law.backoff
        return min(most, least * 2.0 ** min(failures - 1, 64))

    def _arm(self) -> None:
        """Sets the timer to the next deadline or end of a backoff."""
        due = min(self._leases.next_due(), self._line.next_due())
        if due < self._due or (self._timer is None and due < float("inf")):
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = self._pubsub.clock.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer, self._due = None, float("inf")
        now = self._pubsub.clock.now()
        late = self._leases.overdue(now)
        for lease in late:
            if self._leases.get(lease.number) is lease:  # one before may have taken it back with its key
                self._fail(lease)
        self._line.wake(now)
        if late:
            for watcher in self._pubsub.watchers:
                watcher.expired(self, len(late))
        self.pump()

    def _expire(self) -> None:
        """Drops what is older than the subscription keeps."""
        limit = self._pubsub.clock.now() - self.law.retention
        if self.open_messages and self._may_be_old(limit):
            old = list(self._old(limit))
            for entry in old:
                self._leases.end(self._leases.get(entry.number))
                if self.law.ordered and entry.key:
                    self._line.order.acknowledge(entry.number, entry.key)
            self._finish([entry.number for entry in old])

    def _may_be_old(self, limit: float) -> bool:
        oldest = self.oldest()
        return oldest is not None and oldest.time <= limit

    def _old(self, limit: float) -> Iterable[Entry]:
        for entry in self.open_entries():
            if entry.time > limit:
                return
            yield entry

    def _watch_retention(self, *, afresh: bool = False) -> None:
        """Looks again when the oldest message is too old."""
        if afresh and self._retention is not None:
            self._retention.cancel()
        self._retention = None
        self._expire()
        if (oldest := self.oldest()) is not None:
            due = oldest.time + self.law.retention
            self._retention = self._pubsub.clock.call_at(due, self._watch_retention)
