"""What stands in the cloud and is outside of the stack on purpose: `adopt` held it back. It is told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ops.drift.found import Finding, Found

FIX = "ADOPTED.md has the commands; afterwards ./sluice adopt --force takes it over"


@dataclass(frozen=True, kw_only=True)
class HeldBack:
    """One thing that is left as it is."""

    thing: str
    why: str
    cloud: str
    fix: str = FIX

    def as_json(self) -> dict[str, str]:
        """The form that `--json` prints."""
        return asdict(self)


def apart(found: Found, held: Mapping[str, str]) -> list[HeldBack]:
    """Take what was held back out of what is declared nowhere; `held` is identity -> why."""
    outside = [one for one in found.findings if _is(one, held)]
    found.findings = [one for one in found.findings if not _is(one, held)]
    return [HeldBack(thing=one.thing, why=held[one.cloud], cloud=one.cloud) for one in outside]


def _is(one: Finding, held: Mapping[str, str]) -> bool:
    return one.kind == "undeclared" and one.cloud in held
