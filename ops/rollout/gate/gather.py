"""From series to the samples of two sides: what counts as a failure, a refusal, a wait by design.

- A request is counted at its first attempt: the retries of a task fail because it failed. 429 and 503 for overload
  stand apart, since the queue slows down by them; a retry where tasks wait by design is neither good nor bad.
- What Cloud Run has answered and no line tells of is a process that died, or a caller that was not known.
- A token that is older than it may be counts as accepted where the request changed something and was not buried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ops.rollout.gate.model import Depth, Samples, Side, Spread
from ops.rollout.gate.series import Series
from ops.rollout.gate.target import Door, Target, door_of

#: Log metrics of how the payments of a side stand, which gcsplit's sweeper says, with the fields that they fill.
STANDING: Final = {"side_begun": "begun", "side_due": "due", "side_unpaid": "unpaid"}
EXPIRED, OVERLOADED, RETRY, DEAD = "TOKEN_EXPIRED", "overloaded", "retry", "dead"
UNSAID: Final = (
    "nobody says how the payments of both sides stand, which gcsplit's sweeper does each minute in lines that "
    "./sluice logs --service gcsplit --filter 'jsonPayload.event=\"side_stands\"' shows; where there are none it does "
    "not run (docs/runbook.md, the sweepers are silent) or cannot read the rollout's record"
)
#: A payment is due, and counted, in the minute that begins so many minutes after that in which it was begun.
DUE_AFTER: Final = 6
#: Deliveries that came later than this, in seconds, are late.
LATE: Final = 10.0
#: A door at which more than this share changes nothing on the stable side is one of news, or of questions.
USUAL: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What the stable side did before a share beside which it gets no new work any more."""

    side: Side
    #: So many samples of a door tell what is usual there.
    least: int = 0
    #: Doors that had so many, and those of them at which messages often changed nothing.
    known: frozenset[Door] = frozenset()
    usual: frozenset[Door] = frozenset()

    def tells(self, door: Door, since: int) -> bool:
        """Whether it says more of a door than so many samples of the time since."""
        return door in self.known and since < self.least


#: Where the stable side goes on beside the canary.
_NOTHING: Final = Earlier(side=Side())


@dataclass
class _Made:
    """A side in the making."""

    counts: Counter[str] = field(default_factory=Counter)
    edges: tuple[float, ...] = ()
    times: Counter[int] = field(default_factory=Counter)

    def side(self) -> Side:
        told = Spread(self.edges, tuple(self.times[index] for index in range(len(self.edges) + 1)))
        died = max(0, self.counts.pop("answered_badly", 0) - self.counts.pop("told_badly", 0))
        return Side(**self.counts, untold=died, times=told if self.times else Spread())


def samples(
    target: Target, series: Mapping[str, Sequence[Series]], missing: Mapping[str, str], earlier: Earlier | None = None
) -> Samples:
    """What the judge looks at."""
    made = {target.stable: _Made(), target.canary: _Made()}

    def of(name: str) -> Iterator[tuple[_Made, Series]]:
        for one in series.get(name, ()):
            side = target.side(one.labels)
            if side is not None:
                yield made[side], one

    for side, one in of("outcomes"):
        _outcome(target, side.counts, one.labels, one.count)
    _effects(list(of("outcomes")), made[target.stable], earlier or _NOTHING)
    for side, one in of("seconds"):
        if door_of(one.labels) not in target.waiting:
            _times(side, one)
    for side, one in of("tokens"):
        _tokens(target, side.counts, one)
    for side, one in of("answers"):
        _answer(target, side.counts, one.labels, one.count)
    unread = dict(missing)
    _standing(target, made, series, unread)
    return Samples(
        stable=made[target.stable].side(),
        canary=made[target.canary].side(),
        names=(target.stable, target.canary),
        depths=_depths(target, series),
        missing=unread,
        before=earlier.side if earlier else Side(),
    )


def earlier(target: Target, series: Mapping[str, Sequence[Series]], least: int) -> Earlier:
    """What the stable side's series of the time before say; of a door with fewer samples than `least` nothing."""
    known, idle = Counter[Door](), Counter[Door]()
    for one in series.get("outcomes", ()):
        if one.labels.get("way") and one.labels.get("effect") and _number(one.labels, "http_status") < 300:
            known[door_of(one.labels)] += one.count
            idle[door_of(one.labels)] += one.count if one.labels["effect"] == "false" else 0
    enough = frozenset(door for door, of in known.items() if of >= least)
    usual = frozenset(door for door in enough if idle[door] > USUAL * known[door])
    return Earlier(side=samples(target, series, {}).stable, least=least, known=enough, usual=usual)


def _outcome(target: Target, side: Counter[str], labels: Mapping[str, str], count: int) -> None:
    status, answer, door = labels.get("status", ""), _number(labels, "http_status"), door_of(labels)
    if not labels.get("way"):
        _at_a_door(target, side, labels, count)
        return
    side["told_badly"] += count if _badly(target, answer) else 0
    if answer < 300:
        side["ended"] += count
        side["dead"] += count if status == DEAD else 0
        side["expired"] += count if labels.get("code") == EXPIRED else 0
    if not labels.get("first"):
        return
    if status == OVERLOADED:
        side["overloaded"] += count
    elif status != RETRY or door not in target.waiting:
        side["handled"] += count
        side["failed"] += count if answer >= 300 else 0


def _effects(outcomes: Sequence[tuple[_Made, Series]], stable: _Made, earlier: Earlier) -> None:
    """Count what changed nothing, but not at doors where that is usual: there it would hide what is not.

    What is usual the stable side says, and where it has hardly met a door since, what it did there before this share.
    """
    told = [
        (side, door_of(one.labels), one.count, one.labels["effect"] == "false")
        for side, one in outcomes
        if one.labels.get("way") and _number(one.labels, "http_status") < 300
        if one.labels.get("effect") and one.labels.get("status") != DEAD
    ]
    known, idle = Counter[Door](), Counter[Door]()
    for side, door, count, nothing in told:
        if side is stable:
            known[door] += count
            idle[door] += count if nothing else 0
    for side, door, count, nothing in told:
        since = idle[door] > USUAL * known[door]
        usual = door in earlier.usual if earlier.tells(door, known[door]) else since
        if not usual:
            side.counts["known"] += count
            side.counts["idle"] += count if nothing else 0


def _at_a_door(target: Target, side: Counter[str], labels: Mapping[str, str], count: int) -> None:
    """What a public door, the scheduler or an operator was answered."""
    answer, public = _number(labels, "http_status"), door_of(labels) in target.public
    side["told_badly"] += count if _badly(target, answer) else 0
    if answer == 503:
        side["overloaded"] += count
    elif public:
        side["handled"] += count
        side["failed"] += count if answer >= 500 else 0
        side["answers"] += count
        side["refused"] += count if 400 <= answer < 500 else 0


def _answer(target: Target, side: Counter[str], labels: Mapping[str, str], count: int) -> None:
    """Cloud Run's own count."""
    side["answered_badly"] += count if _badly(target, _number(labels, "response_code")) else 0


def _badly(target: Target, code: int) -> bool:
    """Whether an answer is one that a line should tell of; at a public door strangers are refused without any."""
    return code >= 500 if target.public else code >= 300 and code != 429


def _number(labels: Mapping[str, str], name: str) -> int:
    """A label's number; a JSON number may be spelt with a point."""
    return int(float(labels.get(name) or 0))


def _times(side: _Made, one: Series) -> None:
    for point in one.points:
        side.edges = side.edges or point.spread.edges
        if point.spread.edges == side.edges:
            side.times.update({index: count for index, count in enumerate(point.spread.counts) if count})


def _tokens(target: Target, side: Counter[str], one: Series) -> None:
    window = target.windows.get(one.labels.get("service_name", ""))
    side["tokens"] += one.count
    if window is not None:
        old = sum(point.spread.above(window) for point in one.points)
        side["old"] += old
        if one.labels.get("effect") == "true" and one.labels.get("status") != DEAD:
            side["accepted"] += old


def _standing(
    target: Target, made: Mapping[str, _Made], series: Mapping[str, Sequence[Series]], missing: dict[str, str]
) -> None:
    """How the payments stand that were begun on each side in the window: lines tell of so many each."""
    said = set()
    sides = {"stable": made[target.stable], "canary": made[target.canary]}
    for name, into in STANDING.items():
        for one in series.get(name, ()):
            side = one.labels.get("side", "")
            if side in sides and one.points:
                sides[side].counts[into] += round(sum(point.mean * point.count for point in one.points))
                said.add((name, side))
    if target.pays and not {("side_begun", side) for side in sides} <= said:
        missing.setdefault("paid", UNSAID)


def _depths(target: Target, series: Mapping[str, Sequence[Series]]) -> tuple[Depth, ...]:
    def by_queue(name: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for one in series.get(name, ()):
            found.setdefault(one.labels.get("queue_id", ""), []).extend(point.count for point in one.points)
        return found

    now, before = by_queue("depth"), by_queue("depth_before")
    delivered, late = Counter[str](), Counter[str]()
    for one in series.get("task_age", ()):
        queue = one.labels.get("queue", "")
        delivered[queue] += one.count
        late[queue] += sum(point.spread.above(LATE) for point in one.points)
    return tuple(
        Depth(
            queue=queue, minutes=tuple(now.get(queue, ())), before=max(before[queue]) if before.get(queue) else None,
            delivered=delivered[queue], late=late[queue],
        )
        for queue in target.queues
    )  # fmt: skip
