"""Publishing for everybody: the API, and whoever publishes from inside the cloud (schedules, log sinks, channels).

Owns what a message must be; where it goes is state.py's. Limits: https://cloud.google.com/pubsub/quotas, in the words
of the real service as they are known from its answers.
"""

from collections.abc import Mapping

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, invalid
from local_cloud.pubsub.state import PubSub
from local_cloud.pubsub.words import no_such

#: Messages of one request, and their bytes together.
MAX_MESSAGES, MAX_BYTES = 1000, 10_000_000
#: Attributes of a message, and the bytes of a key, a value and an ordering key.
MAX_ATTRIBUTES, MAX_KEY, MAX_VALUE, MAX_ORDERING_KEY = 100, 256, 1024, 1024


def publish(
    cloud: Cloud, topic: str, data: bytes, attributes: Mapping[str, str] | None = None, ordering_key: str = ""
) -> str:
    """Publishes a message, giving its id; it is on disk with `cloud.store.committed()`."""
    made = message("google.pubsub.v1.PubsubMessage")(
        data=data, attributes=dict(attributes or {}), ordering_key=ordering_key
    )
    return forward(cloud, topic, made)


def forward(cloud: Cloud, topic: str, made: Message) -> str:
    """Publishes a whole PubsubMessage; its id and time are set here."""
    return publish_all(cloud.use(PubSub), cloud.canonical(topic), [made])[0]


def publish_all(pubsub: PubSub, topic: str, messages: list[Message]) -> list[str]:
    """Publishes messages in their order, all or none; gives their ids."""
    found = pubsub.topics.get(topic)
    if found is None:
        raise no_such(topic)
    for made in messages:
        check(made)
        pubsub.validate(found, made)
    ids = [pubsub.append(topic, made, made.attributes) for made in messages]
    if pubsub.watchers:
        sizes = [len(made.data) for made in messages]
        for watcher in pubsub.watchers:
            watcher.published(topic, sizes)
    return ids


def check(made: Message) -> None:
    """What a message must be."""
    if not made.data and not made.attributes:
        raise invalid(
            "One or more messages in the publish request is empty. Each message must contain either non-empty data, "
            "or at least one attribute."
        )
    if len(made.data) > MAX_BYTES:
        raise _too_large("message_size", len(made.data), MAX_BYTES)
    if len(made.ordering_key) * 4 > MAX_ORDERING_KEY and len(made.ordering_key.encode()) > MAX_ORDERING_KEY:
        raise _too_large("ordering_key_size", len(made.ordering_key.encode()), MAX_ORDERING_KEY)
    if made.attributes:
        _check_attributes(made.attributes)


def _check_attributes(attributes: Mapping[str, str]) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        raise _too_large("attributes_count", len(attributes), MAX_ATTRIBUTES)
    for key, value in attributes.items():
        if not key or key[:4].lower() == "goog":
            raise invalid(
                f"The request contains an attribute key that is not valid (key={key}). Attribute keys must be "
                "non-empty and must not begin with 'goog' (case-insensitive)."
            )
        if len(key) * 4 > MAX_KEY and len(key.encode()) > MAX_KEY:
            raise _too_large("attribute_key_size", len(key.encode()), MAX_KEY)
        if len(value) * 4 > MAX_VALUE and len(value.encode()) > MAX_VALUE:
            raise _too_large("attribute_value_size", len(value.encode()), MAX_VALUE)


def _too_large(what: str, given: int, most: int) -> ApiError:
    return invalid(
        f"The value for {what} is too large. You passed {given} in the request, but the maximum value is {most}."
    )
