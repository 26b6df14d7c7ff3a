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


def sides(system: spec.System, rollout: Rollout) -> target.Target:
    """Whom the gates compare; OpsError for a target that has none."""
    if rollout.kind is Kind.ROUTE:
        return target.route(system, rollout.target)
    return target.release(system, rollout.target, rollout.stable, rollout.canary)


def looker(place: Place, system: spec.System) -> Callable[[Rollout, datetime], Verdict]:
    """Looks at this place, by the rules of its stack."""
    rules = rules_of(place.config)

    def look(rollout: Rollout, now: datetime) -> Verdict:
        meant = sides(system, rollout)
        own = replace(rules, steps=len(rollout.rules.steps))
        window = Window.ending(moment(rollout.since), now, own)
        return judge.judge(read.read(place, meant, window.since, window.until), own, window, now)

    return look
