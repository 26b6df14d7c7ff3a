"""Dead letters: after how many deliveries, with what attributes, and that nothing goes where the agent may not send."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import Target, call, idle, listening
from tests.local_cloud.pubsub.clients import Clients
from tests.local_cloud.run_client import NUMBER

AGENT = f"serviceAccount:service-{NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as made:
        yield made


def bind(clients: Clients, resource: str, role: str) -> None:
    policy = {"policy": {"bindings": [{"role": role, "members": [AGENT]}]}}
    call(clients.place, "POST", f"/v1/{resource}:setIamPolicy", policy)


class Edge:
    """A topic, its dead letter topic with a subscription, and a subscription of 5 attempts; the agent may both."""

    def __init__(self, clients: Clients, *, bound: bool = True, **settings: Any) -> None:
        self.topic, self.dead = clients.topic(), clients.topic()
        self.letters = clients.subscription(self.dead, enable_message_ordering=True)
        policy = {"dead_letter_topic": self.dead, "max_delivery_attempts": 5}
        self.name = clients.subscription(self.topic, dead_letter_policy=policy, **settings)
        if bound:
            bind(clients, self.dead, "roles/pubsub.publisher")
            bind(clients, self.name, "roles/pubsub.subscriber")


def refuse(clients: Clients, name: str) -> int:
    """Pulls and refuses; gives the delivery's number."""
    [received] = clients.pull(name)
    clients.nack(name, received)
    return int(received.delivery_attempt)


@pins(
    "pubsub",
    "Dead letters",
    "After max_delivery_attempts a message goes to the dead letter topic with its attributes, its ordering key, and "
    "the CloudPubSubDeadLetterSource ones: delivery count, subscription, its project, publish time; the "
    "source forgets it",
    documented="Handle message failures",
    ours="the number is exact, where Google's is approximate",
)
def test_a_message_refused_often_enough_is_a_dead_letter(clients: Clients) -> None:
    edge = Edge(clients, enable_message_ordering=True)
    clients.publisher.publish(topic=edge.topic, data=b"x", ordering_key="user", k="v").result(10)
    [first] = clients.pull(edge.name)
    clients.nack(edge.name, first)
    assert [refuse(clients, edge.name) for _ in range(4)] == [2, 3, 4, 5]
    assert clients.pull(edge.name) == []
    [letter] = clients.pull(edge.letters)
    attributes = dict(letter.message.attributes)
    assert (letter.message.data, letter.message.ordering_key, attributes.pop("k")) == (b"x", "user", "v")
    published = attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime")
    assert published.startswith(first.message.publish_time.strftime("%Y-%m-%dT%H:%M:%S"))
    assert attributes == {
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": edge.name.rpartition("/")[2],
        "CloudPubSubDeadLetterSourceSubscriptionProject": PROJECT,
    }
    assert letter.message.message_id != first.message.message_id


@pins(
    "pubsub",
    "Dead letters",
    "Without publisher on the dead letter topic and subscriber on the source for Pub/Sub's service agent nothing is "
    "dead-lettered: it is delivered again and again, and a line of the log names the binding",
    documented="Handle message failures",
)
def test_nothing_is_dead_lettered_that_the_agent_may_not_send(clients: Clients) -> None:
    edge = Edge(clients, bound=False)
    cloud = clients.place.cloud
    assert cloud is not None

    def said() -> list[str]:
        return [event["message"] for event in cloud.log.events if edge.name in event["message"]]

    clients.send(edge.topic, "x")
    assert [refuse(clients, edge.name) for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]
    assert clients.pull(edge.letters) == []
    assert len(said()) == 1, "once a minute"
    assert f"roles/pubsub.publisher for {AGENT} on {edge.dead}" in said()[0]
    bind(clients, edge.dead, "roles/pubsub.publisher")
    refuse(clients, edge.name)
    assert f"lacks pubsub.subscriptions.consume on {edge.name}" in said()[-1]
    bind(clients, edge.name, "roles/pubsub.subscriber")
    assert refuse(clients, edge.name) == 9
    [letter] = clients.pull(edge.letters)
    assert letter.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "9"


@pins(
    "pubsub",
    "Dead letters",
    "A push that is refused counts, with the backoff between; a deadline that passes does too",
    documented="Handle message failures",
)
def test_refused_pushes_end_as_dead_letters(clients: Clients, target: Target) -> None:
    target.status = 500
    backoff = {"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 600}}
    edge = Edge(clients, push_config={"push_endpoint": target.url}, retry_policy=backoff)
    clients.send(edge.topic, "x")
    clients.advance(10 + 20 + 40)
    assert len(target.seen) == 4
    assert clients.pull(edge.letters) == []
    clients.advance(80)
    assert len(target.seen) == 5
    assert clients.data(edge.letters) == ["x"]
    clients.advance(3600)
    assert len(target.seen) == 5
    waiting = Edge(clients, ack_deadline_seconds=10)
    clients.send(waiting.topic, "slow")
    for _ in range(5):
        assert len(clients.pull(waiting.name)) == 1
        clients.advance(11)
    assert clients.pull(waiting.name) == []
    assert clients.data(waiting.letters) == ["slow"]


def test_dead_letters_of_a_key_let_the_next_message_through(clients: Clients, target: Target) -> None:
    target.script = [500] * 5
    backoff = {"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"seconds": 1}}
    edge = Edge(clients, push_config={"push_endpoint": target.url}, retry_policy=backoff, enable_message_ordering=True)
    clients.send(edge.topic, "bad", "good", key="user")
    clients.advance(10)
    idle(clients.place)
    assert len(target.seen) == 6
    assert clients.core().backlogs[edge.name].stats().undelivered == 0
    assert clients.data(edge.letters) == ["bad"]


@pins(
    "pubsub",
    "Dead letters",
    "A dead letter topic that is gone takes nothing: the message is delivered again",
    documented="Handle message failures",
)
def test_a_deleted_dead_letter_topic_loses_nothing(clients: Clients) -> None:
    edge = Edge(clients)
    clients.send(edge.topic, "x")
    clients.publisher.delete_topic(topic=edge.dead)
    project = {"policy": {"bindings": [{"role": "roles/pubsub.publisher", "members": [AGENT]}]}}
    call(clients.place, "POST", f"/v1/projects/{PROJECT}:setIamPolicy", project)
    assert [refuse(clients, edge.name) for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(exceptions.NotFound):
        clients.publisher.get_topic(topic=edge.dead)
