"""The judge: samples of two sides in, a verdict out. Pure; it reads no clock and calls nobody.

A gate is a share: so many bad ones of so many. Unhealthy says: the limit is broken, and where the stable side has
samples enough to compare with, this side is worse; both with the config's confidence, for the whole rollout. That is
an e-value (`law`) of at least sources * gates * steps / (1 - confidence): looks cost nothing, all else is paid for.
Healthy says: samples enough, the estimate within the limit, nothing significantly worse than beside it. Everything else
is inconclusive, and so is what could not be read: nothing that was not seen is taken for zero, or for well.

The same requests are looked at twice: as metrics, and before that as lines of the log (`sooner`), which say unhealthy
or nothing. Each of the two has half of the chance of a false alarm, whatever they have in common.

Where both sides break a limit the release is not the cause. Deaths, requests to no effect and refusals have no limit of
their own while there is a stable side: what is usual there is the measure.

At 100 % little stands beside the canary: what was begun before that share, and what senders do until all have read of
it. Where it is known what the stable side did until then, fewer than `min_samples` of it since are no comparison,
whatever became of them; where it is not, a handful is none. The time before says two things: a limit that the stable
side broke itself is not the canary's to answer for, unless it is worse; and a door at which messages had an effect,
where now they have none, is found at that door (`_by_door`), whatever passes through the others. Another hour is
another hour, so a share that is merely higher than it was finds nothing: it has to be above the limit of a canary that
has nothing beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from ops.rollout.gate import law, words
from ops.rollout.gate.depth import judged as depth_judged
from ops.rollout.gate.gather import DUE_AFTER, UNSAID
from ops.rollout.gate.model import MINUTE, Early, GateVerdict, Kind, Rules, Samples, Side, Verdict, Window

#: Attempts of one task that ends without a line count as one: its retries fail because it failed.
UNTOLD_OF_ONE = 6
#: Fewer bad ones roll nothing back, whatever the odds: they may be one client, or one bad minute of somebody else's.
LEAST_BAD = 5
#: Fewer samples beside a canary that is alone are no comparison: more of them will not come.
LEAST_BESIDE = 5
#: What may be to no effect, or be refused at a public door, where there is nothing to compare with.
IDLE_ALONE, REFUSED_ALONE = 0.5, 0.5
#: Each door's chance of a false alarm is shared by the bound of what was before, and by what is now.
PARTS = 2
#: A p95 is broken by more than one in twenty.
SLOW = 0.05


@dataclass(frozen=True)
class Gate:
    """A share that is watched."""

    name: str
    #: What is counted, and what is bad of it.
    of: str
    bad: str
    take: Callable[[Side, Rules], tuple[int, int]]
    limit: Callable[[Rules], float]
    #: The limit holds whatever the stable side does; else the stable side is the measure.
    limited: bool = True
    #: There may be few samples, or none, however long one waits.
    rare: bool = False
    #: One more than the stable side's share would give holds already.
    any_more: bool = False


def _requests(side: Side, _rules: Rules) -> tuple[int, int]:
    died = ceil(side.untold / UNTOLD_OF_ONE)
    return side.failed + died, side.handled + died


GATES = (
    Gate("success", "requests", "failed", _requests, lambda rules: rules.failures),
    Gate("latency", "tasks", "took too long", lambda side, rules: (side.times.above(rules.p95), sum(side.times.counts)),
         lambda _rules: SLOW),
    Gate("token_expiry", "tokens", "had expired", lambda side, _rules: (side.expired, side.tokens),
         lambda rules: rules.token_expiry),
    Gate("late_tokens", "tokens past their window", "were accepted", lambda side, _rules: (side.accepted, side.old),
         lambda rules: rules.token_expiry, rare=True),
    Gate("dead", "messages", "ended dead", lambda side, _rules: (side.dead, side.ended), lambda rules: rules.dead,
         limited=False, any_more=True),
    Gate("effect", "messages", "changed nothing", lambda side, _rules: (side.idle, side.known),
         lambda _rules: IDLE_ALONE, limited=False),
    Gate("refusals", "answers at public doors", "were refusals", lambda side, _rules: (side.refused, side.answers),
         lambda _rules: REFUSED_ALONE, limited=False),
    Gate("paid", "payments that are due", "are not paid", lambda side, _rules: (side.unpaid, side.due),
         lambda rules: rules.failures),
)  # fmt: skip
#: The one that is no share.
DEPTH = "queue_depth"
NAMES = (*(gate.name for gate in GATES), DEPTH)
#: Where samples come from: metrics and lines.
SOURCES = 2
#: The early look among the gates, and those of which lines tell; how payments stand is told once a minute.
EARLY = "early_look"
TOLD = tuple(gate for gate in GATES if gate.name != "paid")
#: The one that is asked door by door at 100 %. Lines tell neither of what is due nor of depth, whose chances it has.
EFFECT = next(gate for gate in GATES if gate.name == "effect")


def judge(samples: Samples, rules: Rules, window: Window, now: datetime, *, alone: bool = False) -> Verdict:
    """The verdict on a window; `alone` at 100 %, where the stable side gets no new work."""
    if window.until > now - timedelta(seconds=rules.lag):
        raise ValueError(f"{window.until} is not sure to be visible before {rules.lag:g} s have passed")
    if window.seconds == 0:
        return Verdict(kind=Kind.INCONCLUSIVE, why=words.nothing_visible(window, rules), gates=(), window=window)
    gates = [
        _unread(gate.name, samples, rules, window) or _share(gate, samples, rules, window, alone=alone)
        for gate in GATES
    ]
    gates.append(_unread(DEPTH, samples, rules, window) or depth_judged(samples.depths, rules, need(rules)))
    return _together(gates, window)


def sooner(verdict: Verdict, early: Early, rules: Rules, *, alone: bool = False) -> Verdict:
    """The metrics' verdict, or unhealthy where lines show it already; what metrics said stands beside it.

    Lines are seconds old, and when the exchange goes away either side may feel it first. So the limit is not enough
    but where the canary is `alone`, at 100 %.
    """
    if early.samples is None:
        found = [GateVerdict(gate=EARLY, kind=Kind.INCONCLUSIVE, why=f"{EARLY}: {early.missing}")]
        return replace(verdict, gates=(*verdict.gates, *found))
    judged = [_share(gate, early.samples, rules, verdict.window, alone=alone) for gate in TOLD]
    bad = [one for one in judged if one.kind is Kind.UNHEALTHY]
    bad = [one for one in bad if alone or law.against_other(*one.canary, *one.stable) >= need(rules)]
    if alone and not any(one.gate == EFFECT.name for one in bad):
        bad += _by_door(EFFECT, early, rules, verdict.window)
    if not bad:
        why = words.nothing_early(early, _not_compared(EFFECT, early, rules) if alone else ())
        found = [GateVerdict(gate=EARLY, kind=Kind.INCONCLUSIVE, why=why)]
        return replace(verdict, gates=(*verdict.gates, *found))
    found = [replace(one, gate=EARLY, why=words.early(one, early)) for one in bad]
    said = ([verdict.why] if verdict.kind is Kind.UNHEALTHY else []) + [one.why for one in found]
    return replace(verdict, kind=Kind.UNHEALTHY, why="; ".join(said[: words.MOST]), gates=(*verdict.gates, *found))


def _by_door(gate: Gate, early: Early, rules: Rules, window: Window) -> list[GateVerdict]:
    """Doors at which the canary is worse than what stood there before its share.

    The bound of what was before is fixed when the share is set, so that the e-value against it may be looked at as
    often as one likes; a door counts for itself, so that another mix of them is no fault.
    """
    known = {door: (both, gate.take(both.before, rules)) for door, both in sorted(early.doors.items())}
    known = {door: (both, before) for door, (both, before) in known.items() if before[1] >= rules.min_samples}
    needed, found = PARTS * need(rules) * len(known), []
    for door, (both, before) in known.items():
        (bad, of), names = gate.take(both.canary, rules), both.names
        usual = law.bounds(*before, 1 - 2 / needed)[1]
        limit = max(gate.limit(rules), usual)
        e_value = law.against_limit(bad, of, limit)
        if bad < LEAST_BAD or e_value < needed:
            continue
        missed = (1 / needed + 1 / e_value) * len(known)
        confidence = sure(1 / missed, rules)
        low, high = law.bounds(bad, of, rules.confidence)
        told = words.Found(
            gate=gate.name, of=gate.of, bad=gate.bad, names=names, canary=(bad, of), stable=(0, 0), limit=limit,
            limited=True, compared=False, rules=rules, window=window, before=before,
        )  # fmt: skip
        verdict = GateVerdict(
            gate=gate.name, kind=Kind.UNHEALTHY, why=told.changed(door, usual, confidence), canary=(bad, of),
            stable=before, estimate=bad / of, low=low, high=high, confidence=confidence,
        )  # fmt: skip
        found.append(verdict)
    return found


def _not_compared(gate: Gate, early: Early, rules: Rules) -> list[str]:
    """Doors of the canary of which too little is known from before its share."""
    return sorted(
        door
        for door, both in early.doors.items()
        if gate.take(both.canary, rules)[1] and gate.take(both.before, rules)[1] < rules.min_samples
    )


def need(rules: Rules) -> float:
    """The e-value at which a gate trips: that of one in all gates of all steps, by either source."""
    return SOURCES * len(NAMES) * rules.steps / (1 - rules.confidence)


def sure(e_value: float, rules: Rules) -> float:
    """The confidence of an e-value, for the whole rollout."""
    return max(0.0, 1 - SOURCES * len(NAMES) * rules.steps / e_value)


def _unread(name: str, samples: Samples, rules: Rules, window: Window) -> GateVerdict | None:
    why = samples.missing.get(name)
    if why == UNSAID and window.seconds < (DUE_AFTER + 1) * MINUTE:
        why = words.too_early(window, rules)
    return None if why is None else GateVerdict(gate=name, kind=Kind.INCONCLUSIVE, why=f"{name}: {why}")


def _together(gates: Sequence[GateVerdict], window: Window) -> Verdict:
    bad = [one for one in gates if one.kind is Kind.UNHEALTHY]
    unsure = [one for one in gates if one.kind is Kind.INCONCLUSIVE]
    kind = Kind.UNHEALTHY if bad else Kind.INCONCLUSIVE if unsure else Kind.HEALTHY
    why = words.together(bad or unsure or [gates[0]])
    return Verdict(kind=kind, why=why, gates=tuple(gates), window=window)


def _share(gate: Gate, samples: Samples, rules: Rules, window: Window, *, alone: bool = False) -> GateVerdict:
    bad, of = gate.take(samples.canary, rules)
    other_bad, other_of = gate.take(samples.stable, rules)
    before = gate.take(samples.before, rules)
    least = rules.min_samples if before[1] >= rules.min_samples else LEAST_BESIDE if alone else 1
    beside = (other_bad, other_of) if other_of >= least else (0, 0)
    before = (0, 0) if beside[1] else before
    limit, needed = gate.limit(rules), need(rules)
    low, high = law.bounds(bad, of, rules.confidence)
    worse, e_worse = _worse((bad, of), beside, limit, needed)
    compared = worse is not None
    e_limit = law.against_limit(bad, of, limit)
    found = words.Found(
        gate=gate.name, of=gate.of, bad=gate.bad, names=samples.names, canary=(bad, of), stable=(other_bad, other_of),
        limit=limit, limited=gate.limited or not compared, compared=compared, rules=rules, window=window,
        before=before,
    )  # fmt: skip
    if gate.name == "latency":
        found = found.timed(samples.canary.times, rules)

    def said(kind: Kind, why: str, confidence: float) -> GateVerdict:
        return GateVerdict(
            gate=gate.name, kind=kind, why=why, canary=(bad, of), stable=(other_bad, other_of),
            estimate=bad / of if of else 0.0, low=low, high=high, confidence=confidence,
        )  # fmt: skip

    broken = bad >= LEAST_BAD and (e_limit >= needed if found.limited else bool(worse))
    if broken and not beside[1] and _so_before((bad, of), before, limit, rules):
        return said(Kind.INCONCLUSIVE, found.as_before(), 0.0)
    if broken and worse is not False:
        confidence = sure(min(e_limit if found.limited else law.CERTAIN, e_worse if compared else law.CERTAIN), rules)
        return said(Kind.UNHEALTHY, found.unhealthy(confidence), confidence)
    if broken:
        return said(Kind.INCONCLUSIVE, found.alike(), 0.0)
    if (why := _holds(gate, samples, found)) is not None:
        return said(Kind.INCONCLUSIVE, why, 0.0)
    return said(Kind.HEALTHY, found.healthy(), rules.confidence)


def _worse(here: tuple[int, int], there: tuple[int, int], limit: float, needed: float) -> tuple[bool | None, float]:
    """Whether this side is worse than the other, and how sure; None where the other has too few to tell."""
    (bad, of), (other_bad, other_of) = here, there
    found = law.against_other(bad, of, other_bad, other_of)
    if found >= needed:
        return True, found
    if not other_of:
        return None, found
    could_tell = law.against_other(bad, of, 0, other_of) >= needed
    return (False if could_tell or bad == 0 or other_bad / other_of > limit else None), found


def _so_before(here: tuple[int, int], before: tuple[int, int], limit: float, rules: Rules) -> bool:
    """Whether the limit was broken before this share too, and no more so now."""
    if before[1] < rules.min_samples or before[0] <= limit * before[1]:
        return False
    needed = PARTS * need(rules)
    return law.against_limit(*here, law.bounds(*before, 1 - 2 / needed)[1]) < needed


def _holds(gate: Gate, samples: Samples, found: words.Found) -> str | None:
    """Why a gate that is not broken is not healthy either."""
    (bad, of), (other_bad, other_of) = found.canary, found.stable
    rules = found.rules
    #: Requests are to be expected, and payments where some were begun; else what neither side has is not judged.
    expected = of or other_of or gate.name == "success" or (gate.name == "paid" and samples.canary.begun)
    least = rules.min_samples if expected and not gate.rare else 0
    if of < least:
        return found.too_few(least)
    if found.limited and bad > found.limit * of:
        return found.above()
    maybe = samples.canary.times.perhaps_above(rules.p95) if gate.name == "latency" else bad
    if found.limited and maybe > found.limit * of:
        return found.blurred()
    if other_of and law.fisher(bad, of, other_bad, other_of) <= 1 - rules.confidence:
        return found.perhaps_worse()
    if gate.any_more and found.compared and bad * other_of > other_bad * of:
        return found.perhaps_worse()
    return None
