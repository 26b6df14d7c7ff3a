"""The metrics of Pub/Sub: what is published, what waits, what is pushed, pulled and acknowledged.

Counted as it happens (a dict increment an event), read by Cloud Monitoring. Names and labels are those of
https://cloud.google.com/monitoring/api/metrics_gcp (pubsub); metrics/descriptors/pubsub.py has the list.
"""

from collections.abc import Iterator
from typing import Any

from local_cloud.apis.pubsub.api import API
from local_cloud.cloud import Cloud
from local_cloud.metrics.series import Key, Value, key
from local_cloud.pubsub.backlog import Backlog
from local_cloud.pubsub.consumer import Consumer
from local_cloud.pubsub.push import Pushes
from local_cloud.pubsub.state import PubSub
from local_cloud.pubsub.watch import Watcher
from local_cloud.registry import Binding

_METRIC = "pubsub.googleapis.com"
#: How metrics name the codes of calls, and which of them are the server's fault.
_SUCCESS = "success"
_INTERNAL = frozenset({"unknown", "deadline_exceeded", "internal", "unavailable", "data_loss"})
#: Calls that are counted by the subscription that they are about.
_CALLS = {
    "Pull": "pull_request_count",
    "Acknowledge": "pull_ack_request_count",
    "ModifyAckDeadline": "mod_ack_deadline_request_count",
}


class Counts(Watcher):
    """What the meter is told of topics and subscriptions."""

    def __init__(self, cloud: Cloud, pubsub: PubSub, pushes: Pushes) -> None:
        self._cloud = cloud
        self._project = cloud.project
        self._pubsub = pubsub
        self._pushes = pushes
        #: By subscription, how its messages went out last: acknowledgements come the same way.
        self._kinds: dict[str, str] = {}
        meter, topic, subscription = cloud.meter, f"{_METRIC}/topic", f"{_METRIC}/subscription"
        self._published = meter.counter(f"{topic}/send_message_operation_count", self._operation)
        self._publishes = meter.counter(f"{topic}/send_request_count", self._publish)
        self._sizes = meter.distribution(f"{topic}/message_sizes", self._size)
        self._pushed = meter.counter(f"{subscription}/push_request_count", self._push)
        self._latencies = meter.distribution(f"{subscription}/push_request_latencies", self._latency)
        self._calls = {name: meter.counter(f"{subscription}/{path}", self._call(path)) for name, path in _CALLS.items()}
        self._seeks = meter.counter(f"{subscription}/seek_request_count", self._seek)
        self._moved = {
            name: meter.counter(f"{subscription}/{path}", self._way(path))
            for name, path in (
                ("sent", "sent_message_count"),
                ("acked", "ack_message_count"),
                ("modified", "mod_ack_deadline_message_count"),
                ("expired", "expired_ack_deadlines_count"),
            )
        }
        self._buried = meter.counter(f"{subscription}/dead_letter_message_count", self._dead_letter)
        meter.sampler(self._gauges)
        pubsub.watchers.append(self)
        pushes.observe = self.push_ended

    # what the core tells

    def published(self, topic: str, sizes: list[int]) -> None:
        """Messages were taken up by a topic."""
        tally = self._sizes[topic]
        for size in sizes:
            tally.add(size)

    def sent(self, backlog: Backlog, consumer: Consumer, messages: int, size: int) -> None:  # noqa: ARG002
        """Messages were handed out."""
        self._kinds[backlog.name] = consumer.kind
        self._moved["sent"][backlog.name, consumer.kind] += messages

    def acked(self, backlog: Backlog, messages: int) -> None:
        """Messages were acknowledged."""
        self._move("acked", backlog, messages)

    def modified(self, backlog: Backlog, messages: int) -> None:
        """Deadlines were changed."""
        self._move("modified", backlog, messages)

    def expired(self, backlog: Backlog, messages: int) -> None:
        """Deadlines passed."""
        self._move("expired", backlog, messages)

    def dead_lettered(self, backlog: Backlog, messages: int) -> None:
        """Messages went to the dead letter topic."""
        self._buried[backlog.name, _SUCCESS] += messages

    def not_dead_lettered(self, subscription: str, code: str) -> None:
        """A message should have gone there, and could not."""
        self._buried[subscription, code.lower()] += 1

    def push_ended(self, subscription: str, kind: str, code: str, seconds: float) -> None:
        """A push was answered, or was not."""
        self._pushed[subscription, kind, code] += 1
        self._latencies[subscription, code].add(seconds * 1e6)

    def called(self, binding: Binding, request: Any, code: str) -> None:
        """A call was answered. What is not there is not counted: anybody can make up names."""
        name = binding.method.name if binding.method is not None else ""
        word = _SUCCESS if code == "OK" else code.lower()
        if name == "Publish":
            topic = request.topic
            if code == "OK" or topic in self._pubsub.topics:
                self._publishes[topic, word] += 1
                self._published[topic, word] += len(request.messages)
        elif name in self._calls or name == "Seek":
            subscription = request.subscription
            if code == "OK" or subscription in self._pubsub.subscriptions:
                (self._seeks if name == "Seek" else self._calls[name])[subscription, word] += 1

    def _move(self, what: str, backlog: Backlog, messages: int) -> None:
        if messages:
            self._moved[what][backlog.name, self._kinds.get(backlog.name, "pull")] += messages

    # how series are named

    def _topic(self, path: str, name: str, labels: dict[str, str]) -> Key:
        own = {"project_id": self._project, "topic_id": name.rpartition("/")[2]}
        return key(f"{_METRIC}/topic/{path}", "pubsub_topic", own, labels)

    def _subscription(self, path: str, name: str, labels: dict[str, str]) -> Key:
        own = {"project_id": self._project, "subscription_id": name.rpartition("/")[2]}
        return key(f"{_METRIC}/subscription/{path}", "pubsub_subscription", own, labels)

    def _operation(self, counted: tuple[str, str]) -> Key:
        return self._topic("send_message_operation_count", counted[0], {"response_code": counted[1]})

    def _publish(self, counted: tuple[str, str]) -> Key:
        return self._topic("send_request_count", counted[0], _result(counted[1]))

    def _size(self, topic: str) -> Key:
        return self._topic("message_sizes", topic, {})

    def _push(self, counted: tuple[str, str, str]) -> Key:
        name, kind, code = counted
        labels = {"response_class": kind, "response_code": code, "delivery_type": "push"}
        return self._subscription("push_request_count", name, labels)

    def _latency(self, counted: tuple[str, str]) -> Key:
        labels = {"response_code": counted[1], "delivery_type": "push"}
        return self._subscription("push_request_latencies", counted[0], labels)

    def _seek(self, counted: tuple[str, str]) -> Key:
        return self._subscription("seek_request_count", counted[0], {"response_code": counted[1]})

    def _dead_letter(self, counted: tuple[str, str]) -> Key:
        return self._subscription("dead_letter_message_count", counted[0], {"response_code": counted[1]})

    def _call(self, path: str) -> Any:
        return lambda counted: self._subscription(path, counted[0], _result(counted[1]))

    def _way(self, path: str) -> Any:
        return lambda counted: self._subscription(path, counted[0], {"delivery_type": counted[1]})

    def _gauges(self, _seconds: float) -> Iterator[tuple[Key, Value]]:
        now = self._cloud.now()
        under_way = self._pushes.outstanding()
        for name, backlog in self._pubsub.backlogs.items():
            stats = backlog.stats()
            yield self._subscription("num_undelivered_messages", name, {}), stats.undelivered
            yield self._subscription("backlog_bytes", name, {}), stats.undelivered_bytes
            age = max(0, int(now - stats.oldest)) if stats.oldest is not None else 0
            yield self._subscription("oldest_unacked_message_age", name, {}), age
            if name in under_way:
                yield self._subscription("num_outstanding_messages", name, {}), under_way[name]


def _result(code: str) -> dict[str, str]:
    kind = code if code == _SUCCESS else "internal" if code in _INTERNAL else "invalid"
    return {"response_class": kind, "response_code": code}


@API.on_call
def observe(cloud: Cloud, binding: Binding, request: Any, code: str) -> None:
    """Count a call by what it is about."""
    cloud.use(Counts).called(binding, request, code)
