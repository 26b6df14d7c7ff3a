"""Lines and tables within a terminal's width: broken between words, whole where they are piped."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from rich.cells import cell_len

from ops import fitting
from ops.output import Output

ROWS = [
    ["CHANGENOW_API_KEY", "replace", "gcbatchprocessor gchostpay gchostpay2 gcmicrobatchprocessor"],
    ["TELEGRAM_BOT_TOKEN", "replace", "gcwebhook"],
]
URL = "http://127.0.0.1:21607/run/gcmicrobatchprocessor-123456789012.us-central1"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Output]:
    """The output to a terminal of 60 columns."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "60"}.items():
        monkeypatch.setenv(name, value)
    return lambda: Output(as_json=False)


def words(lines: list[str]) -> list[str]:
    return " ".join(lines).split()


def test_a_long_line_breaks_between_its_words_and_goes_on_below_its_text(
    terminal: Callable[[], Output], capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"  in flight: 3 in mined, 12 in sent; {URL} is asked again in a minute or so"
    terminal().plain(text)
    lines = capsys.readouterr().out.splitlines()
    assert words(lines) == text.split()
    assert all(len(line) <= 60 or line.split() == [URL] for line in lines)
    assert [len(line) - len(line.lstrip()) for line in lines] == [2, 4, 4]


def test_a_command_to_be_copied_stays_on_one_line() -> None:
    command = "./sluice queues resume hostpay-execution-queue --stack prod --confirm prod"
    assert fitting.wrapped(f"fix: once it answers again, type {command}", 60) == [
        "fix: once it answers again, type",
        f"  {command}",
    ]


@pytest.mark.parametrize("width", [200, 60, 45, 24])
def test_a_table_fits_or_puts_its_widest_column_below_and_loses_no_word(width: int) -> None:
    heading, lines = fitting.table(["secret", "kind", "read by"], ROWS, width)
    assert sorted(words([*heading, *lines])) == sorted(
        [*words([" ".join(row) for row in ROWS]), "secret", "kind", "read", "by"]
    )
    assert all(cell_len(line) <= width or len(line.split()) == 1 for line in [*heading, *lines])


def test_what_is_piped_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)
    out.plain("word " * 100)
    out.table(["service", "URL"], [["gcmicrobatchprocessor" * 3, URL * 3]])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_marks_of_others_are_shown_and_not_obeyed(
    terminal: Callable[[], Output], capsys: pytest.CaptureFixture[str]
) -> None:
    out = terminal()
    out.refusal("[bold]x[/nope]", "because [red]")
    out.plain("[/nope]", more="[x]")
    shown = re.sub(r"\x1b\[[0-9]*m", "", capsys.readouterr().out)
    assert shown.splitlines() == ["\u2717 [bold]x[/nope]  because [red]", "[/nope]  [x]"]


def test_progress_never_goes_on_below(terminal: Callable[[], Output], capsys: pytest.CaptureFixture[str]) -> None:
    terminal().progress("x" * 500)
    assert capsys.readouterr().out.count("x") == 59
