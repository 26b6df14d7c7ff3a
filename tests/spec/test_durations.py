"""Durations: what people write, what Google's JSON wants, and nothing in between."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec import Duration, Refused
from spec.durations import LONGEST, PATTERN


@pytest.mark.parametrize(
    ("text", "milliseconds", "google"),
    [
        ("5s", 5000, "5s"),
        ("10m", 600_000, "600s"),
        ("24h", 86_400_000, "86400s"),
        ("31d", 31 * 86_400_000, "2678400s"),
        ("1h30m", 5_400_000, "5400s"),
        ("100ms", 100, "0.100s"),
        ("0.1s", 100, "0.100s"),
        ("1.25s", 1250, "1.250s"),
        ("0s", 0, "0s"),
    ],
)
def test_a_duration_is_read_exactly(text: str, milliseconds: int, google: str) -> None:
    duration = Duration.parse(text)

    assert (duration.milliseconds, duration.google) == (milliseconds, google)
    assert duration.seconds == milliseconds / 1000


@pytest.mark.parametrize(
    "text",
    ["", " ", "5", "s", "-5s", "+5s", "5 s", "5S", "5s ", "5s5s", "5s1m", "1.5m", "1e3s", "\u0665s", "0x5s", "5sec",
     ".5s", "1.2345s", "inf", "nans", "9" * 100 + "s", "5s\n"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        Duration.parse(text)


@given(st.integers(min_value=0, max_value=LONGEST))
def test_what_is_printed_reads_back_as_the_same(milliseconds: int) -> None:
    duration = Duration(milliseconds)

    assert Duration.parse(str(duration)) == duration


@given(st.integers(min_value=0, max_value=LONGEST))
def test_seconds_and_back_lose_nothing(milliseconds: int) -> None:
    assert Duration.of(seconds=milliseconds / 1000) == Duration(milliseconds)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused_and_editors_agree(text: str) -> None:
    try:
        Duration.parse(text)
    except Refused:
        return
    assert re.search(PATTERN, text)


@given(st.integers(min_value=0, max_value=LONGEST), st.integers(min_value=0, max_value=LONGEST))
def test_durations_are_ordered_as_times_are(first: int, second: int) -> None:
    assert (Duration(first) < Duration(second)) is (first < second)


def test_short_times_are_said_in_seconds_and_long_ones_in_larger_units() -> None:
    said = ["100ms", "1.5s", "60s", "90s", "10m", "1h", "24h", "31d"]

    assert [str(Duration.parse(text)) for text in said] == said
