"""The model of a queue's `token`: what is done about a token that may die before its receiver is back.

Owns the settings of five strategies: the first two, few and early retries and an age limit, are the queue's `retry`;
the token may be minted at delivery instead; what was not delivered in time may be sent anew (fallback); and while the
receiver is down nothing need be minted at all (breaker). Leaves what they need of other files to the checks.

Source: seeds/000 section 9; docs/adr/token-window.md says what each saves and costs.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from spec.durations import Duration
from spec.errors import Refused
from spec.model import Model, Whole, field

#: Where a breaker asks: every service has this path.
HEALTH = "/health"

#: What waits for its receiver is given up after a day, as everything in this system is.
DEFAULT_GIVE_UP_AFTER = Duration.parse("24h")

#: The health of a receiver is asked for so often at most: a twelfth of the shortest token's life.
DEFAULT_CHECK_INTERVAL = Duration.parse("5s")

#: An open breaker lets one question through after this time.
DEFAULT_OPEN_FOR = Duration.parse("10s")


class Fallback(Model):
    """What the queue did not deliver in time is sent anew by its sender, from the database."""

    schedule: str = field(
        "fallback",
        "The sender's schedule that sends anew what was not paid in time.",
        min_length=1,
        breaks="nobody would send anew",
        fix="name a schedule of the sender's service.yaml, for example fallback",
    )


class Breaker(Model):
    """A circuit breaker: the sender asks for the receiver's /health, and while that is bad it mints and sends nothing.

    Closed, it asks at most every `check_interval`; after `failure_threshold` bad answers it opens; open, it lets one
    question through every `open_for` (half-open), and a good answer closes it.
    """

    check_interval: Duration = field(
        DEFAULT_CHECK_INTERVAL, "How long a good answer of the receiver's /health is believed."
    )
    failure_threshold: Whole = field(
        1,
        "Bad answers in a row that open the breaker.",
        ge=1,
        le=100,
        breaks="the breaker would never open, or be open for ever",
        fix="write 1, or a few where the receiver's health flaps",
    )
    open_for: Duration = field(DEFAULT_OPEN_FOR, "How long an open breaker waits before it asks again.")
    opens_on: Literal["degraded", "down"] = field(
        "degraded",
        "The worst health that still opens it: degraded, when something that the receiver uses is away, or down.",
        breaks="nobody would know when to stop sending",
        fix="write degraded or down",
    )

    @model_validator(mode="after")
    def _times_are_some_time(self) -> Self:
        for key in ("check_interval", "open_for"):
            if getattr(self, key).milliseconds == 0:
                raise Refused(
                    "0s asks for the receiver's health at every message",
                    key=key,
                    breaks="a receiver that comes back slowly would be kept busy with questions",
                    fix="write a second or more, for example 5s",
                )
        return self


class Token(Model):
    """What is done about a token that may die before it is delivered."""

    minted: Literal["enqueue", "delivery"] = field(
        "enqueue",
        "When the token is minted: as the task is made, or at delivery, by the receiver, from identifiers alone.",
        breaks="nobody would know whether the task carries a token",
        fix="write enqueue or delivery",
    )
    give_up_after: Duration = field(
        DEFAULT_GIVE_UP_AFTER, "How long fallback and breaker keep a message before it is given up."
    )
    fallback: Fallback | None = field(None, "Send anew, with a fresh token, what was not delivered in time.")
    breaker: Breaker | None = field(None, "Mint and send nothing while the receiver is down.")

    @property
    def is_patient(self) -> bool:
        """Whether a message may wait for its receiver outside the queue."""
        return self.fallback is not None or self.breaker is not None

    @model_validator(mode="after")
    def _something_waits(self) -> Self:
        if "give_up_after" in self.model_fields_set and not self.is_patient:
            raise Refused(
                "nothing waits that could be given up",
                key="give_up_after",
                breaks="the limit would have no effect: without fallback and breaker a message ends with its token",
                fix="add fallback: {} or breaker: {}, or delete the key",
            )
        return self
