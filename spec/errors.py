"""What can be wrong with the specs, and how it is said.

Owns the exceptions of this room and the one shape of a finding: where it is, what is wrong, what it would break and how
to fix it. Every check hands over findings; nobody else prints them differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

#: A key is shown up to this length; a longer one is a slip whose beginning is enough.
LONGEST_KEY = 60

#: The rule that a value breaks that is not of the kind or the form that its key takes.
OF_ITS_KIND = "SL104"


class SpecError(Exception):
    """The specs cannot be used."""


class SpecErrors(SpecError):
    """The specs are refused; nothing was deployed."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=lambda found: found.where))
        super().__init__(render(self.findings))


class UnknownName(SpecError, LookupError):
    """There is nothing of that name in the specs."""


class Refused(ValueError):
    """A value is refused by a model; says what it would break and how to fix it.

    `key` names the key below the refused mapping that is to blame, where a rule looks at more than one. `rule` is the
    number of what is broken, where it is another than the field's.
    """

    def __init__(self, what: str, *, breaks: str, fix: str, key: str = "", rule: str = "") -> None:
        self.what, self.breaks, self.fix, self.key, self.rule = what, breaks, fix, key, rule
        super().__init__(what)


class Severity(StrEnum):
    """Whether a finding stops a deployment."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A place in a file, counted from 1 as editors count."""

    file: Path
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong in one place."""

    where: Where
    key: str
    what: str
    breaks: str
    fix: str
    severity: Severity = Severity.ERROR
    #: The number of the rule that was broken; `sluice lint --explain` prints its page.
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.severity}: {self.said}\n    why: {self.breaks}\n    fix: {self.fix}"

    @property
    def said(self) -> str:
        """The key, what is wrong there, and the rule's number."""
        subject = f"{self.key}: " if self.key else ""
        return f"{subject}{self.what}" + (f" [{self.rule}]" if self.rule else "")

    def as_json(self) -> dict[str, str | int]:
        """Return the finding as `sluice lint --json` prints it."""
        return {
            "file": str(self.where.file),
            "line": self.where.line,
            "column": self.where.column,
            "rule": self.rule,
            "severity": str(self.severity),
            "key": self.key,
            "what": self.what,
            "breaks": self.breaks,
            "fix": self.fix,
        }


def render(findings: Iterable[Finding]) -> str:
    """Return findings as a terminal shows them, one after the other with a count at the end."""
    found = list(findings)
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    warnings = len(found) - errors
    counts = [_plural(errors, "error")] if errors else []
    counts += [_plural(warnings, "warning")] if warnings else []
    return "\n".join([*(str(finding) for finding in found), ", ".join(counts) or "no findings"])


def nearest(word: str, valid: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the valid name that looks most like the given one, if any does."""
    names = sorted(valid)
    by_lower = {name.lower(): name for name in names}
    matches = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def choose(word: str, valid: Iterable[str], *, noun: str) -> str:
    """Return the sentence that helps to correct a name: the nearest valid one, or the list of all."""
    names = sorted(valid)
    if near := nearest(word, names):
        return f"did you mean {near}?"
    if not names:
        return f"no {noun} exists yet."
    return f"use one of: {', '.join(names)}."


def spell(path: Iterable[str | int]) -> str:
    """Return the path of a key as people write it: `retry.min_backoff`, `from[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{_printable(step)}" if text else _printable(step)
    return text


def _printable(key: str) -> str:
    short = key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}…"
    return short if short.isprintable() else repr(short)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
