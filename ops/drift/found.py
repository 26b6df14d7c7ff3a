"""One thing that differs: where, what the specs say, what the cloud says, and what puts it right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ops.adopt import secrets

#: A value longer than this is cut: the line is there to be read.
_LONGEST: Final = 240
HIDDEN: Final = "[not shown]"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference; `kind` is changed, missing, undeclared, member, paused, traffic, disabled or version."""

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


def shown(value: Any, name: str = "") -> str:
    """A value as a line shows it; what may be a secret is not shown."""
    text = value if isinstance(value, str) else json.dumps(_hidden(value), sort_keys=True, default=str)
    if isinstance(value, str) and (secrets.is_secret(name, value) or list(secrets.in_plain(value))):
        return HIDDEN
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        name, held = str(value.get("name", "")), value.get("value")
        if isinstance(held, str) and secrets.is_secret(name, held):
            return {**value, "value": HIDDEN}
        return {key: _hidden(item) for key, item in value.items()}
    if isinstance(value, str):
        return HIDDEN if list(secrets.in_plain(value)) else value
    return [_hidden(item) for item in value] if isinstance(value, Sequence) else value
