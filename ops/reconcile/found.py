"""What a look finds: findings, sums, and what could not be compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ops.follow import UNITS, coins


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong: what about, where and since when it stands, why, and the command that helps."""

    kind: str
    #: A payment's id; of what is no payment's, a transaction, an event, a queue or `wallet`.
    about: str
    flow: str = ""
    stage: str = ""
    since: str | None = None
    why: str
    help: str
    #: By how much a sum differs: what differs otherwise at a second look is on its way.
    figure: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it the same finding at a second look."""
        return self.kind, self.about, self.stage, self.figure

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Sum:
    """One account or balance in base units, on both sides."""

    what: str
    currency: str
    sides: tuple[str, str]
    left: int
    right: int

    @property
    def difference(self) -> int:
        """Left less right."""
        return self.left - self.right

    def as_json(self) -> dict[str, Any]:
        """All of it; amounts as text, since JSON readers turn large numbers into doubles."""
        sides = dict(zip(self.sides, (str(self.left), str(self.right)), strict=True))
        return {"what": self.what, "currency": self.currency, **sides, "difference": str(self.difference)}


def shown(units: int | str, currency: str) -> str:
    """An amount of base units for people: coins, as `pay` shows them; points are their own unit."""
    return coins(str(units), currency) if currency in UNITS else f"{units} {currency}"


def signed(units: int, currency: str) -> str:
    """A difference for people, with its sign."""
    return ("+" if units > 0 else "") + shown(units, currency)


@dataclass
class Found:
    """One look."""

    findings: list[Finding] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=dict)
    not_compared: list[str] = field(default_factory=list)
    #: What was left out because somebody has said how much is to be looked at.
    bounded: list[str] = field(default_factory=list)
    now: str = ""

    def say(self, finding: Finding) -> None:
        """Add a finding."""
        self.findings.append(finding)

    def and_before(self, earlier: Found) -> Found:
        """What was found at an earlier look and is still so."""
        keys = {one.key for one in earlier.findings}
        still = [one for one in self.findings if one.key in keys]
        gaps = [*dict.fromkeys(earlier.not_compared + self.not_compared)]
        return Found(still, self.sums, self.in_flight, gaps, self.bounded, self.now)
