"""The way back, by a person or by the gates: what payments feel first, everything else after it.

    begin         the state says so, and a walk that runs finds its next write refused
    move          the record, and Cloud Run's traffic in one update: work that is queued follows the tag to stable
    bring_about   once the lock is free: config, state, the word to people, what is still at work, the page

It works from every state: during a rollout, after a promotion (back to what was stable before), and with nothing kept,
by the tags that the service has. A route goes back to 0 %; `sluice:stop` is left to people, since a switch that a
command has thrown would hold the next rollout at 0. Source: DESIGN section 5, DECISIONS 17.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ops.errors import OpsError
from ops.place import Place
from ops.rollout import aftermath, lock, record
from ops.rollout.effects import Effects
from ops.rollout.state import Kind, Phase, Rollout, Rules, identity, text
from ops.rollout.store import Lost, Store
from ops.rollout.traffic import Live

#: What a rollback is called in the log; an alert goes by it.
EVENT = "rolled_back"
#: Real seconds to wait for a walk to let go of the lock: its apply ends first, and it moves back what that brings.
PATIENCE = 600.0
#: So often the state is written where somebody else was quicker.
TRIES = 20

#: Says a line to whoever watches.
Say = Callable[[str], None]


def _nobody(_: str) -> None:
    """Nobody watches."""


class NothingToRollBack(OpsError):
    """There is no other way that the target could go back to."""


class AlreadyBack(NothingToRollBack):
    """It was rolled back, and nothing was rolled out since."""


def begin(place: Place, store: Store, target: str, kind: Kind, why: str) -> Rollout:
    """Say that this target is taken back; NothingToRollBack where there is nothing to go back from.

    The rollout of another target that is under way goes on: then nothing is kept of this one but its page.
    """
    for _ in range(TRIES):
        found, generation = store.read()
        known = found if found is not None and found.target == target else None
        meant = (_known(place, known) if known else None) or _unknown(place, store, target, kind)
        meant = meant.turned(Phase.ROLLING_BACK, why, place.who)
        if found is not None and found.running and found.target != target:
            return meant
        try:
            store.write(meant, generation)
        except Lost:
            continue
        return meant
    raise Lost("the state of the rollout is being written by somebody else all the time", fix="repeat the command")


def run(
    place: Place,
    store: Store,
    effects: Effects,
    rollout: Rollout,
    say: Say = _nobody,
    *,
    moved: Callable[[], None] = lambda: None,
) -> Rollout:
    """All of it, after `begin`; `moved` is told when payments no longer meet what is bad."""
    effects.move_back(rollout)
    moved()
    other, _ = store.read()
    if other is not None and other.id != rollout.id and other.running:
        return _beside(place, store, effects, rollout, say)
    with lock.held(place, f"rollback of {rollout.target}", wait=PATIENCE):
        kept, _ = store.read()
        if kept is not None and kept.id == rollout.id and kept.phase is Phase.ROLLED_BACK:
            return kept  # two who asked for it: the other one was quicker
        return bring_about(place, store, effects, rollout, say)


def bring_about(place: Place, store: Store, effects: Effects, rollout: Rollout, say: Say = _nobody) -> Rollout:
    """The whole way back, by whoever holds the lock; moving twice is moving once."""
    effects.move_back(rollout)
    moved = text(place.now())
    try:
        effects.settle(rollout, bad=True)
    except OpsError as error:
        tell(place, rollout, say, left=str(error))
        raise
    tell(place, rollout, say)
    counts = aftermath.after(place, rollout, moved)
    done = replace(rollout.over(Phase.ROLLED_BACK, place.now(), 0), counts=counts)
    store.remember(done)
    store.write(done, store.read()[1])
    return done


def tell(place: Place, rollout: Rollout, say: Say, left: str = "") -> None:
    """The word to people: an entry in the log, which an alert sends on."""
    audit(
        place,
        say,
        "rollback",
        rollout.target,
        severity="WARNING",
        event=EVENT,
        why=rollout.why,
        rollout=rollout.id,
        percent=rollout.percent,
        bad=rollout.canary,
        stable=rollout.stable,
        by=rollout.by,
        **({"left": left} if left else {}),
    )


def audit(place: Place, say: Say, verb: str, subject: str, **detail: Any) -> None:
    """Write it down; what was done is not undone where that is refused, which is said."""
    try:
        place.audit(verb, subject, **detail)
    except OpsError as error:
        say(f"no audit entry of it was written ({error.what}): roles/logging.logWriter lets you write one")


def _beside(place: Place, store: Store, effects: Effects, rollout: Rollout, say: Say) -> Rollout:
    """While another target is rolled out: its next apply brings this one's state, too."""
    effects.configure_back(rollout)
    tell(place, rollout, say, left="the state follows with the next step of the rollout that is under way")
    done = rollout.over(Phase.ROLLED_BACK, place.now(), 0)
    store.remember(done)
    return done


def _known(place: Place, rollout: Rollout) -> Rollout | None:
    """The last rollout of the target, where it is what would be taken back."""
    if rollout.running:
        return rollout
    if rollout.phase is Phase.ROLLED_BACK:
        raise AlreadyBack(
            f"{rollout.target} was rolled back already, at {rollout.ended}, by {rollout.by}: {rollout.why}",
            why="nothing was done",
            fix=f"./sluice rollout show {rollout.id} is its page",
        )
    if rollout.phase is Phase.PROMOTED and rollout.kind is Kind.RELEASE:
        stands = Live.read(place, rollout.target).roles.stable == rollout.canary
        return replace(rollout, previous="", keep_until="") if stands else None
    return None


def _unknown(place: Place, store: Store, target: str, kind: Kind) -> Rollout:
    """What is known of a target without a rollout of its own."""
    stable, canary, percent, previous = _standing(place, store, target, kind)
    now = place.now()
    return Rollout(
        id=identity(target, now), target=target, kind=kind, phase=Phase.ROLLING_BACK,
        rules=Rules(steps=(), first_dwell=0, dwell=0, keep=0), who=place.who, began=text(now), percent=percent,
        wanted=percent, since=text(now), stable=stable, canary=canary, previous=previous,
    )  # fmt: skip


def _standing(place: Place, store: Store, target: str, kind: Kind) -> tuple[str, str, int, str]:
    """What would be stable, what would be left, its share, and what was stable before both."""
    if kind is Kind.ROUTE:
        percent = int(record.read(store.objects).json["routes"][target]["percent"])
        if percent == 0:
            raise NothingToRollBack(
                f"{target} is at 0 %", why="no payment takes its new way", fix="./sluice rollout status shows it"
            )
        return "", "", percent, ""
    roles = Live.read(place, target).roles
    if roles.canary:
        shares = record.read(store.objects).json["releases"]
        return roles.stable, roles.canary, int(shares.get(target, {}).get("percent", 0)), roles.previous
    if roles.previous:
        return roles.previous, roles.stable, 100, ""
    raise NothingToRollBack(
        f"{target} has no revision to go back to: {roles.stable} is stable, and nothing is kept beside it",
        why="a promotion keeps the old revision for a while, which is over, or there was none",
        fix=f"release the earlier image: ./sluice rollout start {target} --image DIGEST",
    )
