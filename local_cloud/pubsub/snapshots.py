"""Snapshots as documents: when each one expires, and what becomes of it when its topic goes.

Owns the documents and their timers; the messages that a snapshot holds are the core's (state.py). Source: pubsub.proto
(CreateSnapshot, Snapshot.expire_time): a snapshot lives 7 days less the age of the oldest message that it holds, and is
refused where that leaves less than an hour.
"""

import math

from local_cloud.clock import Timer
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.errors import failed_precondition
from local_cloud.pubsub import words
from local_cloud.pubsub.state import PubSub

SNAPSHOT = "google.pubsub.v1.Snapshot"
#: The longest life of a snapshot, and the shortest that one is made for.
LONGEST, SHORTEST = 7 * 86_400.0, 3600.0


class Snapshots:
    """The project's snapshots."""

    def __init__(self, cloud: Cloud, pubsub: PubSub) -> None:
        self._cloud = cloud
        self._pubsub = pubsub
        self.kept = cloud.store.messages("pubsub.snapshots", SNAPSHOT)
        self._timers: dict[str, Timer] = {}

    def start(self) -> None:
        """Watches all that were kept."""
        for name in list(self.kept):
            self._watch(name)

    def get(self, name: str) -> Message:
        """The snapshot of that name."""
        found = self.kept.get(name)
        if found is None:
            raise words.no_such(name)
        return found

    def create(self, made: Message, subscription: str) -> Message:
        """Holds what a subscription has not acknowledged."""
        backlog = self._pubsub.backlogs[subscription]
        now = self._cloud.now()
        oldest = backlog.stats().oldest
        lives = LONGEST - (now - oldest if oldest is not None else 0.0)
        if lives < SHORTEST:
            raise failed_precondition(
                "The snapshot would expire in less than an hour: the oldest unacknowledged message of the "
                f"subscription is {words.spoken(math.floor(LONGEST - lives))} old, and a snapshot lives 7 days less "
                "that."
            )
        made.topic = self._pubsub.subscriptions[subscription].topic
        words.put_time(made.expire_time, now + lives)
        self._pubsub.take_snapshot(made.name, subscription)
        self.change(made)
        return made

    def change(self, made: Message) -> None:
        """Keeps a snapshot as it is now."""
        self.kept[made.name] = made
        self._watch(made.name)

    def delete(self, name: str) -> None:
        """Lets go of the messages."""
        if timer := self._timers.pop(name, None):
            timer.cancel()
        del self.kept[name]
        self._pubsub.drop_snapshot(name)
        self._cloud.iam.forget(name)

    def topic_deleted(self, topic: str) -> None:
        """The topic's snapshots name it no longer."""
        for name, snapshot in self.kept.items():
            if snapshot.topic == topic:
                snapshot.topic = words.DELETED_TOPIC
                self.kept.save(name)

    def _watch(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
        due = self.kept[name].expire_time.ToNanoseconds() / 1e9
        self._timers[name] = self._cloud.clock.call_at(due, lambda: self.delete(name))
