"""Service-level objectives as arithmetic: good and bad events minute by minute, and the series made of them.

Owns the indicators (ratios, cuts of distributions, windows), the compliance period, and what each selector of
https://cloud.google.com/stackdriver/docs/solutions/slo-monitoring/api/timeseries-selectors gives. Which series an
indicator reads and what a resource may say is slo_rules.py's. The lag holds for
its events too.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

from local_cloud.metrics.series import SECOND, STEP, Key, Point, Series, key

DAY = 24 * 3600 * SECOND
#: What a selector gives: kind, type and unit of its series.
SELECTORS = {
    "select_slo_health": ("GAUGE", "DOUBLE", "1"),
    "select_slo_compliance": ("GAUGE", "DOUBLE", "1"),
    "select_slo_burn_rate": ("GAUGE", "DOUBLE", "1"),
    "select_slo_budget": ("GAUGE", "DOUBLE", "1"),
    "select_slo_budget_fraction": ("GAUGE", "DOUBLE", "1"),
    "select_slo_budget_total": ("GAUGE", "DOUBLE", "1"),
    "select_slo_counts": ("DELTA", "DOUBLE", "1"),
}
#: The selectors that take a lookback period as well.
LOOKING_BACK = ("select_slo_burn_rate",)
_TEXT = re.compile(r"""\s*(select_slo_\w+)\s*\(\s*(["'])([^"']*)\2\s*(?:,\s*(["'])([^"']*)\4\s*)?\)\s*""")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")
_UNITS = {"ns": 1, "us": 1000, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": DAY}


class Events(NamedTuple):
    """What happened in a minute, or in a window, that ended then."""

    end: int
    good: float
    bad: float


#: The events that ended in (after, until], oldest first.
Indicator = Callable[[int, int], list[Events]]


@dataclass(frozen=True, kw_only=True)
class Slo:
    """One objective: its events, what share of them must be good, and over which time."""

    name: str
    goal: float
    #: Nanoseconds of a rolling period; 0 where `calendar` says when the period began.
    rolling: int
    calendar: str
    events: Indicator

    def since(self, at: int) -> int:
        """When the compliance period began that `at` lies in."""
        return at - self.rolling if self.rolling else _calendar(self.calendar, at)


@dataclass(frozen=True)
class Selector:
    """A selector as a filter has it."""

    text: str
    name: str
    slo: str
    lookback: int

    def series(self, slo: Slo, after: int, until: int, *, step: int, end: int, project: str) -> list[Series]:
        """The series of the objective in (after, until], a point each `step` that counts back from `end`."""
        first = min(slo.since(after + 1), after - self.lookback - step)
        sums = _Sums(slo.events(first, until))
        kind, value_type, _ = SELECTORS[self.name]
        moments = list(_moments(after, until, step, end))
        if self.name == "select_slo_counts":
            made = []
            for event, take in (("good", 0), ("bad", 1)):
                points = [Point(at - step, at, sums.between(at - step, at)[take]) for at in moments]
                made.append(Series(self._key(project, event), kind, value_type, [p for p in points if p.value]))
            return [series for series in made if series.points]
        values = ((at, self._value(slo, sums, at, step)) for at in moments)
        points = [Point(at, at, value) for at, value in values if value is not None]
        return [Series(self._key(project), kind, value_type, points)] if points else []

    def _value(self, slo: Slo, sums: "_Sums", at: int, step: int) -> float | None:
        """The value at a moment; none where nothing has happened that it could speak of."""
        if self.name == "select_slo_health":
            good, bad = sums.between(at - step, at)
            return good / (good + bad) if good + bad else None
        good, bad = sums.between(slo.since(at), at)
        if not good + bad:
            return None
        allowed = (1 - slo.goal) * (good + bad)
        if self.name == "select_slo_burn_rate":
            near_good, near_bad = sums.between(at - self.lookback, at)
            return near_bad / (near_good + near_bad) / (1 - slo.goal) if near_good + near_bad else 0.0
        if self.name == "select_slo_compliance":
            return good / (good + bad)
        if self.name == "select_slo_budget_total":
            return allowed
        return allowed - bad if self.name == "select_slo_budget" else (allowed - bad) / allowed

    def _key(self, project: str, event: str = "") -> Key:
        return key(self.text, "global", {"project_id": project}, {"event_type": event})


class _Sums:
    """Events that can be summed up between any two moments."""

    def __init__(self, events: Sequence[Events]) -> None:
        self._ends = [one.end for one in events]
        self._good = [0.0, *accumulate(one.good for one in events)]
        self._bad = [0.0, *accumulate(one.bad for one in events)]

    def between(self, after: int, until: int) -> tuple[float, float]:
        """Good and bad of what ended in (after, until]."""
        first, last = bisect_right(self._ends, after), bisect_right(self._ends, until)
        return self._good[last] - self._good[first], self._bad[last] - self._bad[first]


def read(text: str) -> Selector | None:
    """The selector that a filter is; None where it is a filter of metrics. ValueError says what is wrong with it."""
    if not text.lstrip().startswith("select_slo_"):
        return None
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(
            'a selector has the form select_slo_NAME("SLO_NAME") or select_slo_NAME("SLO_NAME", "PERIOD").'
        )
    name, slo, lookback = match[1], match[3], match[5]
    if name not in SELECTORS:
        raise ValueError(f"Unknown time-series selector '{name}': {', '.join(sorted(SELECTORS))} are known.")
    if (lookback is not None) != (name in LOOKING_BACK):
        count = "a name and a lookback period" if name in LOOKING_BACK else "a name alone"
        raise ValueError(f"{name} takes {count}.")
    span = _SPAN.fullmatch(lookback) if lookback is not None else None
    if lookback is not None and span is None:
        raise ValueError(f"'{lookback}' is no period: a number with one of the units ns, us, ms, s, m, h and d.")
    back = int(float(span[1]) * _UNITS[span[2]]) if span else 0
    if lookback is not None and not 60 * SECOND <= back <= 30 * DAY:
        raise ValueError(f"the lookback period '{lookback}' must be at least 60 seconds and at most 30 days.")
    return Selector(text.strip(), name, slo, back)


def windows(minutes: Sequence[Events], period: int, least: float) -> list[Events]:
    """Each window with events as one event, good where the share of good ones is at least `least`."""
    found: dict[int, tuple[float, float]] = {}
    for one in minutes:
        end = -(-one.end // period) * period
        good, bad = found.get(end, (0.0, 0.0))
        found[end] = good + one.good, bad + one.bad
    return [judged(end, good / (good + bad) >= least) for end, (good, bad) in sorted(found.items()) if good + bad]


def judged(end: int, good: bool) -> Events:
    """A window as one event."""
    return Events(end, float(good), float(not good))


def _moments(after: int, until: int, step: int, end: int) -> Iterator[int]:
    """The moments in (after, until] that are whole steps away from `end`, oldest first."""
    first = end - (end - after - 1) // step * step
    yield from range(first, until + 1, step)


def _calendar(period: str, at: int) -> int:
    """The last start of a day, week (Monday), fortnight or month before a moment, in UTC."""
    moment = datetime.fromtimestamp((at - 1) / SECOND, UTC)
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "WEEK":
        start -= timedelta(days=start.weekday())
    elif period == "FORTNIGHT":
        monday = start - timedelta(days=start.weekday())
        start = monday - timedelta(days=7 * (monday.isocalendar().week % 2 == 0))
    elif period == "MONTH":
        start = start.replace(day=1)
    return int(start.timestamp()) * SECOND


def at_minutes(ends: dict[int, tuple[float, float]]) -> list[Events]:
    """Good and bad by the minute in which they were counted."""
    found: dict[int, tuple[float, float]] = {}
    for end, (good, bad) in ends.items():
        minute = -(-end // STEP) * STEP
        before = found.get(minute, (0.0, 0.0))
        found[minute] = before[0] + good, before[1] + bad
    return [Events(end, good, bad) for end, (good, bad) in sorted(found.items()) if good or bad]
