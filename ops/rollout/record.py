"""The rollout record as a rollout writes it: the bytes that the program declares, with one share changed.

What services read every five seconds is this object. It is changed in place, so that a rollback need not load the
specs; `spec.record` owns its shape and its bytes. While a rollout runs the object is held: Cloud Storage itself then
refuses an apply that would write another one, and with it all that depends on it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from ops.errors import OpsError
from ops.rollout.state import Kind, Rollout
from ops.rollout.store import Kept, Lost, Objects, insisted
from spec.names import RECORD_OBJECT
from spec.record import encode

Change = Callable[[dict[str, Any]], None]


def read(objects: Objects) -> Kept:
    """The record as it is in force."""
    kept = objects.read(RECORD_OBJECT)
    if not kept.there:
        raise OpsError(
            f"there is no {RECORD_OBJECT} in {objects.bucket}",
            why="the stack was deployed by a release without it, and services go by their defaults",
            fix="deploy the stack first, as it is declared now",
        )
    return kept


def changed(kept: Kept, change: Change) -> bytes:
    """The bytes after a change."""
    value = said(kept)
    change(value)
    return encode(value).encode()


def said(kept: Kept) -> dict[str, dict[str, dict[str, Any]]]:
    """What a record says: its routes and its releases."""
    try:
        value: dict[str, dict[str, dict[str, Any]]] = json.loads(kept.data)
        if all(isinstance(value[part], dict) for part in ("routes", "releases")):
            return value
    except (ValueError, TypeError, KeyError):
        pass
    raise OpsError(
        f"{RECORD_OBJECT} is no record of shares",
        why="services that read it go by the last one that they could read",
        fix="delete that version: those before it are kept in the bucket; or deploy the stack, which writes it anew",
    )


def write(objects: Objects, kept: Kept, change: Change) -> Kept:
    """Write a change over what was read, and hold it. Lost where somebody else was quicker."""
    data = changed(kept, change)
    if data == kept.data:
        objects.hold(RECORD_OBJECT, on=True, generation=kept.generation)
        return kept
    objects.hold(RECORD_OBJECT, on=False, generation=kept.generation)
    return Kept(data, objects.write(RECORD_OBJECT, data, over=kept.generation, hold=True))


def insist(objects: Objects, change: Change) -> Kept:
    """Write a change over whatever is there, and hold it: of a walk and a rollback the rollback comes last."""
    return insisted(lambda: write(objects, read(objects), change), RECORD_OBJECT)


def release(objects: Objects) -> None:
    """Take the hold away, so that an apply may write it."""

    def once() -> None:
        kept = objects.read(RECORD_OBJECT)
        if kept.there:
            objects.hold(RECORD_OBJECT, on=False, generation=kept.generation)

    with contextlib.suppress(Lost):  # the apply is refused then, and says so
        insisted(once, RECORD_OBJECT)


def share(rollout: Rollout, percent: int) -> Change:
    """A share of the target: of a route, or of a service's canary, which has an entry while it is tried."""
    if rollout.kind is Kind.ROUTE:
        return route_share(rollout.target, percent)

    def change(value: dict[str, Any]) -> None:
        entry = {"percent": percent, "salt": rollout.canary, "canary": rollout.canary}
        value["releases"] = {**value["releases"], rollout.target: entry}

    return change


def route_share(route: str, percent: int) -> Change:
    """A route's share."""

    def change(value: dict[str, Any]) -> None:
        of(value, route)["percent"] = percent

    return change


def of(value: Mapping[str, Any], route: str) -> dict[str, Any]:
    """What a record says of a route."""
    found = value["routes"].get(route)
    if not isinstance(found, dict):
        raise OpsError(
            f"{RECORD_OBJECT} says nothing of the route {route}",
            why="services go by its default",
            fix="deploy the stack, as it is declared now",
        )
    return found


def no_release(service: str) -> Change:
    """A service of which nothing is tried."""

    def change(value: dict[str, Any]) -> None:
        value["releases"].pop(service, None)

    return change


def whole(target: str, kind: Kind, percent: int) -> Change:
    """The end of a rollout: a route at a share, a service without a canary."""
    return route_share(target, percent) if kind is Kind.ROUTE else no_release(target)
