"""The models of a rollout in stack config: which revisions a service has, and by which steps and gates it walks.

Owns `sluice:releases` (what each service's revisions are for) and `sluice:rollout` (steps, times, thresholds). Leaves
the shares to sluice:canaryPercent and sluice:stop, and what Cloud Run is told of it all to `components/run_service`.

Sources: DECISIONS 15 to 19, seeds/000 section 13 (steps and thresholds), and
https://cloud.google.com/run/docs/rollouts-rollbacks-traffic-migration.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from spec.durations import Duration
from spec.errors import OF_ITS_KIND, Refused
from spec.model import Model, Quantity, Whole, field
from spec.route import Percent

#: The keys in stack config.
RELEASES, SHARES, STOP, ROLLOUT = "sluice:releases", "sluice:canaryPercent", "sluice:stop", "sluice:rollout"

#: What a revision of Cloud Run may be called.
REVISION = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"

#: How a digest names an image.
DIGEST = r"^sha256:[0-9a-f]{64}$"

#: The share of a rollout's last step.
ALL = 100

_INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def instant(at: datetime) -> str:
    """Return a time as the specs write it: UTC, to the second."""
    return at.astimezone(UTC).strftime(_FORMAT)


def _instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.strptime(str(value), _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise Refused(
            f"{value!r} is not a time",
            breaks="nobody would know until when the old revision is kept warm",
            fix='write UTC to the second, in quotes: "2026-12-07T00:00:00Z"',
            rule=OF_ITS_KIND,
        ) from None


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(instant),
    WithJsonSchema({"type": "string", "pattern": _INSTANT}, mode="validation"),
]

_NO_REVISION = "Cloud Run has no such revision, and traffic could not name it"
_AS_LISTED = "write the revision's whole name, as `./sluice rollout status` prints it: SERVICE-0123456789"

Revision = Annotated[str, Field(pattern=REVISION)]


class Release(Model):
    """What the revisions of one service are for."""

    stable: Revision | None = field(
        None,
        "The revision that takes the traffic; without it the newest one does, at once.",
        breaks=_NO_REVISION,
        fix=_AS_LISTED,
    )
    canary: Revision | None = field(
        None,
        "The revision that is tried: it takes sluice:canaryPercent of the payments.",
        breaks=_NO_REVISION,
        fix=_AS_LISTED,
    )
    digest: str | None = field(
        None,
        "The digest of this service's image, where it is another than sluice:imageDigest.",
        pattern=DIGEST,
        breaks="a tag can move between preview and deployment; only a digest names one image",
        fix="write sha256: and 64 hex digits in lower case, as `./sluice image push` prints them",
        rule="SL907",
    )
    rolled_back: Revision | None = field(
        None,
        "The revision that was rolled back: it takes nothing, and is not rolled out again unless it is forced.",
        breaks=_NO_REVISION,
        fix=_AS_LISTED,
    )
    previous: Revision | None = field(
        None,
        "What was stable before the last promotion: it keeps a tag, so that a rollback finds it.",
        breaks=_NO_REVISION,
        fix=_AS_LISTED,
    )
    keep_until: Instant | None = field(
        None,
        "Until when previous is kept.",
        breaks="nobody would know until when the old revision is kept warm",
        fix='write UTC to the second, in quotes: "2026-12-07T00:00:00Z"',
    )

    @model_validator(mode="after")
    def _roles_fit(self) -> Self:
        for role in ("canary", "rolled_back", "previous"):
            if getattr(self, role) is not None and self.stable is None:
                raise Refused(
                    f"{role} without stable",
                    key=role,
                    breaks="the newest revision would take all payments at once, beside what is said here",
                    fix="write stable: and the revision that is to take the traffic",
                )
        for one, other, breaks in _APART:
            if getattr(self, one) is not None and getattr(self, one) == getattr(self, other):
                raise Refused(
                    f"{getattr(self, one)} is {one} and {other}",
                    key=one,
                    breaks=breaks,
                    fix=f"delete {one}, or write another revision there",
                )
        if self.keep_until is not None and self.previous is None:
            raise Refused(
                "keep_until without previous",
                key="keep_until",
                breaks="there is nothing that could be kept until then",
                fix="delete the line, or write previous: and the revision that is kept",
            )
        return self


#: Roles that no revision has both of, and why.
_APART = (
    ("canary", "stable", "nothing would be tried: what takes the traffic is no canary of itself"),
    ("canary", "rolled_back", "what was found bad would be rolled out again"),
    ("canary", "previous", "the way back would lead to what is tried"),
    ("rolled_back", "stable", "what was found bad would take all payments"),
    ("previous", "stable", "there would be no way back: it leads to where one is"),
    ("previous", "rolled_back", "the way back would lead to what was found bad"),
)


class Rollout(Model):
    """How a rollout walks: its steps, how long each lasts, and what its gates let through."""

    steps: tuple[Percent, ...] = field(
        (10, 25, 50, 75, 90, ALL),
        "The shares, one after the other; the last is 100.",
        breaks="a rollout would not end, or take payments back from the new way",
        fix="write ascending whole numbers that end with 100: [10, 25, 50, 75, 90, 100]",
    )
    first_dwell: Duration = field(Duration.parse("48h"), "How long the first step lasts at least.")
    dwell: Duration = field(Duration.parse("24h"), "How long every other step lasts at least.")
    keep: Duration = field(Duration.parse("14d"), "How long the old way is kept warm once the new one has everything.")
    min_samples: Whole = field(
        50,
        "Payments that a step must have seen before anything is said about it.",
        ge=1,
        breaks="a step would be judged without having seen anything",
        fix="write a whole number above 0, for example 50",
    )
    lag: Duration = field(
        Duration.parse("180s"), "How old a sample is before it counts: Cloud Monitoring shows it that late."
    )
    confidence: Whole = field(
        95,
        "How sure a verdict must be, in per cent.",
        ge=50,
        le=99,
        breaks="a verdict would be a guess, or would never be given",
        fix="write a whole number from 50 to 99: 95",
    )
    success_percent: Quantity = field(
        99.0,
        "Requests that must succeed, in per cent.",
        ge=0,
        le=100,
        breaks="there is no such share",
        fix="write a number from 0 to 100: 99",
    )
    p95: Duration = field(Duration.parse("10s"), "What 95 of 100 payments take at most, creation to completion.")
    queue_depth: Whole = field(
        50,
        "Tasks that may wait in a queue into the service.",
        ge=1,
        breaks="any waiting task would hold the rollout for ever",
        fix="write a whole number above 0: 50",
    )
    token_expiry_percent: Quantity = field(
        1.0,
        "Tokens that may expire, in per cent.",
        ge=0,
        le=100,
        breaks="there is no such share",
        fix="write a number from 0 to 100: 1",
    )
    dead_percent: Quantity = field(
        1.0,
        "Payments that may end dead, in per cent.",
        ge=0,
        le=100,
        breaks="there is no such share",
        fix="write a number from 0 to 100: 1",
    )

    @model_validator(mode="after")
    def _steps_rise(self) -> Self:
        risen = all(low < high for low, high in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or not risen or self.steps[0] < 1 or self.steps[-1] != ALL:
            raise Refused(
                f"{list(map(int, self.steps))} is no way up to {ALL}",
                key="steps",
                breaks="a rollout would not end, or take payments back from the new way",
                fix="write ascending whole numbers from 1 that end with 100: [10, 25, 50, 75, 90, 100]",
            )
        return self
