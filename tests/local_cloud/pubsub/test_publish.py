"""Publish by the official clients: what a message must be, what it gets, how long it is kept."""

import datetime
import uuid
from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf import duration_pb2, timestamp_pb2

from local_cloud.errors import ApiError
from local_cloud.pubsub.publishing import publish
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.pubsub.clients import Clients


def days(count: float) -> Any:
    return duration_pb2.Duration(seconds=int(count * 86_400))


@pins(
    "pubsub",
    "Publishing",
    "Message ids are unique and rise within a topic, over batches, gRPC and REST; publish_time is the cloud's clock",
    documented="PubsubMessage",
)
def test_messages_get_ids_that_rise_and_the_clouds_time(clients: Clients) -> None:
    topic = clients.topic()
    subscription = clients.subscription(topic)
    ids = clients.send(topic, "1", "2")
    clients.advance(3600)
    before = datetime.datetime.now(datetime.UTC)
    rest, _ = clients.over_rest()
    ids.append(rest.publish(topic, b"3", color="red").result(30))
    ids.append(clients.publisher.publish(topic, b"4", ordering_key="k").result(30))
    assert [int(one) for one in ids] == sorted({int(one) for one in ids})
    got = [one.message for one in clients.pull(subscription)]
    assert [one.message_id for one in got] == ids
    assert [one.data for one in got] == [b"1", b"2", b"3", b"4"]
    assert dict(got[2].attributes) == {"color": "red"}
    assert got[3].ordering_key == "k"
    assert got[2].publish_time - got[1].publish_time >= datetime.timedelta(hours=1)
    assert got[2].publish_time - before >= datetime.timedelta(hours=1)


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "nothing": ([], "too small"),
    "empty": ([{"data": b"fine"}, {"ordering_key": "k"}], "Each message must contain either non-empty data"),
    "too many": ([{"data": b"x"}] * 1001, "message_count is too large. You passed 1001"),
    "too large": ([{"data": b"x" * 5_000_001}] * 2, "Request payload size exceeds the limit: 10000000 bytes"),
    "Google's attribute": ([{"data": b"fine"}, {"attributes": {"Googclient": "1"}}], "must not begin with 'goog'"),
    "an attribute without key": ([{"attributes": {"": "1"}}], "Attribute keys must be non-empty"),
    "a long attribute key": ([{"attributes": {"k" * 257: "1"}}], "maximum value is 256"),
    "a long attribute": ([{"attributes": {"k": "é" * 513}}], "maximum value is 1024"),
    "many attributes": ([{"attributes": {f"k{number}": "1" for number in range(101)}}], "maximum value is 100"),
    "a long ordering key": ([{"data": b"x", "ordering_key": "k" * 1025}], "maximum value is 1024"),
}


@pins(
    "pubsub",
    "Publishing",
    "A request takes 1 to 1000 messages and 10 MB; a message has data or attributes (100 of 256 and 1024 bytes, none "
    "beginning with goog), an ordering key at most 1024 bytes; one wrong message refuses all of the request",
    documented="Quotas and limits",
    observed="words of the real service",
)
@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_message_refuses_the_request(clients: Clients, what: str) -> None:
    messages, words = REFUSED[what]
    topic = clients.topic()
    subscription = clients.subscription(topic)
    with pytest.raises(exceptions.InvalidArgument, match=words):
        clients.bare.publish(topic=topic, messages=messages)
    assert clients.data(subscription) == []


@pins("pubsub", "Publishing", "Publishing to a topic that is not there is NOT_FOUND", documented="Publish")
def test_the_topic_must_be_there(clients: Clients) -> None:
    topic = f"projects/{PROJECT}/topics/t-{uuid.uuid4().hex[:12]}"
    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource=t-"):
        clients.send(topic, "lost")

    async def inside(cloud: Any) -> str:
        return publish(cloud, topic, b"lost")

    with pytest.raises(ApiError, match="Resource not found"):
        clients.place.do(inside)


@pins(
    "pubsub",
    "Publishing",
    "A subscription gets what is published after it was made; a deleted topic's subscriptions keep what they have",
    documented="Subscriptions overview",
)
def test_a_subscription_begins_where_it_is_made(clients: Clients) -> None:
    topic = clients.topic()
    clients.send(topic, "before")
    subscription = clients.subscription(topic)
    clients.send(topic, "after")
    clients.publisher.delete_topic(topic=topic)
    assert clients.subscriber.get_subscription(subscription=subscription).topic == "_deleted-topic_"
    assert clients.data(subscription) == ["after"]


@pins(
    "pubsub",
    "Publishing",
    "A message that nobody acknowledges goes after the subscription's retention (7 days), outstanding or not",
    documented="Message retention",
)
def test_messages_expire_on_the_moved_clock(clients: Clients) -> None:
    topic = clients.topic()
    week, hour = clients.subscription(topic), clients.subscription(topic, message_retention_duration=days(1 / 24))
    clients.send(topic, "old")
    clients.advance(1800)
    clients.send(topic, "young")
    got = clients.pull(hour)
    clients.extend(hour, 600, *got)
    clients.advance(590)
    clients.extend(hour, 600, *got)
    clients.advance(3600 - 1800 - 580)
    assert clients.core().backlogs[hour].stats().undelivered == 1
    clients.ack(hour, got[0])  # what is gone is no error
    clients.advance(7 * 86_400 - 3600)
    assert clients.data(week) == ["young"]
    clients.advance(1900)
    assert clients.data(week) == []


@pins(
    "pubsub",
    "Snapshots and schemas",
    "A seek to a time opens acknowledged messages again as far as the topic, or a subscription that retains them, "
    "keeps them; a seek to the future acknowledges all",
    documented="Replay and purge messages",
)
@pytest.mark.parametrize("who", ["topic", "subscription", "nobody"])
def test_a_seek_opens_what_is_kept(clients: Clients, who: str) -> None:
    topic = clients.topic(**({"message_retention_duration": days(2)} if who == "topic" else {}))
    keeps = {"retain_acked_messages": True, "message_retention_duration": days(2)} if who == "subscription" else {}
    subscription = clients.subscription(topic, **keeps)
    clients.send(topic, "oldest")
    clients.ack(subscription, *clients.pull(subscription))
    clients.advance(86_400 * 1.5)
    clients.send(topic, "older")
    clients.ack(subscription, *clients.pull(subscription))
    clients.advance(86_400)
    clients.send(topic, "new")
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(datetime.datetime.now(datetime.UTC))  # the cloud is ahead: all of these are later
    clients.subscriber.seek(request={"subscription": subscription, "time": stamp})
    assert clients.data(subscription) == (["new"] if who == "nobody" else ["older", "new"])
    stamp.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=4000))
    clients.subscriber.seek(request={"subscription": subscription, "time": stamp})
    clients.advance(601)
    assert clients.data(subscription) == []
