"""What a rollout writes into stack config, so that the program declares what is in force.

A release that is over leaves `stable` behind: from then on a new template is deployed beside it, and only a rollout
moves its traffic. What was taken back leaves the image of `stable` as the template's, so that a revision that does not
even start stands in nobody's way; `rolled_back` names it, so that it is not rolled out again by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.rollout.state import Kind, Rollout
from spec.rollout import RELEASES, SHARES

#: What an entry of `sluice:releases` may say; a change of an entry says all of it.
ROLES = ("stable", "canary", "digest", "rolled_back", "previous", "keep_until")


@dataclass(frozen=True)
class Written:
    """Changes of stack config: keys below `sluice:canaryPercent` and `sluice:releases`; None takes a key away."""

    shares: Mapping[str, int | None] = field(default_factory=dict)
    releases: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)

    def nested(self) -> dict[str, dict[str, Any]]:
        """By the keys of stack config."""
        found: dict[str, dict[str, Any]] = {SHARES: dict(self.shares), RELEASES: dict(self.releases)}
        return {key: value for key, value in found.items() if value}


def share(rollout: Rollout, percent: int) -> Written:
    """While it runs."""
    return Written(shares={rollout.target: percent})


def prepared(rollout: Rollout) -> Written:
    """A release before its first step."""
    entry = _entry(rollout, stable=rollout.stable, canary=rollout.canary, digest=rollout.digest)
    return Written(shares={rollout.target: 0}, releases={rollout.target: {**entry, **_kept(rollout)}})


def promoted(rollout: Rollout, keep_until: str) -> Written:
    """At its good end."""
    if rollout.kind is Kind.ROUTE:
        return share(rollout, 100)
    entry = _entry(
        rollout, stable=rollout.canary, previous=rollout.stable, keep_until=keep_until, digest=rollout.digest
    )
    return Written(shares={rollout.target: None}, releases={rollout.target: entry})


def taken_back(rollout: Rollout, *, bad: bool) -> Written:
    """At any other end."""
    if rollout.kind is Kind.ROUTE:
        return share(rollout, rollout.back_to)
    entry = _entry(
        rollout, stable=rollout.stable, rolled_back=rollout.canary if bad else "", digest=rollout.stable_digest
    )
    return Written(shares={rollout.target: None}, releases={rollout.target: {**entry, **_kept(rollout)}})


def _entry(rollout: Rollout, **values: str) -> dict[str, str]:
    assert rollout.kind is Kind.RELEASE
    return {name: value for name, value in values.items() if value}


def _kept(rollout: Rollout) -> dict[str, str]:
    """An earlier promotion's way back stays while this release is tried."""
    kept = {"previous": rollout.previous, "keep_until": rollout.keep_until}
    return {name: value for name, value in kept.items() if value and rollout.previous}
