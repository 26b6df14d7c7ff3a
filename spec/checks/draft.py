"""What a rule sees: the models that could be built, and where everything stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from spec.errors import Finding, Severity, Where
from spec.graph import System
from spec.source import Source
from spec.stack import StackConfig


@dataclass(slots=True)
class Draft:
    """A system whose cross-file rules have not been checked yet."""

    system: System
    stacks: dict[str, StackConfig] = field(default_factory=dict)
    sources: dict[tuple[str, str], Source] = field(default_factory=dict)
    declared: dict[str, frozenset[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def is_declared(self, noun: str, name: str) -> bool:
        """Whether there is a file of that name, even one that could not be used."""
        return name in self.declared.get(noun, frozenset())

    def error(self, noun: str, name: str, *path: str | int, what: str, breaks: str, fix: str) -> Finding:
        """Return a finding that stops a deployment, at the place of a value."""
        return self._finding(Severity.ERROR, noun, name, path, what, breaks, fix)

    def warning(self, noun: str, name: str, *path: str | int, what: str, breaks: str, fix: str) -> Finding:
        """Return a finding that does not stop a deployment, at the place of a value."""
        return self._finding(Severity.WARNING, noun, name, path, what, breaks, fix)

    def _finding(
        self, severity: Severity, noun: str, name: str, path: tuple[str | int, ...], what: str, breaks: str, fix: str
    ) -> Finding:
        return Finding(
            where=self._place(noun, name, path),
            key=".".join(map(str, path)),
            what=what,
            breaks=breaks,
            fix=fix,
            severity=severity,
        )

    def _place(self, noun: str, name: str, path: tuple[str | int, ...]) -> Where:
        source = self.sources[noun, name]
        return (
            source.at_key(*path)
            if path and isinstance(path[-1], str) and path not in source.value_places
            else source.at(*path)
        )


Rule = Callable[[Draft], Iterator[Finding]]
