"""Google's own Pub/Sub clients at a cloud's door, and the few steps that most tests begin with."""

import uuid
import warnings
from typing import Any

import google.pubsub_v1 as pubsub_v1_bare
import grpc
from google.cloud import pubsub_v1  # type: ignore[attr-defined]
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport, PublisherRestTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport, SubscriberRestTransport

from local_cloud.pubsub.state import PubSub
from tests.local_cloud.cloud_places import ANONYMOUS, PROJECT, Place


class Clients:
    """A publisher and a subscriber at the owner's door."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._channel = grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}")
        self.publisher: Any = pubsub_v1.PublisherClient(
            publisher_options=pubsub_v1.types.PublisherOptions(enable_message_ordering=True),
            transport=PublisherGrpcTransport(channel=self._channel),
        )
        #: Its publish() is the bare call, a batch of messages at a time.
        self.bare: Any = pubsub_v1_bare.PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        self.subscriber: Any = self.another_subscriber()

    def another_subscriber(self) -> Any:
        """One more subscriber on the same channel."""
        return pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))

    def over_rest(self) -> tuple[Any, Any]:
        """Publisher and subscriber over REST."""
        host = f"127.0.0.1:{self.place.ports['rest']}"
        sent: dict[str, Any] = {"host": host, "credentials": ANONYMOUS, "url_scheme": "http"}
        return (
            pubsub_v1.PublisherClient(transport=PublisherRestTransport(**sent)),
            pubsub_v1.SubscriberClient(transport=SubscriberRestTransport(**sent)),
        )

    def topic(self, **settings: Any) -> str:
        """A new topic."""
        name = f"projects/{PROJECT}/topics/t-{uuid.uuid4().hex[:12]}"
        self.publisher.create_topic(request={"name": name, **settings})
        return name

    def subscription(self, topic: str, **settings: Any) -> str:
        """A new subscription."""
        name = f"projects/{PROJECT}/subscriptions/s-{uuid.uuid4().hex[:12]}"
        self.subscriber.create_subscription(request={"name": name, "topic": topic, **settings})
        return name

    def send(self, topic: str, *data: str, key: str = "") -> list[str]:
        """Publishes messages in one call, giving their ids."""
        messages = [{"data": one.encode(), "ordering_key": key} for one in data]
        return list(self.bare.publish(topic=topic, messages=messages).message_ids)

    def pull(self, subscription: str, most: int = 100) -> list[Any]:
        """What there is at once."""
        request = {"subscription": subscription, "max_messages": most, "return_immediately": True}
        with warnings.catch_warnings():  # the flag is deprecated, and kept
            warnings.simplefilter("ignore", DeprecationWarning)
            return list(self.subscriber.pull(request=request).received_messages)

    def data(self, subscription: str, most: int = 100) -> list[str]:
        """The bodies of what there is at once."""
        return [received.message.data.decode() for received in self.pull(subscription, most)]

    def ack(self, subscription: str, *received: Any) -> None:
        """Acknowledges."""
        self.subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])

    def nack(self, subscription: str, *received: Any) -> None:
        """Refuses."""
        self.extend(subscription, 0, *received)

    def extend(self, subscription: str, seconds: int, *received: Any) -> None:
        """Changes deadlines."""
        ids = [one.ack_id for one in received]
        self.subscriber.modify_ack_deadline(subscription=subscription, ack_ids=ids, ack_deadline_seconds=seconds)

    def advance(self, seconds: float, wait: float = 10.0) -> None:
        """Moves the clock of a place in this process."""
        self.place.do(lambda cloud: cloud.clock.advance(seconds, wait))

    def core(self) -> PubSub:
        """The insides of a place in this process; touched between calls only."""
        assert self.place.cloud is not None
        return self.place.cloud.use(PubSub)

    def close(self) -> None:
        """Lets go of the channel."""
        self.publisher.stop()
        self._channel.close()
