"""Which time series are meant, and how they are put together: for conditions of alerts, objectives and charts.

Owns the short way to say it. Leaves to `filters` what Monitoring reads, and to the checks whether metric, resource and
labels exist (`google_metrics`).

Source: https://cloud.google.com/monitoring/api/v3/filters and Aggregation of google/monitoring/v3/common.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from spec.durations import Duration
from spec.errors import Refused
from spec.model import Model, field
from spec.patterns import NoPattern, pattern
from spec.source import scalar_text

MINUTE = Duration.parse("60s")

#: The longest stretch that one aligned point may stand for in a condition.
LONGEST_ALIGNMENT = Duration.parse("25h")

Aligner = Literal[
    "none", "delta", "rate", "interpolate", "next_older", "min", "max", "mean", "count", "sum", "stddev", "count_true",
    "count_false", "fraction_true", "p99", "p95", "p50", "p05", "percent_change",
]  # fmt: skip
Reducer = Literal[
    "none", "mean", "min", "max", "sum", "stddev", "count", "count_true", "count_false", "fraction_true", "p99", "p95",
    "p50", "p05",
]  # fmt: skip

Text = Annotated[str, BeforeValidator(scalar_text)]
Texts = Annotated[
    tuple[Text, ...],
    BeforeValidator(lambda value: value if isinstance(value, list | tuple) else [value]),
    Field(min_length=1),
]


#: What a value begins with that stands for services or queues by what their own files say of them.
GROUP = "@"


def members(values: tuple[str, ...], groups: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return values with each group's members in its place."""
    return tuple(one for value in values for one in (groups.get(value, ()) if value.startswith(GROUP) else (value,)))


def whole_minutes(span: Duration, *, least: Duration, most: Duration, breaks: str) -> Duration:
    """Return a span that Monitoring takes, or refuse it."""
    if span.milliseconds % MINUTE.milliseconds or not least <= span <= most:
        raise Refused(
            f"{span} is not whole minutes from {least} to {most}",
            breaks=breaks,
            fix=f"write a multiple of 60s, from {least} to {most}",
        )
    return span


def in_minutes(key: str, span: Duration, least: Duration, most: Duration, breaks: str) -> None:
    """Refuse the span of a key that Monitoring does not take."""
    try:
        whole_minutes(span, least=least, most=most, breaks=breaks)
    except Refused as refused:
        raise Refused(refused.what, key=key, breaks=refused.breaks, fix=refused.fix) from None


class Match(Model):
    """What a label's value has to be."""

    among: Texts | None = field(None, "One of these values; a plain value or a list says the same.")
    unlike: Texts | None = field(None, "None of these values.", alias="not")
    starts: Text | None = field(None, "The value starts so.")
    matches: Text | None = field(None, "A regular expression that the whole value matches.")

    @field_validator("matches")
    @classmethod
    def _is_read(cls, matches: str | None) -> str | None:
        try:
            if matches is not None:
                pattern(matches)
        except NoPattern as error:
            raise Refused(
                f"{matches!r} is no regular expression: {error}",
                breaks="Monitoring refuses it: 400, Invalid regular expression",
                fix="close every bracket and parenthesis, and write what RE2 reads: no looking around, no \\1",
                rule="SL415",
            ) from None
        return matches

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(given is not None for given in (self.among, self.unlike, self.starts, self.matches)) != 1:
            raise Refused(
                "a label is tested in one way",
                breaks="Monitoring would find no series",
                fix="write a value, a list of values, or one of not:, starts: and matches:",
            )
        return self


def _as_match(value: Any) -> Any:
    return value if isinstance(value, dict | Match) else {"among": value}


#: A value, a list of values of which one holds, or a mapping that says more.
Wanted = Annotated[
    Match,
    BeforeValidator(_as_match),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
                {
                    "type": "object",
                    "properties": {
                        "not": {"type": ["string", "number", "array"]},
                        "starts": {"type": "string"},
                        "matches": {"type": "string"},
                    },
                    "additionalProperties": False,
                },
            ]
        },
        mode="validation",
    ),
]


class Align(Model):
    """How the points of one series become one point for each stretch."""

    every: Duration = field(
        MINUTE,
        "The stretch, in whole minutes.",
        breaks="Monitoring refuses the policy: an alignment period is a multiple of 60 s",
        fix="write 60s, 5m or 10m",
    )
    by: Aligner = field(
        ...,
        "How its points become one.",
        breaks="Monitoring knows no such aligner",
        fix="write sum, rate, max, mean, p95 or another aligner",
    )

    @model_validator(mode="after")
    def _in_minutes(self) -> Self:
        breaks = "Monitoring refuses it: an alignment period is a multiple of 60 s, and not above 25 hours"
        whole_minutes(self.every, least=MINUTE, most=LONGEST_ALIGNMENT, breaks=breaks)
        return self


class Across(Model):
    """How several series become one."""

    by: Reducer = field(
        ...,
        "How points of the same time become one.",
        breaks="Monitoring knows no such reducer",
        fix="write sum, max, mean, p95 or another reducer",
    )
    keep: tuple[str, ...] = field((), "Labels that are kept: one series for each combination of their values.")


class Series(Model):
    """Time series by metric, resource and labels."""

    metric: str = field(
        ...,
        "A metric of Google's by its type, or one of ours by its stem in dashboards/metrics/.",
        min_length=1,
        breaks="there is nothing to look at",
        fix="write for example cloudtasks.googleapis.com/queue/depth, or token_age",
    )
    resource: str | None = field(None, "The type of monitored resource, where the metric has several.")
    where: dict[str, Wanted] = field(
        {},
        "Labels of metric or resource: a value each, a list of values, or {not: ...}, {starts: ...}, {matches: ...}. "
        "@public, @waiting and @waiting_for_block stand for services and queues.",
        breaks="Monitoring would find no series",
        fix="write label: value, for example queue_id: split-payment-queue",
    )


class Selection(Series):
    """Time series, aligned and put together."""

    align: Align | None = field(None, "How the points of one series become one for each stretch.")
    across: Across | None = field(None, "How several series become one.")
