"""What the core reads of a Subscription message: numbers with their defaults in place.

Sources: pubsub.proto's comments and the subscription properties page. Checking what callers give is the API's.
"""

from typing import NamedTuple

from local_cloud.descriptors import Message

#: Without another: 10 s to acknowledge, 7 days of retention.
ACK_DEADLINE, RETENTION = 10.0, 7 * 24 * 3600.0
#: Where a retry policy leaves them out.
MIN_BACKOFF, MAX_BACKOFF = 10.0, 600.0
#: Delivery attempts before a message goes to the dead letter topic, where the policy leaves them out.
MAX_ATTEMPTS = 5


class Config(NamedTuple):
    """How one subscription's messages are handed out."""

    deadline: float
    retention: float
    retains_acked: bool
    backoff: tuple[float, float] | None
    max_attempts: int
    ordered: bool
    exactly_once: bool
    pushes: bool


def read(subscription: Message) -> Config:
    """The numbers of a Subscription."""
    policy = subscription.dead_letter_policy
    attempts = int(policy.max_delivery_attempts) or MAX_ATTEMPTS
    return Config(
        deadline=float(subscription.ack_deadline_seconds or ACK_DEADLINE),
        retention=seconds(subscription, "message_retention_duration", RETENTION),
        retains_acked=bool(subscription.retain_acked_messages),
        backoff=_backoff(subscription),
        max_attempts=attempts if subscription.HasField("dead_letter_policy") and policy.dead_letter_topic else 0,
        ordered=bool(subscription.enable_message_ordering),
        exactly_once=bool(subscription.enable_exactly_once_delivery),
        pushes=bool(subscription.push_config.push_endpoint),
    )


def _backoff(subscription: Message) -> tuple[float, float] | None:
    if not subscription.HasField("retry_policy"):
        return None
    least = seconds(subscription.retry_policy, "minimum_backoff", MIN_BACKOFF)
    return least, max(least, seconds(subscription.retry_policy, "maximum_backoff", MAX_BACKOFF))


def seconds(of: Message, field: str, default: float) -> float:
    """A Duration field in seconds."""
    if not of.HasField(field):
        return default
    length = getattr(of, field)
    return float(length.seconds + length.nanos / 1e9)
