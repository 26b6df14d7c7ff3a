"""One look: the gates' verdict on the share that stands, since it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import spec
from ops.place import Place
from ops.rollout.gate import judge, read, target
from ops.rollout.gate.model import Verdict, Window, rules_of
from ops.rollout.state import Kind, Rollout, moment


def looker(place: Place, system: spec.System) -> Callable[[Rollout, datetime], Verdict]:
    """Looks at this place, by the rules of its stack."""
    rules = rules_of(place.config)

    def look(rollout: Rollout, now: datetime) -> Verdict:
        meant = (
            target.route(system, rollout.target)
            if rollout.kind is Kind.ROUTE
            else target.release(system, rollout.target, rollout.stable, rollout.canary)
        )
        own = replace(rules, steps=len(rollout.rules.steps))
        window = Window.ending(moment(rollout.since), now, own)
        return judge.judge(read.read(place, meant, window.since, window.until), own, window, now)

    return look
