"""What a rollout does next: a pure function of its state, the gates' verdict and the time.

    start -> step -> dwell, looked at all the while -> next step -> ... -> 100 -> promoted
    unhealthy at any look -> rolled back; inconclusive -> held, however long it takes, and never promoted

What was begun comes first: a share whose setting was cut short is set again, an end that was decided is brought about.
A pause holds the share and stops no rollback. Source: DESIGN section 5, DECISIONS 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from ops.rollout.state import Phase, Rollout, moment, shown

#: The share at which nothing is left of the old way.
WHOLE = 100


class Judged(StrEnum):
    """What gates say."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    INCONCLUSIVE = "inconclusive"


class Verdict(Protocol):
    """What a look needs to know of the gates' verdict."""

    @property
    def kind(self) -> str:
        """One of Judged."""

    @property
    def why(self) -> str:
        """In one line: what was seen, with samples and confidence."""


@dataclass(frozen=True)
class Hold:
    """Leave the share as it is."""

    why: str


@dataclass(frozen=True)
class Prepare:
    """Deploy the new revision at 0 % and see that it answers."""


@dataclass(frozen=True)
class SetShare:
    """Bring a share into force."""

    percent: int


@dataclass(frozen=True)
class Promote:
    """Make the new way the one that there is."""


@dataclass(frozen=True)
class RollBack:
    """Take it back, and call it bad."""

    why: str


@dataclass(frozen=True)
class Abort:
    """Take it back without calling it bad."""


@dataclass(frozen=True)
class Stop:
    """Nothing is left to do."""


Action = Hold | Prepare | SetShare | Promote | RollBack | Abort | Stop


def next_action(rollout: Rollout, verdict: Verdict | None, now: datetime) -> Action:
    """The next action; without a verdict that of a look which has not been taken yet."""
    begun = _begun(rollout)
    if begun is not None:
        return begun
    if verdict is not None and verdict.kind == Judged.UNHEALTHY and rollout.percent > 0:
        return RollBack(verdict.why)
    if rollout.phase is Phase.PAUSED:
        return Hold(f"paused by {rollout.by}" + (f": {rollout.why}" if rollout.why else ""))
    if rollout.steps and (reason := _holds(rollout, verdict, now)):
        return Hold(reason)
    following = next_step(rollout)
    return SetShare(following) if following is not None else Promote()


def _holds(rollout: Rollout, verdict: Verdict | None, now: datetime) -> str:
    """Why the present share is held; "" where the next one may follow."""
    if verdict is None:
        return "the gates have not been asked yet"
    if verdict.kind == Judged.INCONCLUSIVE:
        return verdict.why
    left = dwell(rollout) - (now - moment(rollout.since)).total_seconds()
    return f"healthy; {shown(left)} of {shown(dwell(rollout))} are left at {rollout.percent} %" if left > 0 else ""


def _begun(rollout: Rollout) -> Action | None:
    """What was decided and is not done."""
    match rollout.phase:
        case Phase.PROMOTED | Phase.ROLLED_BACK | Phase.ABORTED:
            return Stop()
        case Phase.ROLLING_BACK:
            return RollBack(rollout.why)
        case Phase.ABORTING:
            return Abort()
        case Phase.PROMOTING:
            return Promote()
        case Phase.PREPARING:
            return Prepare()
        case _:
            return SetShare(rollout.wanted) if rollout.unset else None


def next_step(rollout: Rollout) -> int | None:
    """The share after the present one; None at the end."""
    return next((step for step in rollout.rules.steps if step > rollout.percent), None)


def dwell(rollout: Rollout) -> float:
    """How long the present share stands at least, in seconds."""
    return rollout.rules.first_dwell if len(rollout.steps) <= 1 else rollout.rules.dwell
