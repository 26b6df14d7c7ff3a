"""The end of subscriptions that nobody uses.

Owns when: a subscription with an expiration policy goes when it was neither pulled, streamed, pushed successfully nor
changed for that long. An open stream uses it, and so does a restart (ours). Source: pubsub.proto (ExpirationPolicy).
"""

from collections.abc import Callable

from local_cloud.clock import Timer
from local_cloud.cloud import Cloud
from local_cloud.pubsub import words
from local_cloud.pubsub.push import Pushes
from local_cloud.pubsub.state import PubSub


class Expiry:
    """One timer for each subscription that may expire."""

    def __init__(self, cloud: Cloud, pubsub: PubSub, pushes: Pushes, delete: Callable[[str], None]) -> None:
        self._cloud = cloud
        self._pubsub = pubsub
        self._pushes = pushes
        self._delete = delete
        self._changed: dict[str, float] = {}
        self._timers: dict[str, Timer] = {}

    def start(self) -> None:
        """Watches all that were kept."""
        for name in list(self._pubsub.subscriptions):
            self.touch(name)

    def touch(self, name: str) -> None:
        """The subscription was made, changed or deleted."""
        self._changed[name] = self._cloud.now()
        self._watch(name)

    def _watch(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
        subscription = self._pubsub.subscriptions.get(name)
        if subscription is None:
            self._changed.pop(name, None)
        elif subscription.expiration_policy.HasField("ttl"):
            due = self._used(name) + words.seconds(subscription.expiration_policy.ttl)
            self._timers[name] = self._cloud.clock.call_at(due, lambda: self._due(name))

    def _used(self, name: str) -> float:
        backlog = self._pubsub.backlogs.get(name)
        if backlog is None:
            return self._changed[name]
        pushed = self._pushes.last_success(name)
        if pushed is not None:
            return max(self._changed[name], pushed)
        if backlog.consumers:
            return self._cloud.now()
        return max(self._changed[name], backlog.last_used)

    def _due(self, name: str) -> None:
        subscription = self._pubsub.subscriptions.get(name)
        if subscription is None:
            return
        lives = words.seconds(subscription.expiration_policy.ttl)
        if self._used(name) + lives > self._cloud.now():
            self._watch(name)
            return
        days = f"{lives / 86_400:g} days"
        self._cloud.log.event("WARNING", f"Subscription {name} was not used for {days} and has expired.")
        self._delete(name)
