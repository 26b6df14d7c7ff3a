"""The beginning of a rollout: what is refused, and the state that a walk goes on from.

Refused are what is no target, what is at 100 already, what a person has stopped, what was rolled back (until it is
forced), a stack whose record is not what this checkout declares, and a second rollout beside one that is under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import spec
from ops.errors import BadUsage, OpsError
from ops.place import Place
from ops.rollout import apply, gates, record
from ops.rollout.decide import WHOLE
from ops.rollout.state import Kind, Phase, Rollout, Rules, identity, text
from ops.rollout.store import Store
from ops.rollout.traffic import Live
from spec.errors import choose
from spec.record import encode
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


def planned(place: Place, store: Store, system: spec.System, wish: Wish) -> Rollout:
    """The rollout as it would begin; nothing is written."""
    kind = kind_of(system, wish.target)
    _free(store)
    live = _as_declared(place, store, system)
    if wish.target in place.config.stop:
        raise Refused(
            f"{wish.target} is stopped in {place.stack}",
            why="sluice:stop holds its share at 0, whatever a rollout wants",
            fix=f"take {wish.target} out of sluice:stop and deploy that",
        )
    percent = int(live["routes"][wish.target]["percent"]) if kind is Kind.ROUTE else 0
    if percent == WHOLE:
        raise Refused(f"{wish.target} is at 100 % already", why="there is no step left to take")
    now = text(place.now())
    begun = Rollout(
        id=identity(wish.target, place.now()), target=wish.target, kind=kind, phase=Phase.RUNNING,
        rules=_rules(place, wish, percent), who=place.who, by=place.who, began=now, percent=percent, wanted=percent,
        since=now,
    )  # fmt: skip
    if kind is Kind.ROUTE:
        _not_bad(store, wish)
    else:
        begun = _release(place, system, begun, wish)
    gates.sides(system, begun)  # what nothing can judge is not begun
    return begun


def _release(place: Place, system: spec.System, begun: Rollout, wish: Wish) -> Rollout:
    """With the revisions: what is stable, and what the template would be."""
    service = wish.target
    live = Live.read(place, service)
    entry = place.config.releases.get(service)
    if entry is not None and entry.stable not in (None, live.roles.stable):
        raise Refused(
            f"{service} runs {live.roles.stable}, and {place.stack}'s config says {entry.stable}",
            why="this checkout is not what is deployed",
            fix="./sluice up" if place.local else "check out what was deployed last, or deploy this first",
        )
    base = apply.base_digest(place)
    digest = "" if wish.digest in ("", base) else wish.digest
    stable = live.roles.stable
    kept = {"digest": digest, "previous": entry.previous if entry else ""}
    canary = apply.template_of(place, service, {"stable": stable, **{k: v for k, v in kept.items() if v}})
    if canary == stable:
        raise Refused(
            f"{canary} is what {service} runs already",
            why="its image and settings are those of the revision that takes the traffic",
            fix="name another image: --image sha256:...; ./sluice image list shows those of this machine"
            if place.local
            else "name another image: --image sha256:...",
        )
    if entry is not None and canary in (entry.rolled_back, entry.previous) and not wish.force:
        raise _bad(canary if canary == entry.rolled_back else f"{canary}, which is what was replaced last,", service)
    stable_digest = _digest(place, service, stable)
    keeps = entry is not None and entry.previous not in (None, canary)
    return replace(
        begun,
        phase=Phase.PREPARING,
        stable=stable,
        canary=canary,
        digest=digest,
        stable_digest="" if stable_digest == base else stable_digest,
        split=bool(system.service(service).public or system.topics_into(service)),
        previous=(entry.previous or "") if entry and keeps else "",
        keep_until=instant(entry.keep_until) if entry and keeps and entry.keep_until else "",
    )


def _digest(place: Place, service: str, revision: str) -> str:
    found = place.call("run", "GET", f"{place.parent}/services/{service}/revisions/{revision}")
    return str(found["containers"][0]["image"]).rpartition("@")[2]


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


def _free(store: Store) -> None:
    found, _ = store.read()
    if found is not None and found.running:
        raise Refused(
            f"a rollout is under way: {found.target}, {found.phase}, at {found.percent} %, begun by {found.who}",
            why="of two at once nobody could say which of them payments met",
            fix="./sluice rollout resume goes on with it, ./sluice rollout abort takes it back",
        )


def _as_declared(place: Place, store: Store, system: spec.System) -> dict[str, dict[str, dict[str, Any]]]:
    """The record in force; refused where this checkout declares another one."""
    kept = record.read(store.objects)
    if kept.data != encode(spec.record.record(system, place.config)).encode():
        raise Refused(
            f"the shares in force in {place.stack} are not those of this checkout's config",
            why="a rollout would write over what somebody else has set, and the next apply over the rollout",
            fix=f"./sluice preview --stack {place.stack} shows the difference; check out what was deployed, or deploy "
            "this first",
        )
    found: dict[str, dict[str, dict[str, Any]]] = kept.json
    return found


def _not_bad(store: Store, wish: Wish) -> None:
    past = store.past(wish.target)
    last = store.show(past[-1]) if past else None
    if last is not None and last.phase is Phase.ROLLED_BACK and not wish.force:
        raise _bad(f"{wish.target}, rolled back at {last.ended} ({last.why}),", wish.target)


def _bad(what: str, target: str) -> Refused:
    return Refused(
        f"{what} is not rolled out again by itself",
        why="it was found bad, or was taken out of the way",
        fix=f"mend it; or, where the reason is gone, ./sluice rollout start {target} --force",
    )
