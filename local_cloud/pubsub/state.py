"""Pub/Sub's core: topics, subscriptions, and the one log beneath them.

Owns the documents of topics and subscriptions, the numbers that stand for them in the log, and what is done to all of
them together: loading, publishing, seeking, snapshots' holds. What callers may ask for, and with which words they are
refused, is the API's (apis/pubsub/); the law of one backlog is backlog.py's.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, failed_precondition
from local_cloud.pubsub import config, filters, records
from local_cloud.pubsub.backlog import Backlog
from local_cloud.pubsub.cleaning import Cleaner
from local_cloud.pubsub.holders import Holder
from local_cloud.pubsub.log import Log, Write
from local_cloud.pubsub.marks import Marks
from local_cloud.pubsub.replay import Replayed
from local_cloud.pubsub.seeking import marks_since
from local_cloud.pubsub.topic_log import Entry, TopicLog
from local_cloud.pubsub.watch import Watcher
from local_cloud.pubsub.words import DELETED_TOPIC, no_such

#: Message ids: the topic's number, shifted, and the message's; so that they look as long as Google's.
ID_SHIFT, FIRST_TOPIC = 40, 5000


class PubSub:
    """`cloud.use(PubSub)`. Its verbs are synchronous; what they change is on disk with `cloud.store.committed()`."""

    def __init__(self, cloud: Cloud, log: Log) -> None:
        self.clock = cloud.clock
        self.topics = cloud.store.messages("pubsub.topics", "google.pubsub.v1.Topic")
        self.subscriptions = cloud.store.messages("pubsub.subscriptions", "google.pubsub.v1.Subscription")
        self.backlogs: dict[str, Backlog] = {}
        #: Leases are of one life of the process.
        self.life = secrets.randbits(32)
        #: Asked of every message before it is published, with its topic; raises what speaks against it.
        self.validate: Callable[[Message, Message], None] = lambda _topic, _message: None
        #: Asked to take a message (backlog, serialized PubsubMessage, attempts) whose attempts are used up.
        self.dead_letter: Callable[[Backlog, bytes, int], bool] = lambda _backlog, _raw, _attempts: False
        self.watchers: list[Watcher] = []
        self.log = log
        #: Topic name -> its number; holder's name -> its number, its topic's, and the first message it can have.
        self._numbers = cloud.store.json("pubsub.topic_numbers")
        self._held = cloud.store.json("pubsub.holders")
        self._next = cloud.store.json("pubsub.next_number")
        self._logs: dict[int, TopicLog] = {}
        self._named: dict[str, TopicLog] = {}
        self._snapshots: dict[str, Holder] = {}
        self._dirty: dict[int, int] = {}
        self._dirty_with: Write | None = None
        self._cleaner = Cleaner(self.log, self._logs)

    def load(self) -> None:
        """Takes up what the last run left."""
        starts = {held["key"]: (held["topic"], held["start"]) for held in self._held.values()}
        replayed = Replayed(starts)
        replayed.read(self.log)
        if replayed.highest > (self._next.get("next") or 0):  # of what was made, and not answered, before a kill
            self._next["next"] = replayed.highest
        for name, key in self._numbers.items():
            self._named[name] = self._logs[key] = TopicLog(name, key, self.log)
        for held in self._held.values():
            self._logs.setdefault(held["topic"], TopicLog(DELETED_TOPIC, held["topic"], self.log))
        for key, topic in self._logs.items():
            topic.keeps = float("inf")  # nothing is forgotten before all holders are counted
            for number, row in sorted(replayed.rows.pop(key, {}).items()):
                topic.add(Entry(number, *row), holders=0)
            # a holder may be on disk where messages before it, which nobody was answered, are not
            starts_of = [held["start"] for held in self._held.values() if held["topic"] == key]
            topic.end = topic.visible = max(topic.end, replayed.ends.get(key, 0), *starts_of)
        for name, held in self._held.items():
            self._take_up(name, held, replayed)
        for topic in self._logs.values():
            self._set_keeps(topic)
        self._cleaner.look()
        self.log.on_segment = self._tell_ends

    async def close(self) -> None:
        """Sends consumers away, to come again, and writes what is left."""
        for backlog in self.backlogs.values():
            backlog.close(ApiError("UNAVAILABLE", "The service was unable to fulfill your request. Please try again."))
        self._cleaner.stop()
        await self.log.close()

    def add_topic(self, topic: Message) -> None:
        """A new topic."""
        key = self._number()
        self.topics[topic.name] = topic
        self._numbers[topic.name] = key
        self._named[topic.name] = self._logs[key] = TopicLog(topic.name, key, self.log)
        self._set_keeps(self._logs[key])

    def change_topic(self, topic: Message) -> None:
        """A topic's settings, as a whole."""
        self.topics[topic.name] = topic
        self._set_keeps(self._named[topic.name])

    def delete_topic(self, name: str) -> None:
        """The topic goes; its subscriptions keep what they have."""
        for subscription in self.subscriptions_of(name):
            self.subscriptions[subscription].topic = DELETED_TOPIC
            self.subscriptions.save(subscription)
        del self.topics[name], self._numbers[name]
        topic = self._named.pop(name)
        self._set_keeps(topic)
        self._leave(topic)

    def subscriptions_of(self, topic: str) -> list[str]:
        """The names of a topic's subscriptions."""
        return [subscription.name for subscription in self.subscriptions.values() if subscription.topic == topic]

    def add_subscription(self, subscription: Message) -> None:
        """A new subscription: it gets what is published from now on."""
        topic = self._named[subscription.topic]
        held = {"key": self._number(), "topic": topic.key, "start": topic.end}
        self.subscriptions[subscription.name] = subscription
        self._held[subscription.name] = held
        self._open(subscription, held["key"], topic, Marks(topic.end))
        self._set_keeps(topic)

    def change_subscription(self, subscription: Message) -> None:
        """A subscription's settings, as a whole."""
        self.subscriptions[subscription.name] = subscription
        if (backlog := self.backlogs.get(subscription.name)) is not None:
            backlog.configure(subscription)
            self._set_keeps(backlog.topic)

    def delete_subscription(self, name: str) -> None:
        """The subscription goes, with its messages."""
        del self.subscriptions[name]
        self._end(name, no_such(name))

    def detach(self, name: str) -> None:
        """The subscription stays as a name that gets nothing."""
        self.subscriptions[name].detached = True
        self.subscriptions.save(name)
        self._end(name, is_detached(name))

    def take_snapshot(self, name: str, subscription: str) -> None:
        """Holds what the subscription has not acknowledged, and what is published from now on."""
        backlog = self.backlogs[subscription]
        marks = backlog.marks.copy()
        held = {
            "key": self._number(),
            "topic": backlog.topic.key,
            "start": marks.floor,
            "filter": backlog.config.filter,
        }
        self._held[name] = held
        self.log.append(records.MARKED, records.marked(held["key"], marks.dump()))
        snapshot = self._snapshots[name] = Holder(held["key"], backlog.topic, marks, backlog.match)
        backlog.topic.holders[snapshot.key] = snapshot
        snapshot.count()

    def drop_snapshot(self, name: str) -> None:
        """Lets go of what a snapshot holds."""
        snapshot = self._snapshots.pop(name)
        del self._held[name]
        snapshot.drop()
        self._leave(snapshot.topic)

    def seek_to_snapshot(self, subscription: str, name: str) -> None:
        """What the snapshot holds is open again, and nothing else."""
        self.reset(self.backlogs[subscription], self._snapshots[name].marks.copy())

    async def seek_to_time(self, subscription: str, when: float) -> None:
        """What was published before counts as acknowledged, what was published since does not, as far as it is kept."""
        backlog = self.backlogs[subscription]
        marks = await marks_since(self.log, backlog, when, partial(self._fits, backlog))
        if self.backlogs.get(subscription) is not backlog:  # deleted or detached meanwhile
            raise is_detached(subscription) if subscription in self.subscriptions else no_such(subscription)
        self.reset(backlog, marks)

    def reset(self, backlog: Backlog, marks: Marks) -> None:
        """Other messages than before are open in a subscription."""
        held = self._held[backlog.name]
        held["start"] = min(held["start"], marks.floor)
        self._held.save(backlog.name)
        self.log.append(records.MARKED, records.marked(backlog.key, marks.dump()))
        backlog.reset(marks)

    def append(self, topic: str, made: Message, attributes: Mapping[str, str]) -> str:
        """Takes up one message, giving its id; the topic must exist, and the message be as Google takes it."""
        log = self._named[topic]
        number = log.end
        micros = int(max(self.clock.now(), log.latest) * 1e6)
        when = micros / 1e6
        made.message_id = identity = str((log.key + FIRST_TOPIC << ID_SHIFT) + number)
        made.publish_time.seconds, made.publish_time.nanos = micros // 1_000_000, micros % 1_000_000 * 1000
        body = made.SerializeToString()
        head = records.published(log.key, number, when, made.ordering_key.encode())
        place = self.log.append(records.PUBLISHED, head, body) + len(head)
        holders = 0
        for holder in log.holders.values():
            if holder.takes(attributes):
                holder.hold(len(body))
                holders += 1
            else:
                holder.marks.add(number)
        log.add(Entry(number, place, len(body), when, made.ordering_key), holders)
        if self._dirty_with is not self.log.upcoming:
            self._dirty_with, self._dirty = self.log.upcoming, {}
            work = self.clock.busy("pubsub log")  # a move of the clock waits until what was published may go out
            work.__enter__()
            self.log.after_commit(partial(self._committed, self._dirty, work))
        self._dirty[log.key] = log.end
        return identity

    def record_acks(self, backlog: Backlog, numbers: list[int]) -> None:
        """Acknowledgements: on disk before they are confirmed where delivery is exactly once, else soon."""
        self.log.append(records.ACKED, records.acked(backlog.key, numbers), lazy=not backlog.law.exactly_once)

    def record_failures(self, backlog: Backlog, number: int, failures: int) -> None:
        """A failed delivery that counts towards the dead letter topic."""
        self.log.append(records.FAILED, records.failed(backlog.key, number, failures), lazy=True)

    def _committed(self, dirty: dict[int, int], work: AbstractContextManager[None]) -> None:
        """Messages are on disk: they may go out."""
        try:
            self._let_out(dirty)
        finally:
            work.__exit__(None, None, None)
        self._cleaner.look()

    def _let_out(self, dirty: dict[int, int]) -> None:
        for key, end in dirty.items():
            if (topic := self._logs.get(key)) is not None:
                topic.visible = max(topic.visible, end)
                if topic.keeps and topic.timer is None:
                    self._sweep(topic)
                for holder in list(topic.holders.values()):
                    if isinstance(holder, Backlog):
                        holder.new()

    def _take_up(self, name: str, held: dict[str, Any], replayed: Replayed) -> None:
        """A holder of the last run."""
        topic, marks = self._logs[held["topic"]], replayed.marks[held["key"]]
        marks.raise_floor(topic.next(0, topic.end))
        subscription = self.subscriptions.get(name)
        if subscription is None:
            match = filters.compiled(held["filter"]) if held["filter"] else None
            holder = self._snapshots[name] = Holder(held["key"], topic, marks, match)
            topic.holders[holder.key] = holder
        else:
            backlog = self._open(subscription, held["key"], topic, marks)
            backlog.failures.update(replayed.failures[held["key"]])
            holder = backlog
        if holder.match is not None:
            for entry in list(holder.open_entries()):
                if not self._fits(holder, entry):
                    marks.add(entry.number)
        holder.count()
        if isinstance(holder, Backlog):
            holder.new()

    def _open(self, subscription: Message, key: int, topic: TopicLog, marks: Marks) -> Backlog:
        match = filters.compiled(subscription.filter) if subscription.filter else None
        made = self.backlogs[subscription.name] = Backlog(
            self, subscription, key=key, topic=topic, marks=marks, match=match
        )
        topic.holders[key] = made
        return made

    def _end(self, name: str, error: ApiError) -> None:
        backlog = self.backlogs.pop(name, None)
        if backlog is not None:
            del self._held[name]
            backlog.end(error)
            self._set_keeps(backlog.topic)
            self._leave(backlog.topic)

    def _leave(self, topic: TopicLog) -> None:
        """Lets go of a deleted topic's messages when nobody holds any."""
        is_named = self._named.get(topic.name) is topic
        if not is_named and not topic.holders and self._logs.pop(topic.key, None) is not None:
            topic.close()

    def _fits(self, holder: Holder, entry: Entry) -> bool:
        """Whether a message is for a holder, by its filter."""
        if holder.match is None:
            return True
        found = message("google.pubsub.v1.PubsubMessage").FromString(self.log.read(entry.place, entry.size))
        return holder.match(found.attributes)

    def _set_keeps(self, topic: TopicLog) -> None:
        """How long a topic's messages are kept beyond their acknowledgement: as the topic or a subscription says."""
        keeps = [
            held.law.retention
            for held in topic.holders.values()
            if isinstance(held, Backlog) and held.law.retains_acked
        ]
        found = self.topics.get(topic.name)
        if found is not None and self._named.get(topic.name) is topic:
            keeps.append(config.seconds(found, "message_retention_duration", 0.0))
        topic.keep(max(keeps, default=0.0))
        self._sweep(topic)

    def _sweep(self, topic: TopicLog) -> None:
        """Forgets what a topic has kept long enough, and looks again when there will be more."""
        if topic.timer is not None:
            topic.timer.cancel()
        due = topic.sweep(self.clock.now())
        topic.timer = self.clock.call_at(due, partial(self._sweep, topic)) if due is not None else None

    def _number(self) -> int:
        """A number for a topic or holder, never used before."""
        number: int = (self._next.get("next") or 0) + 1
        self._next["next"] = number
        return number

    def _tell_ends(self) -> None:
        """A segment tells how far the topics have counted: the messages that said so may be gone."""
        self.log.append(
            records.ENDS, records.ends([(topic.key, topic.end) for topic in self._logs.values()]), lazy=True
        )


def is_detached(name: str) -> ApiError:
    """What a detached subscription answers to who wants messages."""
    return failed_precondition(f"Subscription {name} is detached from its topic.")
