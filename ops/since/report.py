"""What a change does to each environment, as the comment on a pull request: resources, IAM, cost, retry timelines.

Nothing is written for what does not change; where nothing at all does, there is no report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import spec
from local_engine import Change, Op, Result, Step
from ops.cost import estimate, prices, traffic
from spec import timeline

#: By this line a later comment finds the one to replace.
MARK = "<!-- sluice preview -->"
#: Rows of a table; what is beyond is counted.
MOST = 40
#: Bytes of a comment; GitHub takes 65,536 characters.
LONGEST = 60_000
#: Payments a day at which costs are compared.
PAYMENTS = 1000
#: A monthly cost that changes by less is not told.
CENT = 0.01
#: Attempts of a timeline that are compared and shown.
ATTEMPTS = 8
#: Properties that change with the others.
REVISIONS = ("template.revision", "].revision")
#: Values of at most so many characters are shown with the property that changes.
SHORT = 40
#: The input of a binding that names what it is on, and its text while that is not known.
ON, UNKNOWN = ("secretId", "topic", "subscription", "serviceAccountId", "name", "project"), "<computed>"
#: Kinds of cost that are told in one row each.
TOGETHER = {"metric": "log-based metrics", "alerts": "alerts", "logs": "logs", "rollout": "the rollout's record"}
#: The row of what is used as before, and costs otherwise since another takes more or less of what is free.
OTHERS = "others, by their share of what is free"
#: What every service account's e-mail ends with, and nobody needs to read.
ACCOUNTS = ".iam.gserviceaccount.com"
SIGNS = {Op.CREATE: "create", Op.UPDATE: "update", Op.REPLACE: "**replace**", Op.DELETE: "**delete**"}


@dataclass(frozen=True, kw_only=True)
class Side:
    """A commit's specs for one stack, and the config of its foundation; None where it has them not."""

    system: spec.System | None
    below: spec.StackConfig | None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One environment: its layers compared, and its specs before and after."""

    stack: str
    layers: Sequence[Result]
    before: Side
    after: Side


@dataclass(frozen=True, kw_only=True)
class _Cost:
    """What one row costs a month, and the units that it is billed for."""

    usd: float = 0.0
    units: frozenset[tuple[str, str, float]] = frozenset()


_NOTHING = _Cost()


def markdown(found: Sequence[Compared], since: str) -> str:
    """The comment, or nothing where no environment changes."""
    parts = [part for one in found if (part := _stack(one))]
    if not parts:
        return ""
    head = f"{MARK}\n## What this changes since `{since}`\n\n"
    return head + _cut("\n".join(parts).rstrip()) + "\n"


def _cut(text: str) -> str:
    """At most what GitHub takes, in whole lines."""
    if len(text.encode()) <= LONGEST:
        return text
    kept = text.encode()[:LONGEST].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n\n**Cut here: a comment holds no more.** `./sluice preview --since` says it all."


def _stack(one: Compared) -> str:
    steps = [step for layer in one.layers for step in layer.steps if step.custom and step.op in SIGNS]
    tables = [
        _table("Resources", ("", "type", "name", "what"), _resources(steps)),
        _table("Permissions", ("", "who", "role", "on"), _permissions(steps)),
        _table("Cost a month", ("what", "before", "after"), _costs(one)),
        _table("Retries", ("queue", "before", "after"), _timelines(one.before.system, one.after.system)),
    ]
    problems = [f"- :x: {problem.what} ({problem.where}): {problem.fix}" for r in one.layers for problem in r.problems]
    text = "\n".join([*(table for table in tables if table), *problems])
    return f"### {one.stack}\n\n{text}\n" if text else ""


def _resources(steps: Sequence[Step]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for step in steps:
        if "member" not in step.inputs:
            what = ", ".join(sorted({_told(change) for change in step.changes if not _follows(change)}))
            protected = "protected: the apply refuses it" if step.protect and step.op in (Op.DELETE, Op.REPLACE) else ""
            rows.append((SIGNS[step.op], f"`{step.type.rpartition(':')[2]}`", f"`{step.name}`", what or protected))
    return rows


def _follows(change: Change) -> bool:
    """A revision's name is made of all that it runs with: it says nothing that is not said."""
    return change.path.endswith(REVISIONS)


def _told(change: Change) -> str:
    """A property, and its values where they say it shortly."""
    both = (change.old, change.new)
    short = all(isinstance(one, bool | int | float | str) and len(str(one)) <= SHORT for one in both)
    values = f": {both[0]} → {both[1]}" if change.kind == "update" and short else ""
    return f"`{change.path}`{values}" + (" (forces replacement)" if change.replaces else "")


def _permissions(steps: Sequence[Step]) -> list[tuple[str, ...]]:
    return [
        (SIGNS[step.op], _member(step.inputs["member"]), f"`{step.inputs.get('role', '')}`", f"`{_on(step)}`")
        for step in steps
        if "member" in step.inputs
    ]


def _on(step: Step) -> str:
    """The resource that a binding is on, as far as its inputs name it before the apply."""
    named = (str(step.inputs[key]) for key in ON if key in step.inputs)
    return next((name.rpartition("/")[2].removesuffix(ACCOUNTS) for name in named if name != UNKNOWN), step.name)


def _member(member: object) -> str:
    name = str(member)
    if name in ("allUsers", "allAuthenticatedUsers"):
        return "**everybody**"
    return f"`{(name.partition(':')[2] or name).removesuffix(ACCOUNTS)}`"


def _costs(one: Compared) -> list[tuple[str, ...]]:
    before, after = _bill(one.before), _bill(one.after)
    told: list[tuple[str, float, float]] = []
    same: list[tuple[float, float]] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name, _NOTHING), after.get(name, _NOTHING)
        if old.units == new.units:
            same.append((old.usd, new.usd))
        else:
            told.append((name, old.usd, new.usd))
    shifted = [pair for pair in same if abs(pair[0] - pair[1]) > CENT / 100]
    told.append((OTHERS, sum(old for old, _ in shifted), sum(new for _, new in shifted)))
    rows: list[tuple[str, ...]] = [
        (name, f"{old:.2f}", f"{new:.2f}") for name, old, new in told if abs(old - new) >= CENT
    ]
    if not rows:
        return []
    whole = f"all, at {PAYMENTS:,} payments a day (USD)"
    sums = (sum(cost.usd for cost in side.values()) for side in (before, after))
    return [*rows, (whole, *(f"{total:.2f}" for total in sums))]


def _bill(side: Side) -> Mapping[str, _Cost]:
    """Costs by what is told in one row."""
    if side.system is None or side.below is None:
        return {}
    table, flows = prices.read(), traffic.read()
    mix = {
        name: share
        for name, share in flows.mix.items()
        if all(q in side.system.queues for q in flows.flows[name].tasks)
    }
    volume = estimate.Volume(payments_per_day=PAYMENTS, mix=mix)
    found: dict[str, _Cost] = {}
    for line in estimate.bill(side.system, side.below, volume, table, flows):
        name = TOGETHER.get(line.kind) or f"{line.kind} `{line.name}`"
        sofar = found.get(name, _NOTHING)
        use = (line.name, line.item, round(line.units, 6))
        found[name] = _Cost(usd=sofar.usd + line.usd, units=sofar.units | {use})
    return found


def _timelines(before: spec.System | None, after: spec.System | None) -> list[tuple[str, ...]]:
    old = {name: _tries(queue) for name, queue in before.queues.items()} if before else {}
    new = {name: _tries(queue) for name, queue in after.queues.items()} if after else {}
    return [
        (f"`{name}`", old.get(name, "-"), new.get(name, "-"))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _tries(queue: spec.TaskQueue) -> str:
    return f"{timeline.first_tries(queue, ATTEMPTS)}. {timeline.stop_rule(queue)}"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [f"**{title}**", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows[:MOST]]
    more = [f"\n{len(rows) - MOST} more: `./sluice preview` shows them."] if len(rows) > MOST else []
    return "\n".join([*lines, *more, ""])


def _cell(text: str) -> str:
    return re.sub(r"[\r\n]+", " ", text).replace("|", "\\|")
