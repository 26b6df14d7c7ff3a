"""One condition of an alert: a number too high or too low, now or soon, or missing; a log line; a budget burning.

Owns what Monitoring refuses of a condition: comparisons, durations, ratios. Leaves to the checks what needs other
files: metrics and their labels, objectives.

Source: google/monitoring/v3/alert.proto; https://cloud.google.com/stackdriver/docs/solutions/slo-monitoring.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from spec.durations import Duration
from spec.errors import Refused
from spec.log_lines import LABEL, LogLines, Taken
from spec.model import Model, Quantity, Whole, field
from spec.selection import MINUTE, Across, Align, Selection, Wanted, in_minutes

#: A condition has to hold for at most so long; an absence is noticed after three minutes at the earliest.
LONGEST_FOR = Duration.parse("23h30m")
SHORTEST_ABSENCE = Duration.parse("3m")

#: How far a forecast reaches.
SHORTEST_FORECAST = Duration.parse("1h")
LONGEST_FORECAST = Duration.parse("60h")

#: The stretch that a burn rate looks back over.
LOOK_BACK = (Duration.parse("5m"), Duration.parse("24h"))

#: How many labels an alert on log lines takes out of them.
MOST_LABELS = 10

NOTHING = Duration(0)
_ONCE = "Monitoring refuses the policy"


class Trigger(Model):
    """How many series must violate before an incident opens."""

    count: Whole | None = field(None, "So many.", ge=1, breaks=_ONCE, fix="write a whole number from 1")
    percent: Whole | Quantity | None = field(
        None, "So many of a hundred.", gt=0, le=100, breaks=_ONCE, fix="write a number up to 100"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.count is None) == (self.percent is None):
            raise Refused("a trigger is a count or a percentage", breaks=_ONCE, fix="write one of count and percent")
        return self


class Denominator(Model):
    """What a ratio is taken of; what is left out is that of the condition itself."""

    metric: str | None = field(None, "Another metric.")
    resource: str | None = field(None, "Another type of monitored resource.")
    where: dict[str, Wanted] = field({}, "Labels of metric or resource; none of the condition's own hold here.")
    align: Align | None = field(None, "How the points of one series become one; every: is that of the condition.")
    across: Across | None = field(None, "How several series become one.")


class Condition(Model):
    """One thing that is wrong: a number too high or too low, now or soon, or missing; a log line; a budget burning."""

    metric: str | None = field(
        None, "A metric of Google's by its type, or one of ours by its stem in dashboards/metrics/.", min_length=1
    )
    slo: str | None = field(None, "An objective, by its stem in dashboards/slos/: the condition is on its burn rate.")
    log: LogLines | None = field(None, "Log lines: each one that is written is an incident. Such a condition is alone.")
    resource: str | None = field(None, "The type of monitored resource, where the metric has several.")
    where: dict[str, Wanted] = field({}, "Labels of metric or resource; see the schema for more than a plain value.")
    align: Align | None = field(None, "How the points of one series become one for each stretch.")
    across: Across | None = field(None, "How several series become one.")
    of: Denominator | None = field(None, "What a ratio is taken of: above: 0.05 then means more than 5 per cent.")
    over: Duration | None = field(None, "Of an objective: the stretch that the burn rate is taken over.")
    above: Whole | Quantity | None = field(
        None, "The number that is too high if exceeded.", breaks=_ONCE, fix="write a number"
    )
    below: Whole | Quantity | None = field(
        None, "The number below which it is too low.", breaks=_ONCE, fix="write a number"
    )
    held: Duration = field(NOTHING, "How long it has to be so, in whole minutes; 0s: one point is enough.", alias="for")
    absent_for: Duration | None = field(None, "Instead of a number: nothing has been reported for so long.")
    forecast: Duration | None = field(None, "The number will be reached within so long, 1h to 60h.")
    missing: Literal["keeps", "fires", "closes"] = field(
        "keeps",
        "What a stretch without data does to an incident: keeps it as it is, fires, or closes it.",
        breaks=_ONCE,
        fix="write keeps, fires or closes",
    )
    trigger: Trigger | None = field(None, "How many series must violate; one if left out.")
    labels: dict[Annotated[str, Field(pattern=LABEL)], Taken] = field(
        {},
        "Of log lines: what is taken out of a line, an incident for each combination; ${log.extracted_label.NAME}.",
        breaks=_ONCE,
        fix="write label: field",
    )
    what: str | None = field(None, "The condition in words; made from its keys where it is left out.", min_length=1)

    @property
    def title(self) -> str:
        """The condition in words."""
        if self.what is not None:
            return self.what
        if self.log is not None:
            return f"A line of {', '.join(self.log.event or ('the log',))} is written"
        if self.absent_for is not None:
            return f"{self.metric} absent for {self.absent_for}"
        limit = f"above {self.above}" if self.above is not None else f"below {self.below}"
        subject = f"burn rate of {self.slo} over {self.over}" if self.slo is not None else str(self.metric)
        if self.of is not None:
            subject += " as a ratio"
        held = f" for {self.held}" if self.held != NOTHING else ""
        return f"{subject} {limit}{held}" + (f" within {self.forecast}" if self.forecast is not None else "")

    @property
    def selection(self) -> Selection:
        """The series of a condition on a metric."""
        assert self.metric is not None
        return Selection.model_construct(
            metric=self.metric, resource=self.resource, where=self.where, align=self.align, across=self.across
        )

    @property
    def denominator(self) -> Selection | None:
        """The series of a ratio's denominator."""
        if self.of is None or self.metric is None:
            return None
        return Selection.model_construct(
            metric=self.of.metric or self.metric,
            resource=self.of.resource or (None if self.of.metric else self.resource),
            where=self.of.where,
            align=self.of.align or self.align,
            across=self.of.across or self.across,
        )

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if sum(subject is not None for subject in (self.metric, self.slo, self.log)) != 1:
            raise Refused(
                "a condition is about one thing",
                breaks="nobody would know what it watches",
                fix="write one of metric:, slo: and log:",
            )
        subject = "metric" if self.metric is not None else "slo" if self.slo is not None else "log"
        for key in sorted(self.model_fields_set - _KEYS[subject] - {"what"}):
            raise Refused(
                f"a condition on a {_CALLED[subject]} has no {_SPELT.get(key, key)}",
                key=_SPELT.get(key, key),
                breaks="it would be ignored",
                fix="delete the line",
            )
        return self

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        tests = [key for key in ("above", "below", "absent_for") if getattr(self, key) is not None]
        if self.log is None and len(tests) != 1:
            raise Refused(
                f"{' and '.join(tests)} stand together" if tests else "nothing is compared",
                breaks="Monitoring compares with one number, greater or less",
                fix="write one of above: and below:" + ("" if self.slo else ", or absent_for: and a time"),
            )
        if self.absent_for is not None:
            for key in ("of", "forecast", "held", "missing"):
                if key in self.model_fields_set:
                    raise Refused(
                        f"an absence has no {_SPELT.get(key, key)}",
                        key=_SPELT.get(key, key),
                        breaks="it would be ignored",
                        fix="delete the line",
                    )
        if self.forecast is not None and self.of is not None:
            raise Refused(
                "a ratio cannot be forecast", key="forecast", breaks=_ONCE, fix="delete forecast:, or forecast a metric"
            )
        if self.slo is not None and self.over is None:
            raise Refused(
                "the stretch is missing",
                breaks="a burn rate is taken over a stretch",
                fix="write over: 1h, or 5m to 24h",
            )
        if self.missing != "keeps" and self.held == NOTHING:
            raise Refused(
                "missing: has no meaning where for: is 0s",
                key="missing",
                breaks="Monitoring refuses the policy: evaluation_missing_data needs a duration",
                fix="write for: 5m, or delete the line",
            )
        return self

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        breaks = "Monitoring refuses the policy: durations are whole minutes within its limits"
        for key, span, least, most in (
            ("for", self.held, NOTHING, LONGEST_FOR),
            ("absent_for", self.absent_for, SHORTEST_ABSENCE, LONGEST_FOR),
            ("forecast", self.forecast, SHORTEST_FORECAST, LONGEST_FORECAST),
            ("over", self.over, *LOOK_BACK),
        ):
            if span is not None:
                in_minutes(key, span, least, most, breaks)
        if self.of is not None and self.of.align is not None and self.of.align.every != self.align_every:
            raise Refused(
                f"the numerator is taken every {self.align_every}, the denominator every {self.of.align.every}",
                key="of",
                breaks="Monitoring refuses the policy: both have one alignment period",
                fix=f"write every: {self.align_every} in both, or leave align: out below of:",
            )
        if len(self.labels) > MOST_LABELS:
            raise Refused(
                f"{len(self.labels)} labels are too many",
                key="labels",
                breaks=f"Monitoring refuses the policy: there are at most {MOST_LABELS}",
                fix="keep those that tell incidents apart",
            )
        return self

    @property
    def align_every(self) -> Duration:
        """The stretch of one aligned point."""
        return self.align.every if self.align is not None else MINUTE


#: What a condition may say, by its subject.
_KEYS = {
    "metric": frozenset(
        [
            "metric",
            "resource",
            "where",
            "align",
            "across",
            "of",
            "above",
            "below",
            "held",
            "absent_for",
            "forecast",
            "missing",
            "trigger",
        ]
    ),
    "slo": frozenset(("slo", "over", "above", "below", "held")),
    "log": frozenset(("log", "labels")),
}
_CALLED = {"metric": "metric", "slo": "burn rate", "log": "log line"}
_SPELT = {"held": "for"}
