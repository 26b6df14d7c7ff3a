"""What a rule sees: the models that could be built, and where everything stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from spec.errors import Finding, Severity, spell
from spec.graph import System
from spec.service_code import ServiceCode
from spec.source import Source
from spec.stack import StackConfig
from spec.tree import Tree


@dataclass(slots=True)
class Draft:
    """A system whose cross-file rules have not been checked yet.

    The config of `running` stacks came from a program that runs, where Pulumi has opened what is encrypted in the file.
    """

    system: System
    stacks: dict[str, StackConfig] = field(default_factory=dict)
    sources: dict[tuple[str, str], Source] = field(default_factory=dict)
    declared: defaultdict[str, frozenset[str]] = field(default_factory=lambda: defaultdict(frozenset))
    running: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    code: ServiceCode = field(init=False)

    def __post_init__(self) -> None:
        self.code = ServiceCode(Tree(self.system.root))

    @property
    def tree(self) -> Tree:
        """The project's files beyond the specs."""
        return self.code.tree

    def is_declared(self, noun: str, name: str) -> bool:
        """Whether there is a file of that name, even one that could not be used."""
        return name in self.declared[noun]

    def error(self, noun: str, name: str, *path: str | int, what: str, breaks: str, fix: str) -> Finding:
        """Return a finding that stops a deployment, at the place of a value."""
        where = self.sources[noun, name].at(*path)
        return Finding(where=where, key=spell(path), what=what, breaks=breaks, fix=fix)

    def warning(self, noun: str, name: str, *path: str | int, what: str, breaks: str, fix: str) -> Finding:
        """Return a finding that does not stop a deployment, at the place of a value."""
        found = self.error(noun, name, *path, what=what, breaks=breaks, fix=fix)
        return replace(found, severity=Severity.WARNING)


Rule = Callable[[Draft], Iterator[Finding]]
