"""The model of dashboards/slos/<slo>.yaml: one service level objective, a share of good ones among all.

Owns what Monitoring refuses of an objective. Alerts on its burn rate are files of dashboards/alerts/ with `slo:`.
Leaves alone objectives judged by windows: what a customer feels is a payment, not a minute.

Source: google/monitoring/v3/service.proto (RequestBasedSli, TimeSeriesRatio, DistributionCut).
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from spec.durations import Duration
from spec.errors import Refused
from spec.model import Named, Quantity, Whole, field
from spec.selection import Series

#: The service that objectives belong to, unless a file names another.
DEFAULT_SERVICE = "payments"

#: A rolling window has whole days, at most so many.
DAY = Duration.parse("24h")
LONGEST_WINDOW = Duration.parse("30d")

#: Calendar windows as Monitoring calls them.
CALENDAR = {"day": "DAY", "week": "WEEK", "fortnight": "FORTNIGHT", "month": "MONTH"}

#: What is promised always is no objective; Monitoring takes at most 99.9 per cent.
HIGHEST_GOAL = 99.9


class Quick(Series):
    """Those of a distribution that are quick enough."""

    below: Whole | Quantity = field(
        ..., "The value below which one is good.", breaks="Monitoring refuses the objective", fix="write a number"
    )


class Slo(Named):
    """One objective."""

    source: str = field(
        ...,
        "The document or decision that asks for it.",
        min_length=1,
        breaks="nobody would know whether it can go",
        fix="write for example: 001 section 12, or ours",
    )
    what: str = field(
        ...,
        "What is promised, in a sentence.",
        min_length=1,
        max_length=200,
        breaks="nobody could tell what the number means",
        fix="write one sentence of at most 200 characters",
    )
    goal: Whole | Quantity = field(
        ...,
        "How many of a hundred are good.",
        gt=0,
        le=HIGHEST_GOAL,
        breaks="Monitoring refuses the objective: a goal is above 0 and at most 99.9 per cent",
        fix="write per cent: 99, or 99.5",
    )
    window: Duration | None = field(
        None,
        "The rolling window, whole days from 1d to 30d.",
        breaks="Monitoring refuses the objective",
        fix="write whole days: 28d",
    )
    calendar: Literal["day", "week", "fortnight", "month"] | None = field(
        None,
        "Instead of a rolling window: one that begins with the calendar's.",
        breaks="Monitoring refuses the objective",
        fix="write day, week, fortnight or month",
    )
    service: str = field(
        DEFAULT_SERVICE,
        "The custom service that it belongs to; all objectives of one name share it.",
        pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
        breaks="Monitoring refuses the service",
        fix="write a name in lower case with hyphens",
    )
    good: Series | None = field(None, "Those that are good.")
    bad: Series | None = field(None, "Those that are not.")
    total: Series | None = field(None, "All of them. Two of good, bad and total are given.")
    quick: Quick | None = field(None, "Instead of a share: those of a distribution below a value are good.")

    def path(self, project: str) -> str:
        """Return its full name."""
        return f"projects/{project}/services/{self.service}/serviceLevelObjectives/{self.name}"

    @property
    def series(self) -> dict[str, Series]:
        """Its series by the key under which each stands."""
        given = {key: getattr(self, key) for key in ("good", "bad", "total", "quick")}
        return {key: series for key, series in given.items() if series is not None}

    @property
    def share(self) -> float:
        """The goal as a share of one."""
        return round(self.goal / 100, 6)

    @property
    def days(self) -> int | None:
        """The rolling window in days."""
        return self.window.milliseconds // DAY.milliseconds if self.window is not None else None

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        if (self.window is None) == (self.calendar is None):
            raise Refused(
                "an objective has one window",
                breaks="Monitoring refuses the objective",
                fix="write one of window: 28d and calendar: month",
            )
        if self.window is not None and (self.window.milliseconds % DAY.milliseconds or self.window > LONGEST_WINDOW):
            raise Refused(
                f"{self.window} is not whole days up to {LONGEST_WINDOW}",
                key="window",
                breaks="Monitoring refuses the objective",
                fix="write whole days: 28d",
            )
        return self

    @model_validator(mode="after")
    def _one_share(self) -> Self:
        given = [key for key in ("good", "bad", "total") if getattr(self, key) is not None]
        if self.quick is not None and given:
            raise Refused(
                f"quick and {given[0]} are two ways to say what is good",
                key="quick",
                breaks="Monitoring refuses the objective",
                fix="delete one of the two",
            )
        if self.quick is None and len(given) != 2:
            raise Refused(
                f"{' and '.join(given) or 'nothing'} is given",
                breaks="Monitoring refuses the objective: it has two of good, bad and total",
                fix="write two of good:, bad: and total:, or quick:",
            )
        return self
