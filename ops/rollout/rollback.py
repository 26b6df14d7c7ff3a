"""The way back, by a person or by the gates: what payments feel first, everything else after it.

    begin         the state says so, and a walk that runs finds its next write refused
    move          the record, and Cloud Run's traffic in one update: work that is queued follows the tag to stable
    bring_about   once the lock is free: config, state, the word to people, what is still at work, the page

It works from every state: during a rollout, after a promotion (back to what was stable before), and with nothing kept,
by the tags that the service has. A route goes back to 0 %; `sluice:stop` is left to people, since a switch that a
command has thrown would hold the next rollout at 0. Source: DESIGN section 5, DECISIONS 17.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ops.auditing import Say, audited
from ops.errors import OpsError
from ops.place import Place
from ops.rollout import aftermath, images, lock, record, traffic
from ops.rollout.effects import ByHand, Effects, NotDeclared
from ops.rollout.lock import Lock
from ops.rollout.state import Kind, Phase, Rollout, Rules, identity, text
from ops.rollout.store import Lost, Store, insisted
from ops.stack import under_way

#: What a rollback is called in the log; an alert goes by it.
EVENT = "rolled_back"
#: Real seconds between two moves back while a walk's apply, which may bring the share once more, has not ended.
AGAIN = 5.0
#: Real seconds before config and state are brought again where that failed: somebody else may apply just now.
SETTLE: Final = (5.0, 15.0, 30.0, 60.0, 60.0)
#: What waits between two tries.
pause = time.sleep


def _nobody(_: str) -> None:
    """Nobody watches."""


class NothingToRollBack(OpsError):
    """There is no other way that the target could go back to."""


class AlreadyBack(NothingToRollBack):
    """It was rolled back, and nothing was rolled out since."""


def begin(place: Place, store: Store, target: str, kind: Kind, why: str) -> Rollout:
    """Say that this target is taken back; NothingToRollBack where there is nothing to go back from.

    The rollout of another target that is under way goes on: then nothing is kept of this one but its page. A release is
    taken back also where nothing can be kept: its traffic needs no bucket.
    """
    try:
        return _begun(place, store, target, kind, why)
    except (NothingToRollBack, Lost):
        raise
    except OpsError:
        if kind is Kind.ROUTE:
            raise
        return _unknown(place, store, target, kind).turned(Phase.ROLLING_BACK, why, place.who)


def meant(place: Place, store: Store, found: Rollout | None, target: str, kind: Kind) -> Rollout:
    """What would be taken back, `found` being the running or last rollout; nothing is written."""
    known = _known(place, found) if found is not None and found.target == target else None
    return known or _unknown(place, store, target, kind)


def _begun(place: Place, store: Store, target: str, kind: Kind, why: str) -> Rollout:
    def once() -> Rollout:
        found, generation = store.read()
        begun = meant(place, store, found, target, kind).turned(Phase.ROLLING_BACK, why, place.who)
        if found is None or not found.running or found.target == target:
            store.write(begun, generation)
        return begun

    return insisted(once)


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
    held = _lock(place, effects, rollout, say)
    try:
        kept, _ = store.read()
        if kept is not None and kept.id == rollout.id and kept.phase is Phase.ROLLED_BACK:
            return kept  # two who asked for it: the other one was quicker
        return bring_about(place, store, effects, rollout, say)
    finally:
        held.release()


def _lock(place: Place, effects: Effects, rollout: Rollout, say: Say) -> Lock:
    """The lock, however long its holder renews it; what his apply brings meanwhile is moved back."""
    said, what = False, f"rollback of {rollout.target}"
    while True:
        try:
            return lock.acquire(place, what, wait=AGAIN)
        except lock.Locked as error:
            if not said:
                say(f"payments are moved; config and state wait for the lock: {error.what}")
            said = True
        with contextlib.suppress(OpsError):
            holder = lock.holder_of(place)
            if holder is None or holder.what != what:  # who takes back the same has no share to bring, only an apply
                effects.move_back(rollout)  # that the record's hold would refuse


def bring_about(place: Place, store: Store, effects: Effects, rollout: Rollout, say: Say = _nobody) -> Rollout:
    """The whole way back, by whoever holds the lock; moving twice is moving once."""
    moved = ""
    for number, wait in enumerate((*SETTLE, None)):
        effects.move_back(rollout)
        moved = moved or text(place.now())
        try:
            effects.settle(rollout, bad=True)
            break
        except OpsError as error:
            if number == 0:
                tell(place, rollout, say, left=str(error))
            if wait is None or isinstance(error, ByHand | NotDeclared):  # a person has to do something first
                raise
            say(f"config and state follow, tried again in {wait:.0f} s: {error.what}")
            pause(wait)
    tell(place, rollout, say)
    counts = aftermath.after(place, rollout, moved)
    done = replace(rollout.over(Phase.ROLLED_BACK, place.now(), 0), counts=counts)
    store.remember(done)
    store.write(done, store.read()[1])
    return done


def tell(place: Place, rollout: Rollout, say: Say, left: str = "") -> None:
    """The word to people: an entry in the log, which an alert sends on."""
    audited(
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


def _beside(place: Place, store: Store, effects: Effects, rollout: Rollout, say: Say) -> Rollout:
    """While another target is rolled out, whose applies at Google bring the record and that target alone."""
    effects.configure_back(rollout)
    left = "the state follows with the next step of the rollout that is under way"
    if rollout.kind is Kind.RELEASE and not place.local:
        from ops.rollout import apply

        command = shlex.join(apply.pulumi(place.stack, rollout.target))
        left = f"the state does not follow by itself: once the rollout that is under way is over, run {command}"
    say(left)
    tell(place, rollout, say, left=left)
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
        stands = traffic.read(place, rollout.target).stable == rollout.canary
        if not stands:
            return None
        digest = _digest(place, rollout.target, rollout.stable)  # the stack's image may be another one by now
        return replace(rollout, previous="", keep_until="", stable_digest=digest)
    return None


def _unknown(place: Place, store: Store, target: str, kind: Kind) -> Rollout:
    """What is known of a target without a rollout of its own."""
    stable, canary, percent, previous = _standing(place, store, target, kind)
    now = place.now()
    return Rollout(
        id=identity(target, now), target=target, kind=kind, phase=Phase.ROLLING_BACK,
        rules=Rules(steps=(), first_dwell=0, dwell=0, keep=0), who=place.who, began=text(now), percent=percent,
        wanted=percent, since=text(now), stable=stable, canary=canary, previous=previous,
        stable_digest=_digest(place, target, stable) if stable else "",
    )  # fmt: skip


def _digest(place: Place, service: str, revision: str) -> str:
    """The image to go back to, or the template would be of the stack's, which nobody may have tried in this service."""
    try:
        return images.own(place, service, revision)
    except OpsError:  # config in the middle of an edit: to name what the stack has says the same
        return images.of(place, service, revision)


def _standing(place: Place, store: Store, target: str, kind: Kind) -> tuple[str, str, int, str]:
    """What would be stable, what would be left, its share, and what was stable before both."""
    if kind is Kind.ROUTE:
        percent = int(record.of(record.said(record.read(store.objects)), target)["percent"])
        if percent == 0:
            raise NothingToRollBack(
                f"{target} is at 0 %", why="no payment takes its new way", fix="./sluice rollout status shows it"
            )
        return "", "", percent, ""
    roles = traffic.read(place, target)
    if roles.canary:
        return roles.stable, roles.canary, _share(store, target), roles.previous
    if roles.previous:
        return roles.previous, roles.stable, 100, ""
    raise NothingToRollBack(
        f"{target} has no revision to go back to: {roles.stable} is stable, and nothing is kept beside it",
        why="a promotion keeps the old revision for a while, which is over, or there was none",
        fix=under_way.deploy(place, f"release the earlier image: ./sluice rollout start {target} --image DIGEST"),
    )


def _share(store: Store, service: str) -> int:
    """The share of a canary, for the page: a record that cannot be read stands in no release's way back."""
    try:
        return int(record.said(record.read(store.objects))["releases"].get(service, {}).get("percent", 0))
    except OpsError:
        return 0
