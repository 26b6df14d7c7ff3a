"""What the YAML parser says, as findings that a person can act on.

Owns the wording for text that is no YAML, and the choice of its place: an open bracket or quote is shown where it was
opened, not where the parser gave up.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from spec.errors import Finding, Where

_BREAKS = "what the file declares could not be read with certainty, and it would be missing from the deployment"

#: Fixes by what the parser says; the first that fits is taken.
FIXES = (
    ("bracket opened here", "close it, or put a comma between its items"),
    ("quote opened here", "close it at the end of the text"),
    ("expected ',' or", "close the bracket, or put a comma between its items"),
    ("second document", "keep one document a file: delete the line with ---"),
    ("could not find expected ':'", "look at the line above too: write `key: value` with a space after the colon"),
    ("mapping values", "put text with a colon in quotes, or start a new line for the second key"),
    ("cannot start any token", "put text that begins with a special character in quotes"),
    ("expected key", "give this line the indentation of the keys above it"),
    ("special characters", "delete the invisible character at this place"),
    ("control characters", "delete the invisible character at this place"),
)

_OTHER_FIX = "look at this line and the one above: indentation, colons, quotes and brackets"
_NO_TABS = "indent with spaces: YAML allows no tabs there"


def unreadable(place: Where, what: str, fix: str, breaks: str = "", *, key: str = "") -> Finding:
    """Return the finding that a file, or a part of it, cannot be read."""
    return Finding(where=place, key=key, what=what, breaks=breaks or _BREAKS, fix=fix, rule="SL101")


def not_yaml(error: yaml.YAMLError, text: str, file: Path) -> Finding:
    """Return the finding for what the parser refuses."""
    place, problem = _marked(error, file) if isinstance(error, yaml.MarkedYAMLError) else _unmarked(error, text, file)
    return unreadable(place, f"this is not YAML: {problem}", _fix(problem, text, place))


def _marked(error: yaml.MarkedYAMLError, file: Path) -> tuple[Where, str]:
    noticed, begun = _where(error.problem_mark, file), _where(error.context_mark, file)
    problem, context = error.problem or "", error.context or ""
    if "another document" in problem:
        return noticed, "a second document starts here"
    if "quoted scalar" in context and "end of stream" in problem:
        return begun, "the quote opened here is never closed"
    if "flow" in context and begun.line < noticed.line:
        return begun, f"the bracket opened here is not closed: in line {noticed.line}, {problem}"
    return noticed, " ".join(part for part in (problem, context) if part)


def _unmarked(error: yaml.YAMLError, text: str, file: Path) -> tuple[Where, str]:
    position = min(getattr(error, "position", 0), len(text))
    line_start = text.rfind("\n", 0, position) + 1
    place = Where(file, text.count("\n", 0, position) + 1, position - line_start + 1)
    return place, str(getattr(error, "reason", error))


def _where(mark: yaml.Mark | None, file: Path) -> Where:
    return Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)


def _fix(problem: str, text: str, place: Where) -> str:
    lines = text.split("\n")
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "\t" in line[: place.column]:
        return _NO_TABS
    return next((fix for words, fix in FIXES if words in problem), _OTHER_FIX)
