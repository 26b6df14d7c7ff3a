"""One look: the gates' verdict on the share that stands, since it stands, by metrics and by the log at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import spec
from ops.place import Place
from ops.rollout.decide import WHOLE
from ops.rollout.gate import judge, read, target
from ops.rollout.gate.early import EarlyLook
from ops.rollout.gate.model import Verdict, Window, rules_of
from ops.rollout.state import Kind, Rollout, moment

#: How long before a rollout began the stable side's lines may tell what is usual, at its last share.
EARLIER = timedelta(hours=1)


def sides(system: spec.System, rollout: Rollout) -> target.Target:
    """Whom the gates compare; OpsError for a target that has none."""
    if rollout.kind is Kind.ROUTE:
        return target.route(system, rollout.target)
    return target.release(system, rollout.target, rollout.stable, rollout.canary)


def looker(place: Place, system: spec.System) -> Callable[[Rollout, datetime], Verdict]:
    """Looks at this place, by the rules of its stack."""
    rules = rules_of(place.config)
    log = EarlyLook(place, system, rules)

    def look(rollout: Rollout, now: datetime) -> Verdict:
        began = time.perf_counter()
        meant, since = sides(system, rollout), moment(rollout.since)
        own = replace(rules, steps=len(rollout.rules.steps))
        window = Window.ending(since, now, own)
        alone = rollout.percent == WHOLE
        earlier = log.before(meant, since, moment(rollout.began) - EARLIER) if alone else None
        with ThreadPoolExecutor(1, thread_name_prefix="log") as pool:
            lines = pool.submit(log.look, meant, since)
            metrics = read.read(place, meant, window.since, window.until, earlier)
            verdict = judge.judge(metrics, own, window, now, alone=alone)
            verdict = judge.sooner(verdict, lines.result(), own, alone=alone)
        return replace(verdict, took=time.perf_counter() - began)

    return look
