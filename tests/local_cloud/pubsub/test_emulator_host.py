"""Google's Pub/Sub client as `sluice env` points it: by PUBSUB_EMULATOR_HOST, without credentials."""

import pytest
from google.cloud import pubsub_v1  # type: ignore[attr-defined]

from ops.verbs.env import client_variables
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place


@pins(
    "pubsub",
    "Publishing",
    "A client that is pointed here by PUBSUB_EMULATOR_HOST, which `sluice env` sets, publishes and pulls unchanged",
    documented="Testing apps locally with the emulator",
)
def test_clients_find_the_cloud_by_the_emulators_variable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in client_variables(PROJECT, place.rest).items():
        monkeypatch.setenv(name, value)
    publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
    topic, name = publisher.topic_path(PROJECT, "by-variable"), subscriber.subscription_path(PROJECT, "by-variable")
    publisher.create_topic(name=topic)
    subscriber.create_subscription(name=name, topic=topic)
    made = publisher.publish(topic, b"hello").result(10)
    [received] = subscriber.pull(subscription=name, max_messages=1).received_messages
    assert (received.message.data, received.message.message_id) == (b"hello", made)
    publisher.stop()
    subscriber.close()
