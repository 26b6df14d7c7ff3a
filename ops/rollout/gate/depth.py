"""The gate of queue depth. A depth has no side: canary and stable share their queues, and a task may wait on purpose.

So a depth alone rolls nothing back. It does when a queue has stood at the limit or above it for five minutes, has not
shrunk meanwhile, stood below it before this step, and what is due is delivered late (an e-value, as of any share): a
revision that holds its requests takes the queue's places away from the other one too. A queue that is deep otherwise
holds the rollout: a burst is worked off, and tasks that are scheduled for later are on time.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from ops.rollout.gate import law
from ops.rollout.gate.model import Depth, GateVerdict, Kind, Rules

NAME = "queue_depth"
#: Minutes for which a depth has to last.
LASTING = 5
#: The share of deliveries that may be late.
LATE = 0.05


def judged(depths: Sequence[Depth], rules: Rules, needed: float) -> GateVerdict:
    """The verdict on all queues together."""
    found = [_one(depth, rules, needed) for depth in depths]
    for kind in (Kind.UNHEALTHY, Kind.INCONCLUSIVE):
        if said := [one for one in found if one.kind is kind]:
            why = "; ".join(one.why for one in said)
            return GateVerdict(gate=NAME, kind=kind, why=why, confidence=min(one.confidence for one in said))
    if not depths:
        why = "no queue leads here whose tasks do not wait by design"
        return GateVerdict(gate=NAME, kind=Kind.HEALTHY, why=why, confidence=rules.confidence)
    deepest = max(max(depth.minutes[-LASTING:]) for depth in depths)
    why = f"at most {deepest} tasks wait in {', '.join(depth.queue for depth in depths)}: below {rules.queue_depth}"
    return GateVerdict(gate=NAME, kind=Kind.HEALTHY, why=why, confidence=rules.confidence)


def _one(depth: Depth, rules: Rules, needed: float) -> GateVerdict:
    last, limit = depth.minutes[-LASTING:], rules.queue_depth

    def said(kind: Kind, why: str, confidence: float = 0.0) -> GateVerdict:
        return GateVerdict(gate=NAME, kind=kind, why=f"{depth.queue}: {why}", confidence=confidence)

    if not last:
        return said(Kind.INCONCLUSIVE, "no depth was reported in the window")
    if max(last) < limit:
        return said(Kind.HEALTHY, f"{max(last)} tasks wait")
    deep = f"{last[-1]} tasks wait, and {limit} may"
    lasting = len(last) == LASTING and min(last) >= limit and last[-1] >= last[0]
    late = law.against_limit(depth.late, depth.delivered, LATE) if depth.delivered else 1.0
    if not lasting:
        return said(Kind.INCONCLUSIVE, f"{deep}: not for {LASTING} minutes yet, or fewer than before")
    if depth.before is None or depth.before >= limit:
        known = "nobody knows how many before" if depth.before is None else f"{depth.before} did before this step"
        return said(Kind.INCONCLUSIVE, f"{deep}; {known}, so this is not surely the cause")
    if late < needed:
        return said(
            Kind.INCONCLUSIVE,
            f"{deep}, but what is due comes in time ({depth.late} of {depth.delivered} deliveries were late)",
        )
    confidence = max(0.0, 1 - needed * (1 - rules.confidence) / (late if late < inf else law.CERTAIN))
    why = f"{deep}; {depth.before} did before this step, and {depth.late} of {depth.delivered} deliveries were late"
    return said(Kind.UNHEALTHY, why, confidence)
