"""The page of a rollout: what it saw at each step, what the gates said, why it was decided, who, when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ops.rollout.decide import next_step
from ops.rollout.state import Kind, Phase, Rollout, Step, moment, shown

#: What a phase means.
SAID = {
    Phase.PREPARING: "its revision is being deployed at 0 %",
    Phase.RUNNING: "runs",
    Phase.PAUSED: "is held; gates still roll back",
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
        what += f", at {rollout.percent} %" + (f", next {following} %" if following is not None else "")
    return what + (f": {rollout.why}" if rollout.why else "")


def markdown(rollout: Rollout) -> str:
    """The whole page."""
    return "\n".join(_lines(rollout)) + "\n"


def _lines(rollout: Rollout) -> Iterator[str]:
    yield f"# {rollout.id}"
    yield ""
    yield f"{line(rollout)}."
    yield ""
    yield f"- begun {rollout.began} by {rollout.who}" + (f", over {rollout.ended}" if rollout.ended else "")
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
    for step in rollout.steps:
        yield from _gates(step)
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
        yield f"- {_least(counts, 'payments_met')}{counts['payments_met']} payments met it"
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


def _least(counts: Mapping[str, Any], name: str) -> str:
    """What was too much to be counted to its end."""
    return "at least " if name in counts.get("at_least", ()) else ""
