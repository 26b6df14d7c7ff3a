"""The model of dashboards/metrics/<metric>.yaml: one log-based metric, counted or measured from what services log.

Owns what Logging refuses of a metric: a distribution without a value, a counter with one, buckets that are none. Its
name in Monitoring is logging.googleapis.com/user/<metric>. Kind and type of a metric that exists cannot be changed: a
file that changes `kind` or `unit` replaces the metric, and its history is lost.

Source: https://cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics (LogMetric, BucketOptions).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from spec.errors import Refused
from spec.log_lines import LABEL, LogLines, Taken
from spec.model import Model, Named, Quantity, Whole, field

#: Where Monitoring keeps log-based metrics of a project's own.
PREFIX = "logging.googleapis.com/user/"

#: A metric has at most so many labels, and buckets.
MOST_LABELS = 10
MOST_BUCKETS = 200

Number = Whole | Quantity


class Exponential(Model):
    """Buckets that grow by a factor."""

    first: Number = field(1, "The first bound.", gt=0, breaks="Logging refuses it", fix="write a number above 0")
    growth: Number = field(
        2, "How much larger each bound is.", gt=1, breaks="Logging refuses it", fix="write a number above 1"
    )
    count: Whole = field(
        20,
        "How many buckets.",
        ge=1,
        le=MOST_BUCKETS,
        breaks="Logging refuses it",
        fix="write a whole number from 1 to 200",
    )


class Linear(Model):
    """Buckets of one width."""

    first: Number = field(0, "The first bound.")
    width: Number = field(
        ..., "The width of a bucket.", gt=0, breaks="Logging refuses it", fix="write a number above 0"
    )
    count: Whole = field(
        ...,
        "How many buckets.",
        ge=1,
        le=MOST_BUCKETS,
        breaks="Logging refuses it",
        fix="write a whole number from 1 to 200",
    )


class Buckets(Model):
    """How values of a distribution are sorted: percentiles are as exact as the buckets are narrow."""

    bounds: tuple[Number, ...] | None = field(
        None,
        "The bounds themselves, ascending.",
        min_length=1,
        max_length=MOST_BUCKETS,
        breaks="Logging refuses it",
        fix="write ascending numbers: [1, 5, 10, 30, 60]",
    )
    linear: Linear | None = field(None, "Buckets of one width.")
    exponential: Exponential | None = field(None, "Buckets that grow by a factor.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.bounds, self.linear, self.exponential)) != 1:
            raise Refused(
                "buckets are of one kind",
                breaks="Logging refuses the metric",
                fix="write one of bounds, linear and exponential",
            )
        if self.bounds is not None and any(a >= b for a, b in zip(self.bounds, self.bounds[1:], strict=False)):
            raise Refused(
                "the bounds do not ascend",
                key="bounds",
                breaks="Logging refuses the metric",
                fix="sort the bounds and write each once",
            )
        return self


class LogMetric(LogLines, Named):
    """A number that Google does not have: from the lines of the services."""

    what: str = field(
        ...,
        "What the metric says, in a sentence.",
        min_length=1,
        breaks="nobody could tell what a chart of it shows",
        fix="write one sentence",
    )
    source: str = field(
        ...,
        "The document or decision that asks for it.",
        min_length=1,
        breaks="nobody would know whether it can go",
        fix="write for example: 000 section 11, or DECISIONS 19, or ours",
    )
    kind: Literal["counter", "distribution"] = field(
        "counter",
        "A counter counts lines; a distribution measures a value of each.",
        breaks="Logging knows no such kind",
        fix="write counter or distribution",
    )
    value: Taken | None = field(
        None,
        "Of a distribution: the field that holds the value, or a field and a pattern.",
        breaks="Logging refuses the metric: a distribution needs a value, and a counter has none",
        fix="write the field of the JSON line, such as token_age",
    )
    unit: str = field(
        "1",
        "The value's unit: s, ms, By, {payment}.",
        min_length=1,
        max_length=60,
        breaks="charts would show a bare number",
        fix="write a unit of UCUM: s, ms, By, 1, or a word in braces",
    )
    labels: dict[Annotated[str, Field(pattern=LABEL)], Taken] = field(
        {},
        "Labels of the metric, each with the field that holds it, or a field and a pattern.",
        breaks="Logging refuses the metric",
        fix="write label: field, for example code: code; at most 10, none with a value that never repeats",
    )
    buckets: Buckets | None = field(None, "Of a distribution: how values are sorted; Logging chooses if left out.")

    @property
    def type(self) -> str:
        """The metric's type in Monitoring."""
        return PREFIX + self.name

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        measured = self.kind == "distribution"
        if measured != (self.value is not None):
            raise Refused(
                "a distribution needs a value" if measured else "a counter has no value",
                key="value" if not measured else "",
                breaks="Logging refuses the metric",
                fix="write value: and the field that holds it"
                if measured
                else "delete the line, or write kind: distribution",
            )
        if self.buckets is not None and not measured:
            raise Refused(
                "a counter has no buckets",
                key="buckets",
                breaks="Logging refuses the metric",
                fix="delete the lines, or write kind: distribution and value:",
            )
        if len(self.labels) > MOST_LABELS:
            raise Refused(
                f"{len(self.labels)} labels are too many",
                key="labels",
                breaks=f"Logging refuses the metric: it has at most {MOST_LABELS}",
                fix="keep those that an alert or a chart asks for",
            )
        return self
