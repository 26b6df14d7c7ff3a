"""What a terminal shows of lines that are written over."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from ops.output import Output

Say = Callable[[Output], None]


def shown(written: str) -> list[str]:
    """A terminal's lines after this, each as far as something stands in it."""
    lines, at = [""], 0
    for part in re.findall(r"\x1b\[2K|\x1b\[[0-9;]*m|.", written, re.DOTALL):
        if part == "\n":
            lines, at = [*lines, ""], 0
        elif part == "\r":
            at = 0
        elif part == "\x1b[2K":
            lines[-1] = " " * at
        elif not part.startswith("\x1b"):
            lines[-1], at = lines[-1].ljust(at)[:at] + part + lines[-1][at + 1 :], at + 1
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize(
    ("say", "shows"),
    [
        (lambda out: out.progress("3 of [12]"), ["3 of [12]"]),
        (lambda out: out.step("done"), ["\u2713 done", ""]),
        (lambda out: out.refusal("not done", "why"), ["\u2717 not done  why", ""]),
        (lambda out: out.plain("so [be] it"), ["so [be] it", ""]),
    ],
    ids=["progress", "step", "refusal", "plain"],
)
def test_of_a_longer_line_nothing_is_left_behind_the_next_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], say: Say, shows: list[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal
    monkeypatch.setenv("TERM", "xterm")
    out = Output(as_json=False)
    out.progress("a line that is quite a bit longer than what comes after it")
    say(out)
    assert shown(capsys.readouterr().out) == shows


def test_elsewhere_each_line_of_progress_is_one_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)
    for text in ("half way", "half way", "done"):
        out.progress(text)
    assert capsys.readouterr().out == "half way\ndone\n"
