"""The retry timeline as the command line prints it."""

from __future__ import annotations

from spec import load, timeline
from tests.spec.conftest import Project

HOSTPAY = """\
hostpay-execution-queue: gcsplit -> gchostpay /hostpay_webhook

attempt        at      wait    token left  verdict
      1        0s        0s           60s  first try
      2        5s        5s           55s
      3       15s       10s           45s
      4       30s       15s           30s
      5       45s       15s           15s
      6       60s       15s            0s  the token has expired, given up after this

Given up when both are reached: after 3 attempts, and 60s after the first attempt.

1  tight retry         5 attempts while the token of 60s lives, the last at 45s
2  age limit           the queue gives up at 60s
3  minted at delivery  off
4  fallback            sent anew by gcsplit's schedule fallback, until 24h have passed
5  breaker             off"""


def test_the_timeline_of_hostpay_shows_times_token_and_verdict(project: Project) -> None:
    assert timeline.render(load(project.root).queue("hostpay-execution-queue")) == HOSTPAY


def test_a_timeline_of_a_day_is_cut_to_the_rows_asked_for(project: Project) -> None:
    lines = timeline.render(load(project.root).queue("hostpay-confirm-queue"), limit=3).split("\n")

    assert [line.split()[:2] for line in lines[3:7]] == [["1", "0s"], ["2", "1s"], ["3", "3s"], ["..."]]
    assert lines[-1] == "Given up 24h after the first attempt; the number of attempts is no limit."


def test_rows_are_json_for_programs(project: Project) -> None:
    rows = [row.as_json() for row in timeline.rows(load(project.root).queue("hostpay-execution-queue"))]

    assert rows[0] == {"attempt": 1, "at": 0.0, "wait": 0.0, "token_left": 60.0, "verdict": "first try"}
    assert [row["at"] for row in rows] == [0, 5, 15, 30, 45, 60]
