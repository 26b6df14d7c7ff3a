"""Snapshots and seeking by the official client: what is open again, how long a snapshot lives, and over a restart."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf import field_mask_pb2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import call
from tests.local_cloud.pubsub.clients import Clients

DAY = 86_400


def snapshot_of(clients: Clients, subscription: str, **settings: Any) -> Any:
    name = f"projects/{PROJECT}/snapshots/snap-{uuid.uuid4().hex[:8]}"
    return clients.subscriber.create_snapshot(request={"name": name, "subscription": subscription, **settings})


def ack_all(clients: Clients, subscription: str) -> None:
    clients.ack(subscription, *clients.pull(subscription))


@pins(
    "pubsub",
    "Snapshots and schemas",
    "A snapshot holds what was unacknowledged when it was made and what came since; a seek to it opens that again, for "
    "any subscription of the topic",
    documented="Seek to a snapshot",
)
def test_seek_to_a_snapshot_opens_what_it_holds(clients: Clients) -> None:
    topic = clients.topic()
    one, other = clients.subscription(topic), clients.subscription(topic)
    clients.send(topic, "acked")
    ack_all(clients, one)
    clients.send(topic, "open")
    snapshot = snapshot_of(clients, one, labels={"a": "b"})
    assert (snapshot.topic, dict(snapshot.labels)) == (topic, {"a": "b"})
    clients.send(topic, "later")
    ack_all(clients, one)
    ack_all(clients, other)
    for subscription in (one, other):
        clients.subscriber.seek(request={"subscription": subscription, "snapshot": snapshot.name})
        assert sorted(clients.data(subscription)) == ["later", "open"]
    clients.subscriber.delete_snapshot(snapshot=snapshot.name)
    with pytest.raises(exceptions.NotFound):
        clients.subscriber.seek(request={"subscription": one, "snapshot": snapshot.name})
    elsewhere = clients.subscription(clients.topic())
    foreign = snapshot_of(clients, elsewhere)
    with pytest.raises(exceptions.FailedPrecondition, match="topic"):
        clients.subscriber.seek(request={"subscription": one, "snapshot": foreign.name})


@pins(
    "pubsub",
    "Snapshots and schemas",
    "A seek to a time acknowledges what was published before it; to an earlier one it opens again what is still kept",
    documented="Seek to a timestamp",
)
def test_seek_to_a_time(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic, retain_acked_messages=True)
    clients.send(topic, "early")
    clients.advance(60)
    assert clients.place.cloud is not None
    between = datetime.fromtimestamp(clients.place.cloud.now() - 30, UTC)
    clients.send(topic, "late")
    clients.subscriber.seek(request={"subscription": subscription, "time": between})
    assert clients.data(subscription) == ["late"]
    clients.subscriber.seek(request={"subscription": subscription, "time": datetime.fromtimestamp(0, UTC)})
    assert sorted(clients.data(subscription)) == ["early", "late"]
    with pytest.raises(exceptions.InvalidArgument):
        clients.subscriber.seek(request={"subscription": subscription})


@pins(
    "pubsub",
    "Snapshots and schemas",
    "A snapshot lives 7 days less the age of its oldest message, and is refused below an hour; the end can be moved",
    documented="CreateSnapshot",
)
def test_snapshots_expire(clients: Clients) -> None:
    topic = clients.topic()
    forever = {"expiration_policy": {}, "message_retention_duration": {"seconds": 10 * DAY}}
    subscription = clients.subscription(topic, **forever)
    clients.send(topic, "x")
    clients.advance(5 * DAY)
    short, long = snapshot_of(clients, subscription), snapshot_of(clients, subscription)
    assert clients.place.cloud is not None
    now = clients.place.cloud.now()
    assert abs(short.expire_time.timestamp() - now - 2 * DAY) < 60
    moved = {"name": long.name, "expire_time": datetime.fromtimestamp(now + 6 * DAY, UTC), "labels": {"kept": "yes"}}
    mask = field_mask_pb2.FieldMask(paths=["expire_time", "labels"])
    clients.subscriber.update_snapshot(request={"snapshot": moved, "update_mask": mask})
    far = {"name": long.name, "expire_time": datetime.fromtimestamp(now + 8 * DAY, UTC)}
    with pytest.raises(exceptions.InvalidArgument):
        clients.subscriber.update_snapshot(
            request={"snapshot": far, "update_mask": field_mask_pb2.FieldMask(paths=["expire_time"])}
        )
    clients.advance(2 * DAY - 1800)
    with pytest.raises(exceptions.FailedPrecondition, match="less than an hour"):
        snapshot_of(clients, subscription)
    clients.advance(3600)
    with pytest.raises(exceptions.NotFound):
        clients.subscriber.get_snapshot(snapshot=short.name)
    assert dict(clients.subscriber.get_snapshot(snapshot=long.name).labels) == {"kept": "yes"}
    listed = clients.subscriber.list_snapshots(project=f"projects/{PROJECT}")
    assert long.name in {snapshot.name for snapshot in listed}


def test_a_snapshot_without_a_name_gets_one(clients: Clients) -> None:
    subscription = clients.subscription(clients.topic())
    made = clients.subscriber.create_snapshot(request={"subscription": subscription})
    assert made.name.startswith(f"projects/{PROJECT}/snapshots/snapshot-")
    with pytest.raises(exceptions.AlreadyExists):
        clients.subscriber.create_snapshot(name=made.name, subscription=subscription)


@pins("pubsub", "Snapshots and schemas", "Snapshots and what they hold outlive a kill", ours="state on disk")
def test_snapshots_outlive_a_kill(start: Any) -> None:
    process = start("cloud")
    door = Place(process.ports)
    topic, name, snapshot = (
        f"projects/{PROJECT}/{kind}" for kind in ("topics/events", "subscriptions/events-sub", "snapshots/before")
    )
    call(door, "PUT", f"/v1/{topic}", {})
    call(door, "PUT", f"/v1/{name}", {"topic": topic})
    call(door, "POST", f"/v1/{topic}:publish", {"messages": [{"data": "eA=="}]})
    call(door, "PUT", f"/v1/{snapshot}", {"subscription": name})
    [received] = call(door, "POST", f"/v1/{name}:pull", {"maxMessages": 1})["receivedMessages"]
    call(door, "POST", f"/v1/{name}:acknowledge", {"ackIds": [received["ackId"]]})
    process.popen.kill()
    process.popen.wait()
    door = Place(start("cloud").ports)
    assert call(door, "GET", f"/v1/{snapshot}")["topic"] == topic
    call(door, "POST", f"/v1/{name}:seek", {"snapshot": snapshot})
    [again] = call(door, "POST", f"/v1/{name}:pull", {"maxMessages": 1})["receivedMessages"]
    assert again["message"] == received["message"]
