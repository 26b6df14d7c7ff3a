"""The runbook as it is read by machine: its sections, and every command that stands in one.

A command is a line of a code block, up to its comment, or an inline `./sluice ...`, `gcloud ...` or `pulumi ...`. Owns
their spelling; what they do is the scenarios'. Headings are anchored as spec/runbook.py says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from spec.runbook import RUNBOOK
from tests.payments.stack import ROOT

#: What begins an inline command; `./sluice` alone names the tool.
TOOLS = ("./sluice ", "gcloud ", "pulumi ")

_HEADING = re.compile(r"^#{1,6} +(.+?) *$")
_COMMENT = re.compile(r" +# .*$")
_INLINE = re.compile(r"`([^`]+)`")


@dataclass
class Section:
    """What stands below one heading, without the sections below that."""

    heading: str
    commands: list[str] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)


@cache
def sections() -> dict[str, Section]:
    """Every section by its heading; a command is named once, where it stands first."""
    found: dict[str, Section] = {}
    block: list[str] = []
    for line in (ROOT / RUNBOOK).read_text("utf-8").splitlines():
        if heading := _HEADING.match(line):
            now = found[heading[1]] = Section(heading[1])
        elif line.startswith("    "):
            block.append(_COMMENT.sub("", line).strip())
            if not line.endswith("\\"):
                add(now, " ".join(part.rstrip("\\ ") for part in block))
                block = []
        else:
            now.prose.append(line)
    for one in found.values():
        for span in _INLINE.findall("\n".join(one.prose)):
            if span.startswith(TOOLS):
                add(one, " ".join(span.split()))
    return found


def add(section: Section, command: str) -> None:
    """Note a command once."""
    if command not in section.commands:
        section.commands.append(command)
