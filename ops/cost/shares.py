"""What the rollout's record costs: reads by the services that choose by it, and a walk that keeps its state.

An instance reads the record within a request and at most every five seconds, so there are never more reads than either
requests, or five seconds in the lives of all instances that the specs allow. A walk looks, keeps its state and renews
its lock; one of all steps is counted a month. What it reads, some calls a look, is cents, and what is kept of it is
less than the gigabytes that are free.
Sources: https://cloud.google.com/storage/pricing (operations: class A writes and lists, class B reads),
service_code/kit/record.py (how often it is read), ops/rollout/{walk,lock}.py (how often a walk writes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import spec
from ops.cost.month import SECONDS
from ops.rollout.lock import RENEW
from ops.rollout.walk import KEEP_LOOKS

#: Kind, name, item of the price table, units.
Used = tuple[str, str, str, float]
#: Seconds for which an instance goes by what it has read.
LIVES = 5
#: Writes of one step beside those of its looks: the intention, record and hold, and that it is in force.
STEP = 4


def used(system: spec.System, requests: Mapping[str, float]) -> Iterator[Used]:
    """Of a month with so many requests, by service."""
    for name, service in system.services.items():
        if system.reads_record(name):
            lives = service.scaling.max * SECONDS / LIVES
            yield "rollout", f"the record, by {name}", "storage.read", min(requests.get(name, 0.0), lives)
    if system.stack is not None:
        yield "rollout", "a walk of all steps", "storage.write", _walk(system.stack.rollout)


def _walk(rules: spec.rollout.Rollout) -> float:
    seconds = rules.first_dwell.seconds + (len(rules.steps) - 1) * rules.dwell.seconds
    return seconds / RENEW + seconds / KEEP_LOOKS + len(rules.steps) * STEP
