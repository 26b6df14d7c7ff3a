"""Which log lines are meant, and what is taken out of them: for log-based metrics and for alerts on a log line.

Owns the short way to say it (`event`, `service`, `severity`, `where`) and its translation into Logging's query
language. Leaves alone what the services write: `service_code/kit/logs` does (DECISIONS 20).

Source: https://cloud.google.com/logging/docs/view/logging-query-language, and LogMetric.value_extractor for extractors.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from spec import log_query
from spec.errors import Refused
from spec.model import Model, field
from spec.patterns import NoPattern, pattern

#: What writes log lines, unless a file names another resource.
DEFAULT_RESOURCE = "cloud_run_revision"

#: Fields of a log entry itself; every other field is one of the JSON line that a service wrote.
ENTRY_FIELDS = frozenset(
    [
        "httpRequest",
        "jsonPayload",
        "labels",
        "logName",
        "operation",
        "protoPayload",
        "resource",
        "severity",
        "sourceLocation",
        "spanId",
        "textPayload",
        "trace",
    ]
)

#: The resource label that says which service wrote a line, by type of resource.
WRITERS = {"cloud_run_revision": "service_name", "cloud_run_job": "job_name"}

#: A query has at most so many characters.
LONGEST_FILTER = 20_000

FIELD = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
LABEL = r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"

Severity = Literal["DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"]

#: One name, or a list of them.
Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1),
]


class Extractor(Model):
    """What is taken out of a line: a field, or a part of it."""

    name: str = field(
        ...,
        "The field of the line.",
        alias="field",
        pattern=FIELD,
        breaks="Logging could not read the field",
        fix="write a field of the JSON line, such as token_age, or of the entry, such as resource.labels.service_name",
    )
    pattern: str | None = field(
        None,
        "A regular expression with one group, which is the value; the whole field if left out.",
        breaks="Logging refuses the metric: an extractor has exactly one group",
        fix="put what is wanted into one pair of parentheses: ([0-9]+)",
    )

    @model_validator(mode="after")
    def _has_one_group(self) -> Self:
        if self.pattern is None:
            return self
        try:
            groups = pattern(self.pattern).groups
        except NoPattern as error:
            raise _refuse_pattern(f"{self.pattern!r} is no regular expression: {error}") from None
        if groups != 1:
            raise _refuse_pattern(f"{self.pattern!r} has {groups} groups")
        return self

    @property
    def google(self) -> str:
        """The extractor as Logging spells it."""
        name = entry_field(self.name)
        return f"EXTRACT({name})" if self.pattern is None else f"REGEXP_EXTRACT({name}, {json.dumps(self.pattern)})"


def _refuse_pattern(what: str) -> Refused:
    return Refused(
        what,
        key="pattern",
        breaks="Logging refuses the metric: an extractor has exactly one group",
        fix="put what is wanted into one pair of parentheses, and write (?:...) for any other",
    )


#: A field's name, or a mapping of field and pattern.
Taken = Annotated[
    Extractor,
    BeforeValidator(lambda value: {"field": value} if isinstance(value, str) else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": FIELD},
                {
                    "type": "object",
                    "properties": {"field": {"type": "string", "pattern": FIELD}, "pattern": {"type": "string"}},
                    "required": ["field"],
                    "additionalProperties": False,
                },
            ]
        },
        mode="validation",
    ),
]


def entry_field(name: str) -> str:
    """Return the full name of a field: of the entry if it is one of its own, else of the JSON line."""
    return name if name.partition(".")[0] in ENTRY_FIELDS else f"jsonPayload.{name}"


class LogLines(Model):
    """Log lines by what they say: all that is given has to hold."""

    resource: str = field(
        DEFAULT_RESOURCE,
        "The type of resource that writes the lines.",
        breaks="no line would be found",
        fix="write a type of monitored resource, such as cloud_run_revision",
    )
    event: Names | None = field(
        None,
        "The lines' event, or a list of events.",
        breaks="no line would be found",
        fix="write the word that the service logs as `what`, such as payment_dead",
    )
    service: Names | None = field(
        None,
        "The service that writes the lines, or a list; all of them where it is left out.",
        breaks="no line would be found",
        fix="name a folder of service_code/",
    )
    severity: Severity | None = field(
        None,
        "The least severity.",
        breaks="Logging knows no such severity",
        fix="write INFO, WARNING, ERROR or CRITICAL",
    )
    where: str | None = field(
        None,
        "What else has to hold, in Logging's query language.",
        min_length=1,
        max_length=LONGEST_FILTER,
        breaks="Logging refuses the query",
        fix="write a query such as: jsonPayload.token_age > 40",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.event is None and self.severity is None and self.where is None:
            raise Refused(
                "neither event nor severity nor where is given",
                breaks="every line that is ever written would be counted",
                fix="write event: and the word that the service logs as `what`",
            )
        return self

    @field_validator("where")
    @classmethod
    def _can_be_read(cls, where: str | None) -> str | None:
        if where is None:
            return None
        if (flaw := log_query.flaw(where)) is not None:
            raise Refused(
                f"the query cannot be read: {flaw}",
                breaks="Logging refuses it: 400, Unparseable filter",
                fix="close every quote and parenthesis, and put something on both sides of AND, OR and operators",
                rule="SL415",
            )
        if log_query.mixes(where):
            raise Refused(
                "AND and OR stand side by side without parentheses",
                breaks="Logging binds OR before AND, other than most who read it, and finds other lines than are meant",
                fix="put parentheses around what belongs together: (a AND b) OR c",
            )
        return where

    @property
    def filter(self) -> str:
        """The lines in Logging's query language, one condition a line."""
        parts = [f'resource.type="{self.resource}"']
        if self.service:
            parts.append(_any(f"resource.labels.{WRITERS.get(self.resource, 'service_name')}", self.service))
        if self.severity:
            parts.append(f"severity>={self.severity}")
        if self.event:
            parts.append(_any("jsonPayload.event", self.event))
        if self.where:
            parts.append(f"({self.where.strip()})")
        return "\n".join(parts)


def _any(name: str, values: tuple[str, ...]) -> str:
    quoted = [json.dumps(value, ensure_ascii=False) for value in values]
    return f"{name}={quoted[0]}" if len(quoted) == 1 else f"{name}=({' OR '.join(quoted)})"
