"""When a schedule fires: unix-cron expressions, and App Engine's `every N minutes|hours`, on a wall clock.

One pure law: a minute fires when its wall-clock reading in the schedule's time zone matches. So a reading that a change
to summer time skips does not fire, and one that the change back repeats fires twice.
Source: https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_EVERY = re.compile(r"every\s+(\d+)\s+(min|mins|minutes|hours|hour|minute)", re.IGNORECASE)
#: A schedule without a firing in this many days has none (29 February needs eight years at most).
_HORIZON_DAYS = 366 * 8


class ScheduleError(ValueError):
    """The schedule or its time zone cannot be read; the text says which part."""


@dataclass(frozen=True)
class Schedule:
    """A parsed schedule: the readings of the wall clock on which it fires, or a fixed period in seconds."""

    zone: ZoneInfo
    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    #: Cron's odd rule: with both day fields restricted, either of them is enough.
    either_day: bool = False
    period: int = 0

    def next_after(self, moment: float) -> float | None:
        """First firing strictly after an epoch second; None when there is none."""
        if self.period:
            return (moment // self.period + 1) * self.period
        at = (moment // 60 + 1) * 60
        last = at + _HORIZON_DAYS * 86400
        while at <= last:
            wall = datetime.fromtimestamp(at, self.zone)
            if not self._day(wall):
                midnight = datetime(wall.year, wall.month, wall.day) + timedelta(days=1)
                at = max(at + 60, midnight.replace(tzinfo=self.zone).timestamp())
            elif wall.hour not in self.hours:
                at += (60 - wall.minute) * 60
            elif wall.minute not in self.minutes:
                at += 60
            else:
                return at
        return None

    def _day(self, wall: datetime) -> bool:
        if wall.month not in self.months:
            return False
        by_date, by_weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return by_date or by_weekday if self.either_day else by_date and by_weekday


def parse(text: str, zone: str = "Etc/UTC") -> Schedule:
    """Read a schedule; raises ScheduleError."""
    try:
        where = ZoneInfo(zone or "Etc/UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleError(f"time zone {zone!r} is not one of the tz database") from None
    if every := _EVERY.fullmatch(text.strip()):
        period = int(every[1]) * (60 if every[2].lower().startswith("min") else 3600)
        if not period:
            raise ScheduleError("a period of zero")
        return Schedule(where, period=period)
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ScheduleError(f"{len(parts)} fields instead of five (minute hour day-of-month month day-of-week)")
    minutes, hours, days, months, weekdays = (_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True))
    weekdays = frozenset(day % 7 for day in weekdays)
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    made = Schedule(where, minutes, hours, days, months, weekdays, either)
    if made.next_after(0) is None:
        raise ScheduleError("no day of the calendar matches it")
    return made


def _field(text: str, what: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for item in text.lower().split(","):
        body, _, step = item.partition("/")
        try:
            by = int(step) if step else 1
            if body == "*":
                first, last = low, 6 if names is _DAYS else high
            else:
                start, _, end = body.partition("-")
                first = _number(start, names)
                last = _number(end, names) if end else (high if step else first)
        except ValueError:
            raise ScheduleError(f"{item!r} in the {what} field cannot be read") from None
        if not low <= first <= last <= high or by < 1:
            raise ScheduleError(f"{item!r} in the {what} field lies outside {low}-{high}")
        found.update(range(first, last + 1, by))
    return frozenset(found)


def _number(text: str, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + (1 if names is _MONTHS else 0)
    return int(text)
