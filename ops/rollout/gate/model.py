"""What gates are asked, and what they say: rules, window, samples of two sides, verdicts. Values alone.

`canary` is the side that is tried (a new revision, or the new way of a route), `stable` the one beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import inf
from typing import Any, Final

import spec

#: Points of series are of whole minutes.
MINUTE: Final = 60


class Kind(StrEnum):
    """What a gate says."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What gates let through: shares from 0 to 1, times in seconds."""

    #: Of a whole rollout: how often a good release is rolled back at most is 1 less this.
    confidence: float = 0.95
    min_samples: int = 50
    lag: float = 180.0
    #: The share of requests that may fail, and of payments that may be unpaid when they ought to be paid.
    failures: float = 0.01
    p95: float = 10.0
    queue_depth: int = 50
    #: The share of tokens that may expire, or be accepted although they are older than they may be.
    token_expiry: float = 0.01
    dead: float = 0.01
    #: How many steps a rollout has: each is one more chance of a false alarm.
    steps: int = 6


def rules_of(config: spec.StackConfig) -> Rules:
    """The rules of a stack (`sluice:rollout`)."""
    said = config.rollout
    return Rules(
        confidence=said.confidence / 100,
        min_samples=said.min_samples,
        lag=said.lag.seconds,
        failures=round(1 - said.success_percent / 100, 6),
        p95=said.p95.seconds,
        queue_depth=said.queue_depth,
        token_expiry=said.token_expiry_percent / 100,
        dead=said.dead_percent / 100,
        steps=len(said.steps),
    )


@dataclass(frozen=True)
class Window:
    """The whole minutes that are looked at: from that in which the share was set, to the last that is surely visible.

    What met the canary in the minute's first part met an earlier share of the same one; to leave the minute out would
    make a bad release known a minute later, and not at all where all its payments came in that minute.
    """

    since: datetime
    until: datetime

    @classmethod
    def ending(cls, since: datetime, now: datetime, rules: Rules) -> Window:
        """From `since` to what is visible now."""
        visible = now - timedelta(seconds=rules.lag)
        return cls(_whole(since), _whole(visible))

    @property
    def seconds(self) -> float:
        """How long it is; 0 while nothing of it is visible."""
        return max(0.0, (self.until - self.since).total_seconds())


def _whole(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


@dataclass(frozen=True)
class Spread:
    """Times by bucket: `counts[i]` lie below `edges[i]`, and the last count above all of them."""

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    def above(self, limit: float) -> int:
        """How many are surely not below the limit: a bucket that it divides counts as below."""
        lows = (-inf, *self.edges)
        return sum(count for low, count in zip(lows, self.counts, strict=False) if low >= limit)

    def perhaps_above(self, limit: float) -> int:
        """How many may not be below the limit."""
        highs = (*self.edges, inf)
        return sum(count for high, count in zip(highs, self.counts, strict=False) if high > limit)


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one side did in the window."""

    #: First attempts and calls at doors, without those that were refused for overload or wait by design.
    handled: int = 0
    failed: int = 0
    overloaded: int = 0
    #: Answers other than 2xx that Cloud Run has counted and no line of the service tells of: it died, or did not know
    #: its caller.
    untold: int = 0
    #: Answers at public doors, and those that say that the caller is wrong.
    answers: int = 0
    refused: int = 0
    #: From when a task was due to its completion.
    times: Spread = Spread()
    tokens: int = 0
    expired: int = 0
    #: Tokens that were older than they may be, and those of them that had an effect all the same.
    old: int = 0
    accepted: int = 0
    #: Requests that came to an end (2xx), and those that ended as dead.
    ended: int = 0
    dead: int = 0
    #: Requests of which it is known whether they changed anything, and those that did not.
    known: int = 0
    idle: int = 0
    #: Payments that were begun on this side, those that ought to be paid by now, and those of them that are not.
    begun: int = 0
    due: int = 0
    unpaid: int = 0


@dataclass(frozen=True, kw_only=True)
class Depth:
    """One queue into the target."""

    queue: str
    #: Its depth minute by minute in the window, and the highest in the minutes before it, where that is known.
    minutes: tuple[int, ...]
    before: int | None
    #: Deliveries in the window, and those that came later than the time in which a task is to be completed.
    delivered: int = 0
    late: int = 0


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What was read. What could not be read is in `missing`, by gate, and never a zero."""

    stable: Side
    canary: Side
    #: What the two sides are called.
    names: tuple[str, str] = ("stable", "canary")
    depths: tuple[Depth, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    #: What the stable side did before this share, where it gets no new work any more; else nothing.
    before: Side = Side()


@dataclass(frozen=True, kw_only=True)
class Early:
    """What lines of the log said, which come before any metric."""

    samples: Samples | None = None
    #: At 100 %, by door: what the canary does there, and what the stable side did there before this share.
    doors: Mapping[str, Samples] = field(default_factory=dict)
    #: Lines of the stable side and of the canary that were counted; where more came than were read, the newest.
    lines: tuple[int, int] = (0, 0)
    cut: bool = False
    #: Why nothing could be read.
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class GateVerdict:
    """What one gate says: bad ones and samples of both sides, the canary's share with its bounds, and how sure."""

    gate: str
    kind: Kind
    why: str
    canary: tuple[int, int] = (0, 0)
    stable: tuple[int, int] = (0, 0)
    estimate: float = 0.0
    low: float = 0.0
    high: float = 1.0
    confidence: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What all gates say together."""

    kind: Kind
    why: str
    gates: tuple[GateVerdict, ...]
    window: Window
    #: Real seconds that the look took.
    took: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The verdict as the rollout's state keeps it and `--json` prints it."""
        return {
            "kind": str(self.kind),
            "why": self.why,
            "since": self.window.since.isoformat(),
            "until": self.window.until.isoformat(),
            "took": round(self.took, 3),
            "gates": [
                {
                    "gate": one.gate,
                    "kind": str(one.kind),
                    "why": one.why,
                    "canary": {"bad": one.canary[0], "samples": one.canary[1]},
                    "stable": {"bad": one.stable[0], "samples": one.stable[1]},
                    "estimate": round(one.estimate, 6),
                    "bounds": [round(one.low, 6), round(one.high, 6)],
                    "confidence": round(one.confidence, 6),
                }
                for one in self.gates
            ],
        }
