"""What a file says in `lint:` about itself: which findings are meant, and why; and what is wrong with saying so.

A spec says it under the key `lint` (a stack under `sluice:lint`), any other file by a comment in the finding's line:
`# lint: SL703 the reason`. For files that take no comment (keys, JSON, binaries) queue_configs/silences.yaml says it.
What Google or the program would refuse cannot be silenced (docs/adr/lint-rules.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spec.checks.draft import Draft
from spec.checks.rule import Law
from spec.errors import Finding, Severity, Where, nearest, spell
from spec.source import Source

UNKNOWN = Law(number="SL131", title="A silence names a rule that exists.")
NO_USE = Law(number="SL132", title="A silence has something to silence.", severity=Severity.WARNING, silenceable=False)
FORBIDDEN = Law(number="SL133", title="Nothing is silenced that Google or the program would refuse.")
NO_REASON = Law(number="SL134", title="A silence says why.")

LAWS = (UNKNOWN, NO_USE, FORBIDDEN, NO_REASON)

#: How like a rule's number another is that has one digit of it wrong: of five characters four are the same.
ONE_DIGIT = 0.8

#: The comment of a file that is no spec.
COMMENT = re.compile(r"(?:#|//)\s*lint:\s*(SL\d+)\s+(\S.*)")

#: Where a spec and a stack's file say it.
KEYS: Mapping[str, tuple[str, ...]] = {"stack": ("config", "sluice:lint")}
KEY = ("lint",)
#: Where it is said for files that take no comment.
OTHERS = "files"


@dataclass(frozen=True, slots=True)
class Silence:
    """One word about one file."""

    file: Path
    number: str
    reason: str
    where: Where
    key: str
    #: A comment silences its own line alone.
    line: int | None = None

    def covers(self, found: Finding) -> bool:
        """Whether the finding is meant."""
        here = found.where.file == self.file and (self.line is None or found.where.line == self.line)
        return here and found.rule == self.number


@dataclass(frozen=True, slots=True)
class Silenced:
    """A finding that somebody has judged, and what he said."""

    finding: Finding
    reason: str


@dataclass(slots=True)
class Report:
    """What lint has found, and what it was told not to say."""

    findings: list[Finding] = field(default_factory=list)
    silenced: list[Silenced] = field(default_factory=list)


def settle(draft: Draft, found: Iterable[Finding], laws: Mapping[str, Law], *, whole: bool) -> Report:
    """Part findings from silenced ones. Of a `whole` lint, silences without effect are findings too."""
    report, used = Report(), set()
    silences = [*_of_specs(draft), *_of_comments(draft)]
    for finding in found:
        law = laws.get(finding.rule)
        covering = [one for one in silences if one.covers(finding)] if law is not None and law.silenceable else []
        used.update(covering)
        if covering:
            report.silenced.append(Silenced(finding, covering[0].reason))
        else:
            report.findings.append(finding)
    judged = whole and not draft.findings
    for silence in silences:
        report.findings.extend(_wrong(silence, laws, used=not judged or silence in used))
    report.findings.sort(key=lambda finding: finding.where)
    return report


def _of_specs(draft: Draft) -> Iterator[Silence]:
    for (noun, _), source in draft.sources.items():
        for path, file in _places(noun, source):
            for number, reason in _at(source, path).items():
                where, key = source.at_key(*path, number), spell((*path, number))
                yield Silence(file, number, reason, where, key)


def _places(noun: str, source: Source) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Where a file says something, and of which file."""
    if noun != "silences":
        yield KEYS.get(noun, KEY), source.file
        return
    for file in _at(source, (OTHERS,)):
        yield (OTHERS, file), Path(file)


def _of_comments(draft: Draft) -> Iterator[Silence]:
    specs = {source.file for source in draft.sources.values()}
    for path, text in draft.tree.read.items():
        if path in specs or "lint: SL" not in text:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if said := COMMENT.search(line):
                yield Silence(path, said[1], said[2], Where(path, number, said.start() + 1), "", number)


def _at(source: Source, path: tuple[str, ...]) -> dict[str, str]:
    found: object = source.values
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    return {str(number): str(reason) for number, reason in found.items()} if isinstance(found, Mapping) else {}


def _wrong(silence: Silence, laws: Mapping[str, Law], *, used: bool) -> Iterator[Finding]:
    law = laws.get(silence.number)
    if law is None:
        what, breaks, rule = f"there is no rule {silence.number}", "it silences nothing", UNKNOWN
        near = nearest(silence.number, laws, cutoff=ONE_DIGIT) if silence.key else None
        fix = f"did you mean {near}?" if near else "see docs/lint/README.md for the numbers"
    elif not law.silenceable:
        what, rule = f"{law.number} cannot be silenced", FORBIDDEN
        breaks, fix = "the deployment would be refused all the same", "delete the line, and mend what the rule finds"
    elif not used:
        what, rule = f"nothing here breaks {law.number}", NO_USE
        breaks, fix = "the day when something does, nobody would be told", "delete the line"
    else:
        return
    yield Finding(
        where=silence.where,
        key=silence.key,
        what=what,
        breaks=breaks,
        fix=fix,
        rule=rule.number,
        severity=rule.severity,
    )
