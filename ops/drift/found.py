"""One thing that differs: where, what the specs say, what the cloud says, and what puts it right."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from ops.adopt import secrets

#: A value longer than this is cut: the line is there to be read.
_LONGEST: Final = 240
#: One of the two sides has none.
NOTHING: Final = "nothing"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference; `kind` is changed, missing, undeclared, member, key, paused, traffic, disabled or version."""

    kind: str
    thing: str
    what: str
    where: str
    specs: str
    cloud: str
    fix: str

    def as_json(self) -> dict[str, str]:
        """The form that `--json` prints."""
        return {name: str(getattr(self, name)) for name in self.__dataclass_fields__}


@dataclass(kw_only=True)
class Found:
    """All that differs, and what could not be looked at."""

    findings: list[Finding] = field(default_factory=list)
    not_looked: list[str] = field(default_factory=list)


def shown(value: Any, path: str = "") -> str:
    """A value as a line shows it; what may be a secret is not shown. Nothing is shown as nothing."""
    kept = value if value == NOTHING else secrets.hidden(value, path)
    text = kept if isinstance(kept, str) else json.dumps(kept, sort_keys=True, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
