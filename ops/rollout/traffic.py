"""What Cloud Run is told of a service's revisions: tags are roles, and only doors without a sender are split by it.

The base URL is the stable revision's, and queued work reaches the canary by its tag, so a step changes nothing here for
most services. A public door and one that a topic pushes to have no sender that chooses: Cloud Run splits what comes.
Rolling back points the canary's tag at the stable revision in the same one update. Owns the targets, as the program
declares them (`components/run_service`), and the update; it names revisions, never the latest.
Source: https://cloud.google.com/run/docs/rollouts-rollbacks-traffic-migration.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.errors import CallFailed, OpsError
from ops.place import Place
from ops.rollout import store
from ops.stack import under_way
from spec.names import CANARY_TAG, PREVIOUS_TAG, STABLE_TAG

if TYPE_CHECKING:
    from google.cloud import run_v2

#: How long the change of a service may take, in seconds.
PATIENCE = 120.0
#: Real seconds between two looks at a change that somebody else has asked for.
LOOK = 0.5


class Broken(OpsError):
    """Cloud Run could not be asked just now, or is at something else; the next try may be answered."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Which revision is what; `percent` is the canary's share where Cloud Run splits."""

    stable: str
    canary: str = ""
    previous: str = ""
    percent: int = 0


def read(place: Place, service: str) -> Roles:
    """The roles of a service by its tags; OpsError where there is no such service."""
    there = found(place, service)
    if there is None:
        raise OpsError(
            f"the service {service} is not deployed in {place.stack}",
            why="nothing could be rolled out beside what takes its traffic",
            fix=under_way.deploy(place, "./sluice up" if place.local else f"pulumi up --stack {place.stack}"),
        )
    return there


def found(place: Place, service: str) -> Roles | None:
    """The same; None where there is no such service."""
    try:
        return roles(place.call("run", "GET", f"{place.parent}/services/{service}").get("traffic", ()))
    except CallFailed as error:
        if error.status == 404:
            return None
        raise


def roles(targets: Any) -> Roles:
    """The roles that a service's traffic targets say."""
    tags: dict[str, str] = {}
    shares: dict[str, int] = {}
    for target in targets:
        revision = str(target.get("revision", "")).rpartition("/")[2]
        if tag := target.get("tag"):
            tags[str(tag)] = revision
        shares[revision] = shares.get(revision, 0) + int(target.get("percent", 0))
    stable = tags.get(STABLE_TAG) or max(shares, key=lambda one: shares[one], default="")
    canary = tags.get(CANARY_TAG, "")
    return Roles(
        stable=stable,
        canary=canary if canary != stable else "",
        previous=tags.get(PREVIOUS_TAG, ""),
        percent=shares.get(canary, 0) if canary != stable else 0,
    )


def targets(meant: Roles) -> list[dict[str, Any]]:
    """The targets of roles, in the program's order."""
    found: list[dict[str, Any]] = [{"revision": meant.stable, "percent": 100 - meant.percent, "tag": STABLE_TAG}]
    found.append({"revision": meant.canary or meant.stable, "percent": meant.percent, "tag": CANARY_TAG})
    if meant.previous:
        found.append({"revision": meant.previous, "percent": 0, "tag": PREVIOUS_TAG})
    return found


class Move:
    """A change of traffic that has been asked for; `wait` until it is in force."""

    def __init__(self, operation: Any, service: str) -> None:
        self._operation, self._service = operation, service

    def wait(self) -> None:
        """Until Cloud Run has done it."""
        from google.api_core.exceptions import GoogleAPICallError

        try:
            self._operation.result(PATIENCE)
        except (GoogleAPICallError, TimeoutError) as error:
            raise _refused(self._service, error) from error


class Coming:
    """A change that was asked for before and is being made."""

    def __init__(self, clients: run_v2.ServicesClient, name: str) -> None:
        self._clients, self._name = clients, name

    def wait(self) -> None:
        """Until Cloud Run has made it, or has given up: the next look says which."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._clients.get_service(name=self._name).reconciling:
            store.pause(LOOK)
        raise Broken(f"the change of {self._name.rpartition('/')[2]} is looked at again")


def move(
    place: Place, clients: run_v2.ServicesClient, service: str, meant: Roles, *, etag: str = ""
) -> Move | Coming | None:
    """Ask for the traffic of a service, which leaves its template alone; None where it is in force already.

    With an etag the change is refused, as Lost, where somebody has changed the service since it was read.
    """
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud import run_v2

    name = f"{place.parent}/services/{service}"
    try:
        found = clients.get_service(name=name)
        wanted = [_target(run_v2, target) for target in targets(meant)]
        if [_plain(one) for one in found.traffic] == [_plain(one) for one in wanted]:
            if found.reconciling:
                return Coming(clients, name)
            if sorted(map(_plain, found.traffic_statuses)) == sorted(map(_plain, wanted)):
                return None
        changed = run_v2.Service(name=name, traffic=wanted, etag=etag)
        operation = clients.update_service(request={"service": changed, "update_mask": {"paths": ["traffic"]}})
    except GoogleAPICallError as error:
        raise _refused(service, error, bound=bool(etag)) from error
    return Move(operation, service)


def insist(
    place: Place, clients: run_v2.ServicesClient, service: str, meant: Roles, *, etag: str = "",
    again: Sequence[float] = store.AGAIN,
) -> None:  # fmt: skip
    """Move and wait, and again where that broke: what was asked for before is found as done."""
    for wait in again:
        try:
            if asked := move(place, clients, service, meant, etag=etag):
                asked.wait()
            return
        except Broken:
            store.pause(wait)
    if asked := move(place, clients, service, meant, etag=etag):
        asked.wait()


def etag_of(place: Place, clients: run_v2.ServicesClient, service: str) -> str:
    """What a change of the service as it is now is bound to."""
    from google.api_core.exceptions import GoogleAPICallError

    for wait in (*store.AGAIN, None):
        try:
            return str(clients.get_service(name=f"{place.parent}/services/{service}").etag)
        except GoogleAPICallError as error:
            refused = _refused(service, error)
            if wait is None or not isinstance(refused, Broken):
                raise refused from error
            store.pause(wait)
    raise AssertionError  # the last round returns or raises


def _target(run: Any, target: Mapping[str, Any]) -> run_v2.TrafficTarget:
    kind = run.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
    made: run_v2.TrafficTarget = run.TrafficTarget(type_=kind, **target)
    return made


def _plain(target: run_v2.TrafficTarget | run_v2.TrafficTargetStatus) -> tuple[str, int, str]:
    return target.revision.rpartition("/")[2], target.percent, target.tag


def _refused(service: str, error: Exception, *, bound: bool = False) -> OpsError:
    """What to make of it: a conflict passes, or says that the service is another now where the change was bound."""
    from google.api_core import exceptions

    kind: type[OpsError] = OpsError
    if isinstance(error, exceptions.Conflict):
        kind = store.Lost if bound else Broken
    elif isinstance(error, exceptions.ServerError | exceptions.TooManyRequests | TimeoutError):
        kind = Broken
    return kind(
        f"the traffic of {service} was not changed: {error}",
        why="payments go on as they did",
        fix="mend what Cloud Run says and repeat the command, which goes on from there",
    )
