"""What a command prints: lines for people, plain where the output is no terminal, or one JSON value with --json."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.control import Control
from rich.markup import escape
from rich.segment import ControlType
from rich.text import Text

from ops import fitting
from ops.errors import BadUsage


def unheard() -> None:
    """Nobody reads on: what is still to be written to standard output goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class _Unheard(Console):
    """A console that ends no work where nobody reads on; rich's own ends the process."""

    def on_broken_pipe(self) -> None:
        unheard()


class Output:
    """The one place that writes to the terminal. With `as_json`, people's lines go nowhere and `result` prints.

    Where nobody reads on (`| head -1`) the work goes on, and its lines go nowhere: what a verb has begun it finishes.
    Only one that is `endless` ends then.
    """

    def __init__(self, *, as_json: bool, endless: bool = False) -> None:
        self.as_json = as_json
        self._last_progress = ""
        #: The cursor stands at the beginning of a line of progress, which the next line is written over.
        self._over = False
        console = Console if endless else _Unheard
        self._console = console(
            file=sys.stderr if as_json else sys.stdout, quiet=as_json, highlight=False, soft_wrap=True
        )

    def say(self, text: str = "") -> None:
        """A line, with rich's markup."""
        self._print(text)

    def plain(self, text: str, *, style: str = "", more: str = "") -> None:
        """A line as it is: text of others, in which a bracket is a bracket; `more` of it is dim."""
        self._print(Text.assemble((text, style), (f"  {more}" if more else "", "dim")))

    def document(self, text: str) -> None:
        """A text that is a file's: not broken for a terminal either."""
        self._console.print(Text(text), end="")

    def step(self, text: str, detail: str = "") -> None:
        """A thing that was done."""
        self._print(f"[green]\u2713[/green] {text}" + (f"  [dim]{detail}[/dim]" if detail else ""))

    def refusal(self, text: str, detail: str = "") -> None:
        """A thing that was not done."""
        self._print(f"[red]\u2717[/red] {escape(text)}" + (f"  {escape(detail)}" if detail else ""))

    def warn(self, text: str) -> None:
        """What must be known beside the result: with --json a line on standard error."""
        if self.as_json:
            sys.stderr.write(f"sluice: {text}\n")
        else:
            self.refusal(text)

    def progress(self, text: str) -> None:
        """How far a long work is: the line is written over on a terminal, and written when it changes elsewhere."""
        if text == self._last_progress:
            return
        self._last_progress = text
        if self.writes_over:  # a line that went on below could not be written over
            text = text[: self._console.width - 1]
        self._print(Text(text, "dim"), end="\r" if self.writes_over else "\n")
        self._over = self.writes_over

    @property
    def width(self) -> int | None:
        """The columns of the terminal; None where the output is none, and lines are as long as they are."""
        return self._console.width if self._console.is_terminal and not self.as_json else None

    @property
    def writes_over(self) -> bool:
        """Whether a line of progress takes the place of the one before; elsewhere all of them stay."""
        return self._console.is_terminal

    def _print(self, text: str | Text, **how: Any) -> None:
        """Where progress stands, of a longer line nothing is left behind a shorter one."""
        if self._over:
            self._console.control(Control((ControlType.ERASE_IN_LINE, 2)))
            self._over = False
        self._console.print(self._fitted(text, how), **how)

    def _fitted(self, text: str | Text, how: dict[str, Any]) -> str | Text:
        """On a terminal lines break between words; what is piped, and a line that goes on, stay as they are."""
        if self.width is None or how.get("end", "\n") != "\n":
            return text
        found = Text.from_markup(text) if isinstance(text, str) else text
        lines: list[Text] = []
        for line in found.split("\n", allow_blank=True):
            first, *rest = line.divide(fitting.breaks(line.plain, self.width))
            hang = " " * (fitting.indent(line.plain) + fitting.DEEPER)
            lines += [first, *(Text(hang).append_text(part) for part in rest)]
        for line in lines:
            line.rstrip()
        return Text("\n").join(lines)

    def table(self, columns: list[str], rows: list[list[str]], *, title: str = "") -> None:
        """Rows under headings, never cut: an id that is shown can be copied."""
        if title:
            self.say(title)
        heading, lines = fitting.table(columns, rows, self.width)
        for line in heading:
            self.plain(line, style="dim")
        for line in lines:
            self.plain(line)

    def result(self, value: Any) -> None:
        """The value of a --json run, the only thing on standard output then."""
        if self.as_json:
            json.dump(value, sys.stdout, indent=1, default=str)
            sys.stdout.write("\n")


def writable(path: Path) -> None:
    """Refuse a file that could not be written, before the work whose result it takes; leaves none behind."""
    if path.is_file() or path.is_dir():
        write(path, None)
    elif not os.path.lexists(path):  # a pipe is opened once, for the result
        write(path, None)
        path.unlink()


def write(path: Path, text: str | None) -> None:
    """Write a file that the command line names; without a text only try to."""
    try:
        with path.open("w" if text is not None else "a", encoding="utf-8") as file:
            file.write(text or "")
    except OSError as error:
        raise BadUsage(f"{path}: {error.strerror}", fix="name a file that can be written") from error


def counted(number: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def depth(queue: Mapping[str, Any]) -> str:
    """`30 waiting, 5 running`: a queue's tasks, of which those whose attempts run do not wait."""
    running = queue.get("running", 0)
    waiting = f"{max(0, queue['depth'] - running)} waiting"
    return f"{waiting}, {running} running" if running else waiting
