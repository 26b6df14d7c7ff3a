"""Whether this checkout is what is deployed: its record the one in force, its revisions those that Cloud Run has.

A rollout, its `finish` and a rotation write values that they have read from the checkout and apply them: from an older
checkout that would be the way back to an older release, at once and at 100 %. Owns the comparison; what is held against
it, and when, is the commands'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import spec
from ops.errors import OpsError
from ops.place import Place
from ops.rollout import record, traffic
from ops.rollout.state import Phase
from ops.rollout.store import Kept, Objects, Store
from ops.rollout.traffic import Roles
from ops.stack import under_way
from spec.record import encode


class Other(OpsError):
    """What is deployed is not what this checkout declares."""


def same(place: Place, system: spec.System, service: str = "") -> Roles | None:
    """Refuse another record, and for a service other revisions; the roles that it has."""
    kept = record.read(Objects(place))
    if not same_record(place, system, kept):
        raise Other(
            f"the shares in force in {place.stack} are not those of this checkout's config",
            why="this would write over what somebody else has set, and the next apply over this",
            fix=f"./sluice preview --stack {place.stack} shows the difference; check out what was deployed, or "
            + under_way.deploy(place, "deploy this first"),
        )
    return same_roles(place, service) if service else None


def same_record(place: Place, system: spec.System, kept: Kept) -> bool:
    """Whether the record in force is the declared one, byte for byte."""
    return kept.data == encode(spec.record.record(system, place.config)).encode()


def same_roles(place: Place, service: str, *, half_finished: bool = False) -> Roles:
    """The roles that a service has; refused where this checkout's config says others.

    With `half_finished` a revision may be kept of which config says nothing any more.
    """
    live = traffic.read(place, service)
    entry = place.config.releases.get(service)
    if half_finished and entry is not None and entry.stable == live.stable and entry.previous is None:
        return live
    _refuse(place, list(_differs(place.config, service, live, _left(place, [service]))))
    return live


def same_services(place: Place, config: spec.StackConfig, services: Iterable[str]) -> None:
    """Refuse where one of them has other roles than this checkout's config says, as it is written down by now."""
    _refuse(place, differences(place, config, services))


def differences(place: Place, config: spec.StackConfig, services: Iterable[str]) -> list[str]:
    """What services have other than config says; one that is not deployed yet has nothing."""
    found: list[str] = []
    services = list(services)
    left = _left(place, [service for service in services if service not in config.releases])
    for service in services:
        if (live := traffic.found(place, service)) is not None:
            found += _differs(config, service, live, left)
    return found


def _left(place: Place, services: Iterable[str]) -> dict[str, str]:
    """What each service's last rollout left as stable, and with it an entry of `sluice:releases`.

    On this machine nobody has another checkout: who deletes the entry means it.
    """
    if place.local:
        return {}
    store, last = Store(place), dict[str, str]()
    for name in store.past():  # those of one target by time
        last[name.rpartition("-")[0]] = name
    over = {service: store.show(last[service]) for service in services if service in last}
    return {
        service: one.canary if one.phase is Phase.PROMOTED else one.stable
        for service, one in over.items()
        if one is not None
    }


def _refuse(place: Place, found: Sequence[str]) -> None:
    if found:
        raise Other(
            f"{found[0]} in {place.stack}'s config",
            why="this checkout is not what is deployed: an apply of it would move the traffic of payments",
            fix=under_way.deploy(place, "./sluice up")
            if place.local
            else "check out what was deployed last; or, where this one is meant, "
            + under_way.deploy(place, "deploy it first"),
        )


def _differs(config: spec.StackConfig, service: str, live: Roles, left: Mapping[str, str]) -> Iterator[str]:
    """Without an entry the newest revision is stable, whatever it is called: unless a rollout has left another one."""
    entry = config.releases.get(service)
    if entry is None and left.get(service) == live.stable:
        yield f"a rollout left {live.stable} as what is stable of {service}, and there is no entry of {service}"
    if entry is not None and entry.stable not in (None, live.stable):
        yield f"{service} runs {live.stable} as stable, and it is {entry.stable}"
    if live.previous != (previous := (entry.previous if entry else None) or ""):
        yield _kept(service, live.previous, previous)


def _kept(service: str, live: str, said: str) -> str:
    return f"{service} keeps {live or 'nothing'} as previous, and it is {said or 'nothing'}"
