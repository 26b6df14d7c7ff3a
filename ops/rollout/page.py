"""The page of a rollout: what it saw at each step, what the gates said, why it was decided, who, when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from ops.rollout.decide import WHOLE, next_step
from ops.rollout.state import Kind, Phase, Rollout, Step, moment, shown, text
from spec.rollout import Rollout as Rules
from spec.stack import LOCAL

#: What a phase means.
SAID = {
    Phase.PREPARING: "its revision is being deployed at 0 %",
    Phase.RUNNING: "runs",
    Phase.PAUSED: "is held",
    Phase.PROMOTING: "is being promoted",
    Phase.ROLLING_BACK: "is being rolled back",
    Phase.ABORTING: "is being taken back",
    Phase.PROMOTED: "is promoted",
    Phase.ROLLED_BACK: "was rolled back",
    Phase.ABORTED: "was taken back, without being called bad",
}


def line(rollout: Rollout) -> str:
    """How it stands, in a line."""
    what = f"{rollout.target} {SAID[rollout.phase]}"
    if rollout.running and not rollout.phase.ending:
        following = next_step(rollout)
        what += f" at {rollout.percent} %" + (f", next {following} %" if following is not None else "")
        what += "; gates still roll back" if rollout.phase is Phase.PAUSED else ""
    return what + (f": {rollout.why}" if rollout.why else "")


def unwatched(stack: str) -> str:
    """What to say of one that is under way and that nobody walks."""
    return (
        "NOBODY LOOKS AT IT: no gate takes it back and no step follows until somebody walks it; "
        f"./sluice rollout resume --stack {stack}"
    )


def looked(rollout: Rollout) -> str:
    """What the gates said last of the share that stands."""
    last = rollout.steps[-1]
    return f"{last.verdict}: {last.why}" if last.verdict else "the gates have not been asked yet"


def end(rollout: Rollout) -> str:
    """How it ended and when; of what was taken back after a promotion both."""
    promoted = f"promoted {rollout.promoted[:19]}" if rollout.promoted else ""
    if rollout.phase is Phase.PROMOTED:
        return promoted
    ended = f"{rollout.phase.replace('_', ' ')} {rollout.ended[:19]}"
    return f"{promoted}, {ended}" if promoted else ended


def swallowed(rollout: Rollout, stack: str) -> str:
    """What helps those whom a bad release answered well without doing anything; nothing where nobody met it."""
    met = rollout.steps or rollout.counts.get("payments_met") or rollout.counts.get("unnamed")
    if rollout.phase is not Phase.ROLLED_BACK or rollout.kind is not Kind.RELEASE or not met:
        return ""
    there = f" --stack {stack}" if stack != LOCAL else ""
    return (
        f"payments met it: ./sluice reconcile{there} names what stands still, and "
        f"./sluice resend --all --older-than 1s{there} sends that once more, now"
    )


def plan(rollout: Rollout) -> list[tuple[int, str]]:
    """Each share with the earliest time at which it may be set, if it begins now; last the promotion, as 100 again."""
    at, dwell = moment(rollout.began), rollout.rules.first_dwell
    found = []
    for percent in rollout.rules.steps:
        found.append((percent, text(at)))
        at, dwell = at + timedelta(seconds=dwell), rollout.rules.dwell
    return [*found, (WHOLE, text(at))]


def planned(rollout: Rollout, rules: Rules) -> Iterator[str]:
    """The plan with its times, line by line."""
    *shares, (_, over) = plan(rollout)
    for percent, at in shares:
        yield f"{percent:>3} %  {at[:19]}Z at the earliest"
    yield (
        f"over   {over[:19]}Z at the earliest: each step wants {rules.min_samples} good samples, and sees them "
        f"{shown(rules.lag.seconds)} late"
    )


def meaning(rollout: Rollout, meant: int) -> str:
    """What a promotion by hand would do."""
    if rollout.percent != WHOLE:
        held = ", and hold it there" if rollout.phase is Phase.PAUSED else ""
        return f"raise {rollout.target} from {rollout.percent} % to {meant} % at once{held}"
    if rollout.kind is Kind.ROUTE:
        return f"end the rollout of {rollout.target} with its new way as the one that there is"
    return f"make {rollout.canary} the stable revision of {rollout.target}, and keep {rollout.stable} warm beside it"


def markdown(rollout: Rollout) -> str:
    """The whole page."""
    return "\n".join(_lines(rollout)) + "\n"


def _lines(rollout: Rollout) -> Iterator[str]:
    yield f"# {rollout.id}"
    yield ""
    yield f"{line(rollout)}."
    yield ""
    yield f"- begun {rollout.began} by {rollout.who}" + (f", over {rollout.ended}" if rollout.ended else "")
    if rollout.promoted:
        until = f" until {rollout.ended}, when it was rolled back" if rollout.phase is Phase.ROLLED_BACK else ""
        yield f"- promoted {rollout.promoted}: it had everything from then on{until}"
    for one in rollout.raised:
        yield f"- raised to {one.percent} % by {one.who} at {one.at}, while the gates said: {one.gates}"
    if rollout.by and rollout.by != rollout.who:
        yield f"- decided last by {rollout.by}"
    if rollout.kind is Kind.RELEASE:
        yield f"- stable {rollout.stable}, canary {rollout.canary}" + (f" ({rollout.digest})" if rollout.digest else "")
    steps = " ".join(map(str, rollout.rules.steps)) or "none"
    first, later = shown(rollout.rules.first_dwell), shown(rollout.rules.dwell)
    yield f"- steps {steps}; at least {first} at the first, {later} at each other"
    if rollout.steps:
        yield ""
        yield "| share | from | stood | looks | verdict | why |"
        yield "|---|---|---|---|---|---|"
        for step in rollout.steps:
            stood = shown((moment(step.until) - moment(step.since)).total_seconds()) if step.until else "still"
            why = step.why.replace("|", "\\|").replace("\n", " ")
            yield f"| {step.percent} % | {step.since} | {stood} | {step.looks} | {step.verdict or '-'} | {why} |"
    if rollout.notes:
        yield ""
        yield "## Who walked it, and what people said"
        yield from (f"- {one.at} {one.who}: {one.what}" for one in rollout.notes)
    for step in rollout.steps:
        yield from _gates(step)
    if any(gate["kind"] == "healthy" for step in rollout.steps for gate in step.seen.get("gates", ())):
        yield ""
        yield (
            "A gate is healthy where the share that it saw is within its limit, and not surely more than beside it. "
            "What the samples leave open beside it may be more than the limit where they are few, and does not hold a "
            "step: `min_samples` says how many are enough."
        )
    if rollout.counts:
        yield ""
        yield "## Afterwards"
        yield from _counted(rollout.counts)


def _gates(step: Step) -> Iterator[str]:
    """What each gate saw at a step, in its last look."""
    gates = step.seen.get("gates", ())
    if not gates:
        return
    yield ""
    yield f"## At {step.percent} %, {step.seen.get('since', '')} to {step.seen.get('until', '')}"
    yield "| gate | verdict | canary | stable | sure | why |"
    yield "|---|---|---|---|---|---|"
    for gate in gates:
        sides = [f"{gate[side]['bad']} of {gate[side]['samples']}" for side in ("canary", "stable")]
        sure = f"{gate['confidence']:.1%}" if gate["confidence"] else "-"
        why = str(gate["why"]).replace("|", "/")
        yield f"| {gate['gate']} | {gate['kind']} | {' | '.join(sides)} | {sure} | {why} |"


def _counted(counts: Mapping[str, Any]) -> Iterator[str]:
    if "moved" in counts:
        yield f"- traffic and record were moved by {counts['moved']}"
    if "payments_met" in counts:
        yield f"- {_least(counts, 'payments_met')}{counts['payments_met']} payments met it{_who(counts)}"
        if unnamed := counts.get("unnamed"):
            yield f"- {unnamed} messages that it answered are not among them: no line of their traces names a payment"
        if counts["payments_met"] or unnamed:
            yield (
                "- `./sluice reconcile` names those that stand still, `./sluice resend --all` sends them again, "
                "those of the last minutes with `--older-than 1s`"
            )
    if "queued" in counts:
        queued, least = counts["queued"], _least(counts, "queued")
        yield (
            f"- {least}{queued['first']} tasks that wait for it were never tried, and {least}{queued['retries']} were: "
            "all follow the tag to stable, where what had not been broadcast is paid"
        )
    if counts.get("in_flight"):
        yield f"- {counts['in_flight']} requests were still at work on it when nobody waited any longer"
    if "not_counted" in counts:
        yield f"- not everything could be counted: {counts['not_counted']}"


def _who(counts: Mapping[str, Any]) -> str:
    """The first of them by name."""
    named = counts.get("payments", ())
    more = counts["payments_met"] - len(named)
    return f": {', '.join(named)}" + (f" and {more} more" if more else "") if named else ""


def _least(counts: Mapping[str, Any], name: str) -> str:
    """What was too much to be counted to its end."""
    return "at least " if name in counts.get("at_least", ()) else ""
