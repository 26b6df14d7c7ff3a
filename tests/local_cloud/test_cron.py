"""The wall-clock law of schedules."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.engines.cron import ScheduleError, parse
from tests.fidelity import pins


def after(schedule: str, moment: str, zone: str = "Etc/UTC") -> str:
    found = parse(schedule, zone).next_after(datetime.fromisoformat(moment).timestamp())
    assert found is not None
    return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M")


@pins(
    "scheduler",
    "Jobs",
    "Unix-cron in a time zone, `every N minutes` and `every N hours`",
    documented="Cron job format",
)
@pytest.mark.parametrize(
    ("schedule", "moment", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00:00+00:00", "2026-01-01T00:01"),
        ("* * * * *", "2026-01-01T00:00:59.9+00:00", "2026-01-01T00:01"),
        ("*/5 * * * *", "2026-01-01T00:05:00+00:00", "2026-01-01T00:10"),
        ("7-59/20 3 * * *", "2026-01-01T03:08:00+00:00", "2026-01-01T03:27"),
        ("0 9 * * mon-fri", "2026-01-02T10:00:00+00:00", "2026-01-05T09:00"),
        ("0 0 * * 7", "2026-01-01T00:00:00+00:00", "2026-01-04T00:00"),
        ("0 0 13 * 5", "2026-01-01T00:00:00+00:00", "2026-01-02T00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00+00:00", "2028-02-29T00:00"),
        ("0 0 1 jan,jul *", "2026-01-01T00:00:00+00:00", "2026-07-01T00:00"),
        ("every 5 minutes", "2026-01-01T00:03:00+00:00", "2026-01-01T00:05"),
        ("every 2 hours", "2026-01-01T00:03:00+00:00", "2026-01-01T02:00"),
    ],
)
def test_schedule_fires_at(schedule: str, moment: str, expected: str) -> None:
    assert after(schedule, moment) == expected


def test_time_zone_moves_with_summer_time() -> None:
    assert after("0 9 * * *", "2026-01-01T00:00:00+00:00", "Europe/Berlin") == "2026-01-01T08:00"
    assert after("0 9 * * *", "2026-07-01T00:00:00+00:00", "Europe/Berlin") == "2026-07-01T07:00"


@pins(
    "scheduler",
    "Jobs",
    "A wall-clock time that does not exist does not fire, one that comes twice fires twice",
    ours="Cron job format",
)
def test_skipped_hour_does_not_fire_and_repeated_one_fires_twice() -> None:
    assert after("30 2 * * *", "2026-03-28T12:00:00+00:00", "Europe/Berlin") == "2026-03-30T00:30"
    first = after("30 2 * * *", "2026-10-24T12:00:00+00:00", "Europe/Berlin")
    assert first == "2026-10-25T00:30"
    assert after("30 2 * * *", first + ":00+00:00", "Europe/Berlin") == "2026-10-25T01:30"


@pytest.mark.parametrize(
    "schedule", ["", "* * * *", "60 * * * *", "* * 0 * *", "a * * * *", "*/0 * * * *", "5-1 * * * *", "0 0 30 2 *"]
)
def test_unreadable_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ScheduleError):
        parse(schedule)


def test_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ScheduleError, match="Mars"):
        parse("* * * * *", "Mars/Base")


@given(st.integers(0, 2**32), st.sampled_from(["Etc/UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]))
def test_every_minute_fires_each_minute_in_any_zone(moment: int, zone: str) -> None:
    assert parse("* * * * *", zone).next_after(moment) == moment // 60 * 60 + 60
