"""The model of queue_configs/routes.yaml: where a payment has two ways, and what share takes the new one.

Owns the pairs of ways that there are, and how long a direct call may take. Leaves alone which payment takes which way:
the services decide by a hash of its id (`kit/routes`). A stack says its own shares in sluice:canaryPercent.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from spec.durations import Duration
from spec.errors import Refused
from spec.model import Model, Spec, field

#: The old way and the new one of every kind of route.
PAIRS = (("direct", "queue"), ("inline", "queue"), ("single", "staged"), ("sync", "queue"))

#: The choices that a service's own code makes, as its service.yaml lists them; a hop's are made by every sender.
Choice = Literal["inline/queue", "single/staged", "sync/queue"]

#: The way of a hop on which the sender calls the receiver itself.
DIRECT = "direct"

#: How long the sender waits for the receiver's answer on the direct way.
DIRECT_TIMEOUT = Duration.parse("30s")

Percent = Annotated[int, Strict(), Field(ge=0, le=100)]
RouteName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$")]


class Route(Model):
    """One choice between an old way and a new one, made once for each payment."""

    old: Literal["direct", "inline", "single", "sync"] = field(
        ...,
        "The way before: direct for a hop, inline for work done in place, single for the payout, sync for an entry.",
        breaks="nobody could go back to it",
        fix="write direct, inline, single or sync",
    )
    new: Literal["queue", "staged"] = field(
        ...,
        "The way that canary_percent of the payments take: queue, or staged for the payout.",
        breaks="nobody could go on to it",
        fix="write queue or staged",
    )
    queue: str | None = field(
        None, "Of a hop: the queue of its new way. Its senders choose, and may call its receiver themselves."
    )
    service: str | None = field(None, "Of every other route: the service that chooses.")
    canary_percent: Percent = field(
        0,
        "The share of payments on the new way, in per cent, where a stack says none in sluice:canaryPercent.",
        breaks="there is no such share of the payments",
        fix="write a whole number from 0 to 100",
    )
    salt: str | None = field(
        None,
        "Mixes the choice; the route's name where it is left out. Another salt chooses anew, for new payments.",
        min_length=1,
        max_length=60,
        breaks="the choice would be that of every route without a salt",
        fix="write a word, or leave the key out",
    )

    @property
    def is_hop(self) -> bool:
        """Whether the old way is a call of the sender's own."""
        return self.old == DIRECT

    @property
    def choice(self) -> str:
        """The two ways in a word."""
        return f"{self.old}/{self.new}"

    @model_validator(mode="after")
    def _ways_belong_together(self) -> Self:
        if (self.old, self.new) not in PAIRS:
            pairs = ", ".join(f"{old} and {new}" for old, new in PAIRS)
            raise Refused(
                f"{self.old} and {self.new} are no two ways of one route",
                key="new",
                breaks="the services know no such choice",
                fix=f"write one of the pairs {pairs}",
            )
        wanted, other = ("queue", "service") if self.is_hop else ("service", "queue")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise Refused(
                f"a route of {self.old} and {self.new} names its {wanted}, and no {other}",
                key=other if getattr(self, other) is not None else wanted,
                breaks="nobody would know who chooses",
                fix=f"write {wanted}: and leave {other} out",
            )
        return self


class RouteFile(Spec):
    """The whole file."""

    routes: dict[RouteName, Route] = field(
        ...,
        "The routes by name.",
        breaks="a name that is no word could not stand in a stack's config",
        fix="write names in lower case, with digits and hyphens, each with old, new and what chooses",
    )
