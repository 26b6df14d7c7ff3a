"""What a gate says, in a sentence that a person can act on: samples of both sides, share, limit, confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil, inf

from ops.rollout.gate import law
from ops.rollout.gate.gather import DUE_AFTER
from ops.rollout.gate.model import Early, GateVerdict, Rules, Spread, Window
from ops.rollout.state import shown

#: Nothing is said to be surer than this: metrics count wrongly more often.
SUREST = 0.9999
#: So many gates' sentences make up that of all.
MOST = 2


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a gate has seen."""

    gate: str
    of: str
    bad: str
    names: tuple[str, str]
    canary: tuple[int, int]
    stable: tuple[int, int]
    limit: float
    #: Whether the limit counts, and whether there was something to compare with.
    limited: bool
    compared: bool
    rules: Rules
    window: Window
    #: What is said of the times beside, for a gate of times.
    beside: str = ""
    #: What the stable side did before this share.
    before: tuple[int, int] = (0, 0)

    def timed(self, times: Spread, rules: Rules) -> Found:
        """With the p95 and its bounds, as far as the buckets tell."""
        if not sum(times.counts):
            return self
        seen, low, high = law.percentile(times.edges, times.counts, 0.95, rules.confidence)
        most = f"p95 is at most {seen:g} s" if seen < inf else f"p95 is more than {times.edges[-1]:g} s"
        upper = f"{high:g} s" if high < inf else "no upper bound, with so few" if seen < inf else "no upper bound"
        return replace(self, beside=f"; {most} (between {low:g} s and {upper}, as exact as the buckets are)")

    @property
    def counts(self) -> str:
        """Both sides in numbers."""
        (bad, of), (other_bad, other_of) = self.canary, self.stable
        stable, canary = self.names
        there = f", on {stable} {other_bad} of {other_of}" if other_of else f", and {stable} had none"
        if self.before[1]:
            there = f", on {stable} before this share {self.before[0]} of {self.before[1]}"
        return f"{bad} of {of} {self.of} on {canary} {self.bad}{there}"

    def unhealthy(self, confidence: float) -> str:
        """The limit is broken."""
        parts = []
        if self.limited:
            parts.append(f"more than {percent(self.limit)}")
        if self.compared:
            parts.append(f"worse than {self.names[0]}")
        elif self.stable[1]:
            parts.append(f"{self.names[0]} has too few to compare with")
        return f"{self.counts}: with {percent(min(confidence, SUREST))} confidence {' and '.join(parts)}{self.beside}"

    def changed(self, door: str, usual: float, confidence: float) -> str:
        """At one door it is otherwise than it was."""
        bound = f"more than {percent(self.limit)}"
        was = f"more than the {percent(usual)} that {self.names[0]} had there at most"
        said = bound if usual >= self.limit else f"{bound}, and so {was}"
        return f"{self.counts}, at {door} alone: with {percent(min(confidence, SUREST))} confidence {said}"

    def as_before(self) -> str:
        """It was so before this share."""
        return f"{self.counts}: it was so before this share, so this is not the cause{self.beside}"

    def alike(self) -> str:
        """Both sides break it."""
        return f"{self.counts}: both sides fail alike, so this is not the cause{self.beside}"

    def too_few(self, least: int) -> str:
        """Samples are missing."""
        of = self.canary[1]
        due = self._due() if self.gate == "paid" else ""
        return f"{of} of {least} samples: {self._time(least - of)} ({self.counts}){due}"

    def _due(self) -> str:
        """Payments count later than requests do."""
        first = first_due(self.window, self.rules)
        when = f"; the first of this share come at {first:%H:%M:%S}" if not self.canary[1] else ""
        return f"; a payment is due, and counted, {DUE_AFTER} minutes after it began{when}"

    def above(self) -> str:
        """The estimate is above the limit, and may be so by chance."""
        bad, of = self.canary
        more = ceil(bad / self.limit) - of if self.limit else 0
        when = f"; {more} more without another one would be within it, {self._time(more)}" if more > 0 else ""
        return f"{self.counts}: above {percent(self.limit)}, perhaps by chance{when}{self.beside}"

    def blurred(self) -> str:
        """The bucket that holds the limit hides on which side of it the values are."""
        return f"{self.counts}: the bucket around {self.rules.p95:g} s is too wide to tell{self.beside}"

    def perhaps_worse(self) -> str:
        """Worse than beside it, and not surely so."""
        likely = law.fisher(*self.canary, *self.stable)
        return f"{self.counts}: more than on {self.names[0]}, by chance in {percent(likely)} of such cases{self.beside}"

    def healthy(self) -> str:
        """All is well as far as one sees, and what the samples leave open all the same."""
        bad, of = self.canary
        if of == 0:
            return f"no {self.of} on {self.names[1]}: nothing to judge"
        sure = percent(self.rules.confidence)
        if bad == 0:
            upper = law.rule_of_three(of, self.rules.confidence)
        else:
            upper = law.bounds(bad, of, 2 * self.rules.confidence - 1)[1]
        found = [f"within the limit of {percent(self.limit)}"] if self.limited else []
        found += [f"not surely more than on {self.names[0]}"] if self.stable[1] else []
        least = self.rules.min_samples
        samples = f"{of} samples, {f'where {least} are enough' if of >= least else 'of which few may come'}"
        told = f"{samples}, leave up to {percent(upper)} open with {sure} confidence"
        if self.limited and upper > self.limit:
            needed = law.enough(bad, self.limit, self.rules.confidence)
            more = " with no more of them" if bad else ""
            told += f", and what was seen decides: to be so sure of {percent(self.limit)} takes {needed}{more}"
        return f"{self.counts}: {percent(bad / of)} is {' and '.join(found)}; {told}{self.beside}"

    def _time(self, missing: int) -> str:
        """How long it takes until so many more are there."""
        rate = self.canary[1] / self.window.seconds if self.window.seconds else 0
        if not rate:
            return f"{missing} are missing, and none came in {shown(self.window.seconds)}"
        hourly = rate * 3600
        each = f"{hourly:.0f} an hour" if hourly >= 1 else f"{hourly * 24:.1f} a day"
        return f"{missing} are missing, {shown(missing / rate)} at {each}"


def nothing_visible(window: Window, rules: Rules) -> str:
    """Metrics come late."""
    return (
        f"nothing since {window.since:%H:%M:%S} is visible yet: points are of whole minutes, and are taken as complete "
        f"{rules.lag:g} s later"
    )


def first_due(window: Window, rules: Rules) -> datetime:
    """When the first payments of a share can be seen to be due."""
    return window.since + timedelta(minutes=DUE_AFTER + 1, seconds=rules.lag)


def too_early(window: Window, rules: Rules) -> str:
    """How payments end takes its time, and nobody has failed to say it yet."""
    return (
        f"it is too early to tell how the payments of this share end, until {first_due(window, rules):%H:%M:%S}: one "
        f"is due {DUE_AFTER} minutes after it began, and metrics count {rules.lag:g} s later"
    )


def early(one: GateVerdict, found: Early) -> str:
    """What lines show before any metric does."""
    return f"from the log: {one.why}{_cut(found)}"


def nothing_early(found: Early, unknown: Sequence[str]) -> str:
    """Lines do not promote anything; of the doors `unknown` nothing could be said by the time before."""
    stable, canary = found.lines
    beside = (
        f"; not compared with the time before this share, of which too few messages are known: {', '.join(unknown)}"
    )
    return (
        f"nothing in {canary} lines of its log, and {stable} beside it, is bad enough to move it before its metrics "
        f"are there{beside if unknown else ''}{_cut(found)}"
    )


def _cut(found: Early) -> str:
    return "; more lines came than are read at a look, and the newest were counted" if found.cut else ""


def percent(share: float) -> str:
    """A share in per cent, with as many digits as say something."""
    if share >= 0.9995:
        return f"{share * 100:.2f} %"
    if share >= 0.1:
        return f"{share * 100:.3g} %"
    return f"{share * 100:.2g} %"


def _named(one: GateVerdict) -> str:
    return one.why if one.why.startswith(f"{one.gate}: ") else f"{one.gate}: {one.why}"


def together(said: Sequence[GateVerdict]) -> str:
    """The sentences of several gates, each once: some miss the same series, and the rest is in the verdict."""
    found = list(dict.fromkeys(_named(one) for one in said))
    more = f"; and so on at {len(found) - MOST} more gates" if len(found) > MOST else ""
    return "; ".join(found[:MOST]) + more
