"""The model of dashboards/alerts/<alert>.yaml: one alert policy, its conditions, who is told, and what to do then.

Owns what Monitoring refuses of a policy: numbers of conditions, limits of notifications. Leaves one condition to
`condition`, and to the checks what needs other files: headings of the runbook, channels.

Source: google/monitoring/v3/alert.proto, https://cloud.google.com/monitoring/quotas; DECISIONS 18.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from spec.condition import Condition
from spec.durations import Duration
from spec.errors import Refused
from spec.model import Named, field
from spec.selection import in_minutes

#: What severities there are, the gravest first.
SEVERITIES = ("critical", "error", "warning", "info")
Severity = Literal["critical", "error", "warning", "info"]

#: A policy has at most so many conditions.
MOST_CONDITIONS = 6

#: When an incident closes by itself, how often a log line may notify, and how often an open incident reminds.
AUTO_CLOSE = (Duration.parse("30m"), Duration.parse("7d"))
AT_MOST_EVERY = (Duration.parse("5m"), Duration.parse("48h"))
REMIND_EVERY = (Duration.parse("30m"), Duration.parse("24h"))

#: What a notification says is bounded: the whole has to fit Monitoring's 10 KiB.
LONGEST_COMMAND = 1000
LONGEST_MEANING = 4000


class Alert(Named):
    """One alert policy."""

    severity: Severity = field(
        ...,
        "How grave it is, which decides who is told: see dashboards/channels/.",
        breaks="nobody would know whom to tell",
        fix="write critical (at once), error (within the hour), warning (when convenient) or info",
    )
    source: str = field(
        ...,
        "The document or decision that asks for it.",
        min_length=1,
        breaks="nobody would know whether it can go",
        fix="write for example: 001 section 12, or DECISIONS 18, or ours",
    )
    what: str = field(
        ...,
        "What is wrong when it fires, in a sentence.",
        min_length=1,
        max_length=200,
        breaks="whoever is woken would have to guess",
        fix="write one sentence of at most 200 characters",
    )
    runbook: str = field(
        ...,
        "The section of docs/runbook.md that says what to do: its heading's anchor.",
        min_length=1,
        breaks="whoever is woken would not know what to do",
        fix="write the heading in lower case with hyphens: a-queue-grows",
    )
    first: str = field(
        ...,
        "The first command to run; each stack fills in {stack}, {project} and {region}.",
        min_length=1,
        max_length=LONGEST_COMMAND,
        breaks="whoever is woken would lose time",
        fix="write ./sluice logs --stack {stack}; ${resource.label.queue_id} and the like are filled in by Monitoring",
    )
    means: str | None = field(
        None,
        "What it means for payments, if more than `what` says.",
        min_length=1,
        max_length=LONGEST_MEANING,
        breaks="Monitoring refuses the policy: what it says is bounded",
        fix="write at most 4000 characters; the rest belongs into the runbook",
    )
    conditions: tuple[Condition, ...] = field(
        ...,
        "What has to be so.",
        min_length=1,
        max_length=MOST_CONDITIONS,
        breaks="Monitoring refuses the policy: it has 1 to 6 conditions",
        fix="write 1 to 6 conditions; more are more files",
    )
    combine: Literal["any", "all", "all_on_one_resource"] = field(
        "any",
        "Whether one condition is enough, or all must hold, or all on the same resource.",
        breaks="Monitoring refuses the policy",
        fix="write any, all or all_on_one_resource",
    )
    at_most_every: Duration | None = field(
        None, "Of log lines, where it is required: notify of one kind once in so long, 5m to 48h."
    )
    auto_close: Duration | None = field(
        None, "An incident without data closes after so long, 30m to 7d; 7d by default."
    )
    remind_every: Duration | None = field(None, "Tell again of an open incident after so long, 30m to 24h.")

    @property
    def is_log_match(self) -> bool:
        """Whether a log line opens the incident."""
        return any(condition.log is not None for condition in self.conditions)

    @model_validator(mode="after")
    def _log_lines_are_alone(self) -> Self:
        if self.is_log_match and len(self.conditions) > 1:
            raise Refused(
                "a condition on log lines stands beside others",
                key="conditions",
                breaks="Monitoring refuses the policy: a log match is its only condition",
                fix="make a file of its own for it",
            )
        if self.is_log_match and self.at_most_every is None:
            raise Refused(
                "a condition on log lines needs at_most_every:",
                key="conditions",
                breaks="Monitoring refuses the policy: a log match limits its notifications",
                fix="write at_most_every: 5m, or up to 48h, at the left margin of the file, beside conditions:",
            )
        if self.at_most_every is not None and not self.is_log_match:
            raise Refused(
                "only a condition on log lines limits its notifications",
                key="at_most_every",
                breaks="Monitoring refuses the policy",
                fix="delete the line; remind_every: says how often an open incident is told again",
            )
        return self

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        for key, span, limits in (
            ("at_most_every", self.at_most_every, AT_MOST_EVERY),
            ("auto_close", self.auto_close, AUTO_CLOSE),
            ("remind_every", self.remind_every, REMIND_EVERY),
        ):
            if span is not None:
                in_minutes(key, span, *limits, "Monitoring refuses the policy: the time is outside its limits")
        return self
