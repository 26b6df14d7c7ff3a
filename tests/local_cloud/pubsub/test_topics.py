"""Topics by the official client: what may be said of them, how they change and go, and how they are refused."""

import uuid
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.protobuf import duration_pb2, field_mask_pb2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import account, bearer, call
from tests.local_cloud.pubsub.clients import Clients

LIST = f"projects/{PROJECT}"


def update(clients: Clients, name: str, *paths: str, **fields: Any) -> Any:
    mask = field_mask_pb2.FieldMask(paths=paths)
    return clients.publisher.update_topic(request={"topic": {"name": name, **fields}, "update_mask": mask})


@pins(
    "pubsub", "Topics and subscriptions", "A topic reads back as it was made, and changes by a mask", documented="Topic"
)
def test_topic_reads_back_and_changes_by_mask(clients: Clients) -> None:
    policy = {"allowed_persistence_regions": ["us-central1"]}
    retention = duration_pb2.Duration(seconds=600, nanos=500_000_000)
    name = clients.topic(labels={"a": "b"}, message_retention_duration=retention, message_storage_policy=policy)
    kept = clients.publisher.get_topic(topic=name)
    assert (dict(kept.labels), kept.message_retention_duration.total_seconds()) == ({"a": "b"}, 600.5)
    assert list(kept.message_storage_policy.allowed_persistence_regions) == ["us-central1"]
    changed = update(clients, name, "labels", labels={"c": "d"}, message_storage_policy=None)
    assert dict(changed.labels) == {"c": "d"}
    assert changed.message_storage_policy == kept.message_storage_policy, "the mask did not name it"
    assert not update(clients, name, "message_retention_duration").message_retention_duration
    assert clients.publisher.get_topic(topic=name).name == name


@pins(
    "pubsub",
    "Topics and subscriptions",
    "Names are 3 to 255 characters, begin with a letter and not with goog; labels, retention (10 minutes to 31 days) "
    "and masks are refused in Google's words",
    documented="Resource names",
    observed="answers published by others' recordings",
)
@pytest.mark.parametrize(
    ("topic_id", "settings", "said"),
    [
        ("ab", {}, "Invalid resource name given"),
        ("goog-probe", {}, "Invalid resource name given"),
        ("1-digit", {}, "Invalid resource name given"),
        ("bad$", {}, "Invalid resource name given"),
        ("x" * 256, {}, "pubsub-basics#resource_names for more information."),
        ("fine", {"labels": {"Upper": "x"}}, 'first character "U" is not a non-uppercased letter'),
        ("fine", {"labels": {"a": "x" * 64}}, "exceeds maximum value length 63 with a length of 64"),
        (
            "fine",
            {"message_retention_duration": {"seconds": 599}},
            "You passed 9m59s in the request, but the value must be between 10m and 744h.",
        ),
        ("fine", {"kms_key_name": "k"}, r"\(argument=kms_key_name\)"),
    ],
)
def test_topics_that_cannot_be_are_refused(clients: Clients, topic_id: str, settings: Any, said: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=said):
        clients.publisher.create_topic(request={"name": f"{LIST}/topics/{topic_id}", **settings})


def test_ingestion_and_transforms_are_refused_by_name(clients: Clients) -> None:
    settings = {"cloud_storage": {"bucket": "b", "text_format": {}}}
    with pytest.raises(exceptions.MethodNotImplemented, match="ingestion_data_source_settings"):
        clients.topic(ingestion_data_source_settings=settings)
    with pytest.raises(exceptions.MethodNotImplemented, match="message_transforms"):
        clients.topic(message_transforms=[{"javascript_udf": {"function_name": "f", "code": "x"}}])


@pins(
    "pubsub",
    "Topics and subscriptions",
    "An update wants a mask of fields that there are and that may change",
    observed="answers published by others' recordings",
)
def test_masks_are_looked_at(clients: Clients) -> None:
    name = clients.topic()
    with pytest.raises(exceptions.InvalidArgument, match="must contain a non-empty paths list"):
        update(clients, name)
    with pytest.raises(exceptions.InvalidArgument, match="the 'name' field in the Topic is not mutable"):
        update(clients, name, "name")
    with pytest.raises(exceptions.InvalidArgument, match="'nothing' is not a known Topic field"):
        update(clients, name, "nothing")


@pins(
    "pubsub",
    "Topics and subscriptions",
    "ALREADY_EXISTS and NOT_FOUND name the resource's id; a page holds at most 1000",
    observed="answers published by others' recordings",
)
def test_there_is_one_of_a_name_and_lists_come_in_pages(clients: Clients) -> None:
    names = sorted(clients.topic() for _ in range(3))
    with pytest.raises(exceptions.AlreadyExists, match=rf"\(resource={names[0].rpartition('/')[2]}\)\.$"):
        clients.publisher.create_topic(name=names[0])
    with pytest.raises(exceptions.NotFound, match=r"^404 Resource not found \(resource=gone\)\.$"):
        clients.publisher.get_topic(topic=f"{LIST}/topics/gone")
    found = [topic.name for topic in clients.publisher.list_topics(request={"project": LIST, "page_size": 2})]
    assert set(names) <= set(found)
    assert found == sorted(found)
    with pytest.raises(exceptions.InvalidArgument, match="between 0 and 1000"):
        clients.publisher.list_topics(request={"project": LIST, "page_size": -1})


@pins(
    "pubsub",
    "Topics and subscriptions",
    "When a topic goes, its subscriptions stay with what they have, of the topic _deleted-topic_; so do its snapshots",
    documented="DeleteTopic",
)
def test_subscriptions_outlive_their_topic(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic)
    clients.send(topic, "kept")
    snapshot = f"{LIST}/snapshots/s-{uuid.uuid4().hex[:8]}"
    clients.subscriber.create_snapshot(name=snapshot, subscription=subscription)
    assert list(clients.publisher.list_topic_subscriptions(topic=topic)) == [subscription]
    assert list(clients.publisher.list_topic_snapshots(topic=topic)) == [snapshot]
    clients.publisher.delete_topic(topic=topic)
    assert clients.subscriber.get_subscription(subscription=subscription).topic == "_deleted-topic_"
    assert clients.subscriber.get_snapshot(snapshot=snapshot).topic == "_deleted-topic_"
    assert clients.data(subscription) == ["kept"]
    with pytest.raises(exceptions.NotFound):
        clients.send(topic, "lost")
    clients.publisher.create_topic(name=topic)
    assert list(clients.publisher.list_topic_subscriptions(topic=topic)) == [], "a new topic begins without any"


@pins(
    "pubsub",
    "Topics and subscriptions",
    "A detached subscription has no messages, and refuses pulls",
    documented="Detach",
)
def test_detached_subscription_is_a_name_only(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic)
    clients.send(topic, "gone")
    clients.publisher.detach_subscription(request={"subscription": subscription})
    assert clients.subscriber.get_subscription(subscription=subscription).detached
    assert list(clients.publisher.list_topic_subscriptions(topic=topic)) == []
    with pytest.raises(exceptions.FailedPrecondition):
        clients.pull(subscription)
    with pytest.raises(exceptions.FailedPrecondition):
        clients.subscriber.create_snapshot(name=f"{LIST}/snapshots/none", subscription=subscription)
    clients.subscriber.delete_subscription(subscription=subscription)


@pins(
    "pubsub",
    "Topics and subscriptions",
    "Policies hang on topics, subscriptions, snapshots and schemas; a caller without a role is refused",
    documented="Access control",
)
def test_policy_on_a_topic_lets_publish(clients: Clients) -> None:
    topic = clients.topic()
    place = clients.place
    email = account(place, f"p-{uuid.uuid4().hex[:8]}")
    door = f"http://127.0.0.1:{place.ports['service_rest']}/v1/{topic}:publish"
    body = {"messages": [{"data": "aGk="}]}
    refused = requests.post(door, json=body, headers=bearer(place, email), timeout=10)
    assert (refused.status_code, refused.json()["error"]["message"][:45]) == (
        403,
        "User not authorized to perform this action. T",
    )
    policy = {"policy": {"bindings": [{"role": "roles/pubsub.publisher", "members": [f"serviceAccount:{email}"]}]}}
    call(place, "POST", f"/v1/{topic}:setIamPolicy", policy)
    assert requests.post(door, json=body, headers=bearer(place, email), timeout=10).ok
    assert clients.publisher.get_iam_policy(request={"resource": topic}).bindings[0].role == "roles/pubsub.publisher"
    with pytest.raises(exceptions.NotFound):
        clients.publisher.get_iam_policy(request={"resource": f"{LIST}/topics/never"})


@pins(
    "pubsub",
    "Topics and subscriptions",
    "To detach a subscription takes pubsub.topics.detachSubscription on its topic, and nothing on the subscription",
    documented="Access control; Detach subscriptions",
)
def test_who_may_detach(clients: Clients) -> None:
    place, topic = clients.place, clients.topic()
    subscription = clients.subscription(topic)
    owners = {kind: account(place, f"{kind}-{uuid.uuid4().hex[:8]}") for kind in ("topic", "subscription")}
    for kind, resource in (("topic", topic), ("subscription", subscription)):
        bindings = [{"role": "roles/pubsub.editor", "members": [f"serviceAccount:{owners[kind]}"]}]
        call(place, "POST", f"/v1/{resource}:setIamPolicy", {"policy": {"bindings": bindings}})
    door = f"http://127.0.0.1:{place.ports['service_rest']}/v1/{subscription}:detach"
    refused = requests.post(door, json={}, headers=bearer(place, owners["subscription"]), timeout=10)
    assert refused.status_code == 403
    [told] = [one["metadata"] for one in refused.json()["error"]["details"] if one.get("metadata")]
    assert (told["permission"], told["resource"].endswith(topic)) == ("pubsub.topics.detachSubscription", True)
    assert not clients.subscriber.get_subscription(subscription=subscription).detached
    assert requests.post(door, json={}, headers=bearer(place, owners["topic"]), timeout=10).ok
    assert clients.subscriber.get_subscription(subscription=subscription).detached


def test_rest_speaks_of_topics_as_grpc_does(clients: Clients) -> None:
    publisher, subscriber = clients.over_rest()
    topic = f"{LIST}/topics/r-{uuid.uuid4().hex[:8]}"
    publisher.create_topic(name=topic)
    made = subscriber.create_subscription(name=topic.replace("/topics/", "/subscriptions/"), topic=topic)
    assert made.topic == topic
    assert subscriber.get_subscription(subscription=made.name) == made
    mask = field_mask_pb2.FieldMask(paths=["message_retention_duration"])
    changed = publisher.update_topic(
        request={"topic": {"name": topic, "message_retention_duration": {"seconds": 900}}, "update_mask": mask}
    )
    assert changed.message_retention_duration.total_seconds() == 900
    seen = subscriber.get_subscription(subscription=made.name)
    assert seen.topic_message_retention_duration.total_seconds() == 900
