"""The sections of docs/runbook.md by their anchors, as GitHub makes them of headings.

Owns the anchor's spelling: lower case, spaces as hyphens, other punctuation dropped; a second heading of the same words
gets a number. Leaves alone what the sections say.
"""

from __future__ import annotations

import re
from pathlib import Path

RUNBOOK = Path("docs/runbook.md")

_HEADING = re.compile(r"(?m)^#{1,6} +(.+?) *#*$")
_FENCE = re.compile(r"(?ms)^```.*?^```")
_DROPPED = re.compile(r"[^\w\- ]")


def sections(root: Path) -> dict[str, str]:
    """Return the headings of a project's runbook by their anchors; none where there is no runbook."""
    try:
        text = (root / RUNBOOK).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    found: dict[str, str] = {}
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        base = anchor(heading)
        name, count = base, 0
        while name in found:
            count += 1
            name = f"{base}-{count}"
        found[name] = heading.replace("`", "")
    return found


def anchor(heading: str) -> str:
    """Return the anchor of a heading."""
    return _DROPPED.sub("", heading.lower()).replace(" ", "-")
