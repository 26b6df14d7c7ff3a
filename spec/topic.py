"""The model of queue_configs/topics/<topic>.yaml: a topic, its one push subscription and its dead letters.

Owns the defaults of a topic and the ranges that Google enforces at apply. Leaves to the checks what needs a second file
(services, messages) or the time that all deliveries take.

Source: the references of `google.pubsub.v1` Topic and Subscription (ack_deadline_seconds, retry_policy,
dead_letter_policy, message_retention_duration, filter).
"""

from __future__ import annotations

from typing import Self

from pydantic import field_validator, model_validator

from spec.durations import Duration
from spec.errors import Refused
from spec.model import Flag, Model, Named, Whole, field

#: The range of an ack deadline, which is a push's timeout too.
SHORTEST_ACK = Duration.parse("10s")
LONGEST_ACK = Duration.parse("600s")

#: How often Google delivers before it gives a message to the dead-letter topic.
FEWEST_DELIVERIES = 5
MOST_DELIVERIES = 100

#: The longest wait between two deliveries.
LONGEST_BACKOFF = Duration.parse("600s")

#: How long a topic, or a subscription, may keep what it was given.
SHORTEST_RETENTION = Duration.parse("10m")
LONGEST_RETENTION = Duration.parse("31d")

#: A filter has at most so many bytes.
LONGEST_FILTER = 256

#: A delivery that has not answered after a minute is given up; the longest that Google waits is ten minutes.
DEFAULT_ACK_DEADLINE = Duration.parse("60s")

#: Waits between deliveries, as Google has them where a retry policy is set.
DEFAULT_MIN_BACKOFF = Duration.parse("10s")
DEFAULT_MAX_BACKOFF = Duration.parse("600s")

#: Messages are kept for a week, their dead letters for two.
DEFAULT_RETENTION = Duration.parse("7d")
DEFAULT_DEAD_LETTER_RETENTION = Duration.parse("14d")


class Redelivery(Model):
    """When a message that was not acknowledged is delivered again."""

    min_backoff: Duration = field(
        DEFAULT_MIN_BACKOFF,
        "The wait before the second delivery, 0s to 600s.",
        rule="SL505",
    )
    max_backoff: Duration = field(
        DEFAULT_MAX_BACKOFF,
        "The longest wait between two deliveries, 0s to 600s.",
        rule="SL505",
    )

    @field_validator("min_backoff", "max_backoff")
    @classmethod
    def _backoff_in_range(cls, backoff: Duration) -> Duration:
        if backoff > LONGEST_BACKOFF:
            raise Refused(
                f"{backoff} is above {LONGEST_BACKOFF}",
                breaks="Google refuses the subscription: a backoff is between 0 and 600 seconds",
                fix="write 600s or less",
            )
        return backoff

    @model_validator(mode="after")
    def _backoff_grows(self) -> Self:
        if self.min_backoff > self.max_backoff:
            raise Refused(
                f"{self.min_backoff} is above max_backoff, which is {self.max_backoff}",
                key="min_backoff",
                breaks="Google refuses the subscription: the minimum backoff must not exceed the maximum",
                fix=f"lower min_backoff to {self.max_backoff} or less, "
                f"or raise max_backoff to {self.min_backoff} or more",
            )
        return self


class DeadLetters(Model):
    """The dead-letter topic and the subscription, without expiry, that keeps what comes there."""

    retention: Duration = field(
        DEFAULT_DEAD_LETTER_RETENTION,
        "How long dead letters are kept, 10m to 31d.",
        rule="SL505",
    )

    @field_validator("retention")
    @classmethod
    def _retention_in_range(cls, retention: Duration) -> Duration:
        return _kept(retention)


class Topic(Named):
    """One ordered edge: who may publish, to whom it is pushed, which message, how often, and where it ends."""

    publishers: tuple[str, ...] = field(
        ...,
        "Services that may publish: each gets roles/pubsub.publisher on this topic alone.",
        alias="from",
        min_length=1,
        breaks="nobody could publish, so the topic would stand there unused",
        fix="list the services that publish, for example from: [paynowwebhook]",
    )
    receiver: str = field(
        ...,
        "The service that messages are pushed to; it may publish dead letters.",
        alias="to",
        min_length=1,
        breaks="messages would have nowhere to go",
        fix="name a folder of service_code/ that has a service.yaml",
    )
    path: str = field(
        ...,
        "The path at the receiver; it stands in the receiver's handles.",
        pattern=r"^/[A-Za-z0-9._~/-]*$",
        breaks="every push would get a 404 and end in the dead letters",
        fix="write an absolute path of letters, digits and . _ ~ - /, as in the receiver's handles",
    )
    message: str = field(
        ...,
        "The message that the topic carries.",
        pattern=r"^[A-Z][A-Za-z0-9]*$",
        breaks="the receiver could not decode what arrives",
        fix="write the class name of the message, as in the receiver's handles",
    )
    ordered: Flag = field(False, "Messages of one ordering key are delivered in the order of their publishing.")
    ack_deadline: Duration = field(
        DEFAULT_ACK_DEADLINE,
        "How long one push may take before it counts as failed, 10s to 600s, in whole seconds.",
        rule="SL505",
    )
    max_delivery_attempts: Whole = field(
        FEWEST_DELIVERIES,
        "Deliveries before Google gives the message to the dead-letter topic.",
        ge=FEWEST_DELIVERIES,
        le=MOST_DELIVERIES,
        breaks="Google refuses the subscription: max_delivery_attempts is between 5 and 100",
        fix="write a whole number from 5 to 100",
        rule="SL505",
    )
    retry: Redelivery = field(Redelivery(), "When a message is delivered again that nobody acknowledged.")
    retention: Duration = field(
        DEFAULT_RETENTION,
        "How long topic and subscription keep a message, 10m to 31d.",
        rule="SL505",
    )
    dead_letters: DeadLetters = field(DeadLetters(), "What becomes of messages that nobody acknowledged.")
    filter: str | None = field(
        None,
        "Which messages are delivered, by their attributes; the others count as acknowledged.",
        min_length=1,
        max_length=LONGEST_FILTER,
        breaks="Google refuses the subscription: a filter has at most 256 bytes",
        fix='write a filter such as attributes.kind = "order", or leave the key out to take all',
        rule="SL505",
    )

    @field_validator("ack_deadline")
    @classmethod
    def _deadline_in_range(cls, deadline: Duration) -> Duration:
        if not SHORTEST_ACK <= deadline <= LONGEST_ACK or deadline.milliseconds % 1000:
            raise Refused(
                f"{deadline} is no ack deadline",
                breaks="Google refuses the subscription: ack_deadline_seconds is between 10 and 600",
                fix="write whole seconds from 10s to 600s, not shorter than the receiver's timeout",
            )
        return deadline

    @field_validator("retention")
    @classmethod
    def _retention_in_range(cls, retention: Duration) -> Duration:
        return _kept(retention)


def _kept(retention: Duration) -> Duration:
    if not SHORTEST_RETENTION <= retention <= LONGEST_RETENTION:
        raise Refused(
            f"{retention} is outside {SHORTEST_RETENTION} to {LONGEST_RETENTION}",
            breaks="Google refuses the topic: messages are kept from 10 minutes to 31 days",
            fix="write a time from 10m to 31d",
        )
    return retention
