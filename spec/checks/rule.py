"""What a rule is: a number, a law in one sentence, how bad it is to break it, and mostly a function that looks.

The number is for ever: it stands in silences, in SARIF and in docs/lint/<number>.md. The law is the first line of the
function's docstring. What a model or the reader of files refuses has a law without a function (``LAWS`` of a module).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from spec.checks.draft import Draft
from spec.errors import Finding, Severity

Check = Callable[[Draft], Iterator[Finding]]

#: What the first digit of a number says.
FAMILIES = {
    "1": "files and names",
    "2": "retries and tokens",
    "3": "permissions",
    "4": "alerts",
    "5": "quotas and ceilings",
    "6": "database",
    "7": "Cloud Run",
    "8": "secrets",
    "9": "stacks",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """One rule as people speak of it."""

    number: str
    title: str
    severity: Severity = Severity.ERROR
    #: Whether a file may say with a reason that it breaks the law. Not where Google or the program would refuse it.
    silenceable: bool = False

    @property
    def page(self) -> str:
        """The page that explains it, from the project's root."""
        return f"docs/lint/{self.number}.md"

    @property
    def family(self) -> str:
        """What it is about."""
        return FAMILIES[self.number[2]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked(Law):
    """A law with the function that looks whether it is kept."""

    check: Check
    #: It reads more than the specs (code, other stacks, the tree): `sluice lint` asks it, a deployment does not wait.
    lint_only: bool = False

    def __call__(self, draft: Draft) -> Iterator[Finding]:
        """Yield what breaks the law, under its number."""
        for found in self.check(draft):
            yield replace(found, rule=self.number, severity=self.severity)


def rule(
    number: str, severity: Severity = Severity.ERROR, *, silenceable: bool = False, lint_only: bool = False
) -> Callable[[Check], Checked]:
    """Make a rule of a function; a warning may always be silenced."""

    def numbered(check: Check) -> Checked:
        return Checked(
            number=number,
            title=(check.__doc__ or "").partition("\n")[0].partition("; not asked")[0].rstrip(".") + ".",
            severity=severity,
            silenceable=silenceable or severity is Severity.WARNING,
            lint_only=lint_only,
            check=check,
        )

    return numbered
