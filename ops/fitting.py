"""Lines and tables within the width of a terminal: broken between words, never within one, so that an id can be copied.

Owns where a line breaks and what becomes of a table that is too wide. A command to be copied stays on one line. Leaves
to its caller whether there is a width: what is piped is not broken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

#: What is not broken: a command from its `./sluice` to the end of what a person would copy, or a word.
_UNITS = re.compile(r"\./sluice\b(?:(?!  |[`;|]| \().)*|\S+")
#: Columns are this far apart; what goes on below its line stands this much deeper.
GAP, DEEPER = 2, 2
#: The cells that stand below their row.
BELOW = 4
#: A column of sentences is not made narrower than this.
NARROWEST = 16


def breaks(text: str, width: int) -> list[int]:
    """Where a line is cut so that each part fits, those after the first below the first's text; [] where it fits."""
    hang = indent(text) + DEEPER
    found: list[int] = []
    start, room = 0, width
    for unit in _UNITS.finditer(text):
        if cell_len(text[start : unit.end()]) > room and text[start : unit.start()].strip():
            start, room = unit.start(), max(1, width - hang)
            found.append(start)
    return found


def indent(text: str) -> int:
    """The spaces before a line's text."""
    return len(text) - len(text.lstrip(" "))


def wrapped(text: str, width: int) -> list[str]:
    """A line as the lines that fit."""
    cuts = breaks(text, width)
    hang = " " * (indent(text) + DEEPER)
    parts = [text[a:b].rstrip() for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return [part if not number else hang + part for number, part in enumerate(parts)]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> tuple[list[str], list[str]]:
    """The lines of a table, those of its headings apart.

    Of one that is too wide, cells of several words go over several lines; where there is still no room, the widest
    columns but the first stand below their row.
    """
    all_rows = [list(columns), *map(list, rows)]
    widths = [max(map(cell_len, column)) for column in zip(*all_rows, strict=True)]
    if width is None or _total(widths) <= width:
        lines = [_row(row, widths) for row in all_rows]
        return lines[0], [line for row in lines[1:] for line in row]
    least = [
        min(own, max(_longest(column), NARROWEST))
        for own, column in zip(widths, zip(*all_rows, strict=True), strict=True)
    ]
    beside = list(range(len(columns)))
    while len(beside) > 1 and _total([least[index] for index in beside]) > width:
        beside.remove(max(beside[1:], key=lambda index: least[index]))
    widths = _narrowed([widths[index] for index in beside], [least[index] for index in beside], width)
    lines = [
        [
            *_row([row[index] for index in beside], widths),
            *_below([cell for index, cell in enumerate(row) if index not in beside], width),
        ]
        for row in all_rows
    ]
    return lines[0], [line for row in lines[1:] for line in row]


def _below(cells: Sequence[str], width: int) -> list[str]:
    return [line for cell in cells if cell for line in wrapped(" " * BELOW + cell, width)]


def _longest(column: Sequence[str]) -> int:
    return max((cell_len(word) for cell in column for word in cell.split()), default=0)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _narrowed(widths: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """The widest give way first, down to their longest word."""
    found = list(widths)
    while _total(found) > width:
        spare = [own - low for own, low in zip(found, least, strict=True)]
        if not any(one > 0 for one in spare):
            break
        widest = max((index for index, one in enumerate(spare) if one > 0), key=lambda index: found[index])
        found[widest] -= 1
    return found


def _row(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = [_lines(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max(map(len, cells))
    full = [[*cell, *[""] * (height - len(cell))] for cell in cells]
    return [
        (" " * GAP).join(_padded(part, width) for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in zip(*full, strict=True)
    ]


def _lines(cell: str, width: int) -> list[str]:
    if cell_len(cell) <= width:
        return [cell]
    found, line = [], ""
    for word in cell.split():
        if line and cell_len(f"{line} {word}") > width:
            found.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*found, line]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
