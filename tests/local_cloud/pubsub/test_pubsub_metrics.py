"""Pub/Sub's metrics as Cloud Monitoring's client reads them: what is published, waits, is pushed, pulled."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import Target, idle, listening
from tests.local_cloud.metrics_client import Watcher
from tests.local_cloud.pubsub.clients import Clients

TOPIC, SUBSCRIPTION = "pubsub.googleapis.com/topic", "pubsub.googleapis.com/subscription"
BACKOFF = {"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 10}}


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as made:
        yield made


def of(name: str) -> str:
    kind = "topic_id" if "/topics/" in name else "subscription_id"
    return f'resource.labels.{kind} = "{name.rpartition("/")[2]}"'


def last(watch: Watcher, metric: str, name: str) -> int:
    """The newest value of a gauge."""
    [series] = watch.series(f"{SUBSCRIPTION}/{metric}", f"AND {of(name)}")
    assert dict(series.resource.labels) == {"project_id": PROJECT, "subscription_id": name.rpartition("/")[2]}
    assert series.resource.type == "pubsub_subscription"
    return int(series.points[0].value.int64_value)


@pins(
    "pubsub",
    "Metrics",
    "topic/send_request_count, send_message_operation_count and message_sizes; subscription/num_undelivered_messages, "
    "oldest_unacked_message_age and backlog_bytes, each minute",
    documented="Google Cloud metrics, pubsub",
)
def test_what_is_published_and_waits(clients: Clients, watch: Watcher) -> None:
    topic = clients.topic()
    name = clients.subscription(topic)
    clients.send(topic, "a", "bb", "ccc" * 100)
    with pytest.raises(exceptions.InvalidArgument):
        clients.send(topic, "")
    clients.advance(180)
    assert watch.total(f"{TOPIC}/send_request_count", f"AND {of(topic)}", "response_class", "response_code") == {
        ("success", "success"): 1,
        ("invalid", "invalid_argument"): 1,
    }
    assert watch.total(f"{TOPIC}/send_message_operation_count", f"AND {of(topic)}", "response_code")[("success",)] == 3
    assert watch.total(f"{TOPIC}/message_sizes", f"AND {of(topic)}") == {(): 3}
    assert last(watch, "num_undelivered_messages", name) == 3
    assert 120 <= last(watch, "oldest_unacked_message_age", name) <= 181
    assert last(watch, "backlog_bytes", name) > 303
    clients.ack(name, *clients.pull(name))
    clients.advance(120)
    assert [last(watch, metric, name) for metric in ("num_undelivered_messages", "oldest_unacked_message_age")] == [
        0,
        0,
    ]


@pins(
    "pubsub",
    "Metrics",
    "subscription/pull_request_count, sent_message_count, ack_message_count, expired_ack_deadlines_count, "
    "mod_ack_deadline_message_count and seek_request_count, by way of delivery or code",
    documented="Google Cloud metrics, pubsub",
)
def test_what_is_pulled(clients: Clients, watch: Watcher) -> None:
    topic = clients.topic()
    name = clients.subscription(topic)
    clients.send(topic, "a", "b", "c")
    got = clients.pull(name)
    clients.ack(name, got[0])
    clients.extend(name, 30, got[1])
    clients.advance(15)
    assert len(clients.pull(name)) == 1, "one is acknowledged, one extended"
    clients.subscriber.seek(request={"subscription": name, "time": got[0].message.publish_time})
    clients.advance(120)

    def total(metric: str, *labels: str) -> Any:
        return watch.total(f"{SUBSCRIPTION}/{metric}", f"AND {of(name)}", *labels)

    assert total("pull_request_count", "response_class") == {("success",): 2}
    assert total("pull_ack_request_count", "response_code") == {("success",): 1}
    assert total("sent_message_count", "delivery_type") == {("pull",): 4}
    assert total("ack_message_count", "delivery_type") == {("pull",): 1}
    assert total("mod_ack_deadline_message_count", "delivery_type") == {("pull",): 1}
    assert total("expired_ack_deadlines_count", "delivery_type") == {("pull",): 1}
    assert total("seek_request_count", "response_code") == {("success",): 1}


@pins(
    "pubsub",
    "Metrics",
    "subscription/push_request_count by response_class, response_code and delivery_type, push_request_latencies in us, "
    "num_outstanding_messages, dead_letter_message_count",
    documented="Google Cloud metrics, pubsub",
)
def test_what_is_pushed(clients: Clients, watch: Watcher, target: Target) -> None:
    topic, dead = clients.topic(), clients.topic()
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    target.script = [500, 404]
    name = clients.subscription(
        topic, push_config={"push_endpoint": target.url}, retry_policy=BACKOFF, dead_letter_policy=policy
    )
    clients.send(topic, "x")
    clients.advance(30)
    idle(clients.place)
    clients.advance(120)
    counted = watch.total(
        f"{SUBSCRIPTION}/push_request_count", f"AND {of(name)}", "response_class", "response_code", "delivery_type"
    )
    assert counted == {
        ("remote_server_5xx", "internal", "push"): 1,
        ("remote_server_4xx", "not_found", "push"): 1,
        ("ack", "success", "push"): 1,
    }
    latencies = watch.total(f"{SUBSCRIPTION}/push_request_latencies", f"AND {of(name)}", "response_code")
    assert latencies == {("internal",): 1, ("not_found",): 1, ("success",): 1}
    assert last(watch, "num_outstanding_messages", name) == 0
    target.status = 500
    clients.send(topic, "never")
    clients.advance(100)
    clients.advance(60)
    buried = watch.total(f"{SUBSCRIPTION}/dead_letter_message_count", f"AND {of(name)}", "response_code")
    assert set(buried) == {("permission_denied",)}, "the service agent may not send"


def test_a_topic_that_is_not_there_is_no_label(clients: Clients, watch: Watcher) -> None:
    made_up = f"projects/{PROJECT}/topics/made-up"
    with pytest.raises(exceptions.NotFound):
        clients.send(made_up, "x")
    clients.advance(120)
    assert watch.series(f"{TOPIC}/send_request_count", f"AND {of(made_up)}") == []
