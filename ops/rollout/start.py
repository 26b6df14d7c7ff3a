"""The beginning of a rollout: what is refused, and the state that a walk goes on from.

Refused are what is no target, what is at 100 already, what a person has stopped, what was rolled back (until it is
forced), a stack whose record is not what this checkout declares, and a second rollout beside one that is under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import spec
from ops.errors import BadUsage, OpsError
from ops.place import Place, option
from ops.rollout import apply, checkout, gates, images, lock, record
from ops.rollout.decide import WHOLE
from ops.rollout.left import left, moves, still
from ops.rollout.state import Kind, Phase, Rollout, Rules, identity, moment, shown, text
from ops.rollout.store import Store
from spec.errors import choose
from spec.rollout import instant


class Refused(OpsError):
    """This rollout is not begun."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for."""

    target: str
    steps: Sequence[int] = ()
    dwell: float | None = None
    digest: str = ""
    force: bool = False


def kind_of(system: spec.System, target: str) -> Kind:
    """What a target is; BadUsage for a name that is none."""
    if target in system.routes:
        return Kind.ROUTE
    if target in system.services:
        return Kind.RELEASE
    raise BadUsage(
        f"there is neither a route nor a service {target!r}",
        why="nothing was done",
        fix=choose(target, [*system.routes, *system.services], noun="target"),
    )


def service_of(system: spec.System, name: str) -> str:
    """A service; BadUsage for a name that is none."""
    if name in system.services:
        return name
    raise BadUsage(
        f"there is no service {name!r}",
        why="nothing was done",
        fix=choose(name, [*system.services], noun="service"),
    )


def planned(place: Place, store: Store, system: spec.System, wish: Wish) -> Rollout:
    """The rollout as it would begin; nothing is written."""
    kind = kind_of(system, wish.target)
    free(place, store)
    checkout.same(place, system)
    if wish.target in place.config.stop:
        raise Refused(
            f"{wish.target} is stopped in {place.stack}",
            why="sluice:stop holds its share at 0, whatever a rollout wants",
            fix=f"take {wish.target} out of sluice:stop and deploy that",
        )
    live = record.said(record.read(store.objects))
    percent = int(record.of(live, wish.target)["percent"]) if kind is Kind.ROUTE else 0
    if percent == WHOLE:
        raise Refused(f"{wish.target} is at 100 % already", why="there is no step left to take")
    now = text(place.now())
    begun = Rollout(
        id=identity(wish.target, place.now()), target=wish.target, kind=kind, phase=Phase.RUNNING,
        rules=_rules(place, wish, percent), who=place.who, by=place.who, began=now, percent=percent, wanted=percent,
        began_at=percent, since=now,
    )  # fmt: skip
    if kind is Kind.ROUTE:
        if not wish.force:
            _not_bad(store, wish.target)
    else:
        begun = _release(place, store, system, begun, wish)
    gates.sides(system, begun)  # what nothing can judge is not begun
    return begun


def begin(place: Place, store: Store, system: spec.System, wish: Wish, confirmed: Rollout) -> None:
    """Under the lock: keep the state of what was confirmed; Refused where it would be another rollout by now.

    Between the question and its answer config may have been edited, a key rotated, another rollout walked to its end.
    """
    _, generation = store.read()
    meant = planned(place, store, system, wish)
    if replace(meant, id=confirmed.id, began=confirmed.began, since=confirmed.since) != confirmed:
        raise Refused(
            f"the rollout of {wish.target} would be another one by now than the one that was confirmed",
            why="its revisions, image, share or steps were changed meanwhile",
            fix="repeat the command, which shows it as it is now",
        )
    store.write(confirmed, generation)


def _release(place: Place, store: Store, system: spec.System, begun: Rollout, wish: Wish) -> Rollout:
    """With the revisions: what is stable, and what the template would be."""
    service = wish.target
    stable = checkout.same_roles(place, service).stable
    _nothing_left(place, service)
    entry = place.config.releases.get(service)
    base = images.base(place)
    digest = "" if wish.digest in ("", base) else wish.digest
    kept = {"digest": digest, "previous": entry.previous if entry else ""}
    canary = apply.template_of(place, service, {"stable": stable, **{k: v for k, v in kept.items() if v}})
    if canary == stable:
        raise Refused(
            f"{canary} is what {service} runs already",
            why="its image and settings are those of the revision that takes the traffic",
            fix=f"change the code or the settings of {service} and give the same command again, or name another image: "
            "--image sha256:...; ./sluice image list shows those of this machine"
            if place.local
            else "name another image: --image sha256:...",
        )
    if not wish.force:
        _not_bad(store, service, canary)
        if entry is not None and canary in (entry.rolled_back, entry.previous):
            said = canary if canary == entry.rolled_back else f"{canary}, which is what was replaced last,"
            raise _bad(said, service)
    keeps = entry is not None and entry.previous not in (None, canary)
    return replace(
        begun,
        phase=Phase.PREPARING,
        stable=stable,
        canary=canary,
        digest=digest,
        stable_digest=images.own(place, service, stable),
        split=bool(system.service(service).public or system.topics_into(service)),
        previous=(entry.previous or "") if entry and keeps else "",
        keep_until=instant(entry.keep_until) if entry and keeps and entry.keep_until else "",
    )


def _nothing_left(place: Place, service: str) -> None:
    """What comes between this look and the deployment, the walk finds before it deploys."""
    if found := left(place, service):
        raise Refused(
            still(service, found),
            why="they follow the tag, so that payments which met the stable revision would meet the new one",
            fix=f"wait for them, or move them: {moves(place, found)}",
        )


def _rules(place: Place, wish: Wish, percent: int) -> Rules:
    said = place.config.rollout
    steps = tuple(step for step in (wish.steps or said.steps) if step > percent)
    if any(not 1 <= step <= WHOLE for step in steps) or list(steps) != sorted(set(steps)) or steps[-1:] != (WHOLE,):
        raise BadUsage(
            f"{','.join(map(str, wish.steps))} is no way from {percent} to 100",
            why="a rollout would not end, or take payments back from the new way",
            fix="write ascending whole numbers that end with 100: --steps 10,50,100",
        )
    return Rules(
        steps=steps,
        first_dwell=said.first_dwell.seconds if wish.dwell is None else wish.dwell,
        dwell=said.dwell.seconds if wish.dwell is None else wish.dwell,
        keep=said.keep.seconds,
    )


def free(place: Place, store: Store) -> None:
    """Refuse to go on while a rollout is under way; said is who walks it, and what to do about it."""
    found, _ = store.read()
    if found is None or not found.running:
        return
    there = option(place.stack)
    walks = lock.holder_of(place)
    if walks is None or walks.own or not walks.what.startswith("rollout"):
        said = f"nobody walks it: ./sluice rollout resume{there} goes on with it"
    else:
        since = shown((place.now() - moment(walks.since)).total_seconds())
        said = (
            f"{walks.who} walks it, process {walks.pid} on {walks.host}, for {since}: it goes on by itself, and "
            f"./sluice rollout status{there} says how it stands"
        )
    raise Refused(
        f"a rollout is under way: {found.target}, {found.phase}, at {found.percent} %, begun by {found.who}",
        why="of two at once nobody could say which of them payments met",
        fix=f"{said}; ./sluice rollout abort{there} takes it back",
    )


def _not_bad(store: Store, target: str, canary: str = "") -> None:
    """Refuse what was found bad the last time that it was tried to its end; what was tried beside it says nothing."""
    for name in reversed(store.past(target)):
        last = store.show(name)
        if last is None or last.phase is Phase.ABORTED or last.canary != canary:
            continue
        if last.phase is Phase.ROLLED_BACK:
            raise _bad(f"{canary or target}, rolled back at {last.ended} ({last.why}),", target)
        return


def _bad(what: str, target: str) -> Refused:
    return Refused(
        f"{what} is not rolled out again by itself",
        why="it was found bad, or was taken out of the way",
        fix=f"mend it; or, where the reason is gone, ./sluice rollout start {target} --force",
    )
