"""A rollout that is under way, as those see it who would change something else: it is asked before the lock.

The lock tells only of a process that walks; a rollout whose walker is dead still stands at a share, and its end is to
come. What a person wants then is the rollout's own verbs, and no dead process. Leaves the rollout alone.
"""

from __future__ import annotations

from ops.errors import OpsError
from ops.place import Place, option
from ops.rollout.state import Rollout
from ops.rollout.store import Store


class UnderWay(OpsError):
    """A rollout is under way, and this is not done beside it."""


def rollout(place: Place) -> Rollout | None:
    """The one that is under way."""
    found, _ = Store(place).read()
    return found if found is not None and found.running else None


def said(place: Place, found: Rollout) -> str:
    """How it stands."""
    return f"a rollout of {found.target} is running in {place.stack}: {found.phase}, at {found.percent} %"


def ways(place: Place) -> str:
    """What to do about it."""
    there = option(place.stack)
    return (
        f"./sluice rollout status{there} says how it stands; ./sluice rollout resume{there} goes on with it, "
        f"./sluice rollout pause{there} holds its share, ./sluice rollout abort{there} takes it back"
    )


def deploy(place: Place, advice: str) -> str:
    """Advice to deploy; while a rollout is under way what comes before that, since nothing is deployed beside it."""
    try:
        found = rollout(place)
    except OpsError:  # what deploys will say so itself
        return advice
    if found is None:
        return advice
    there = option(place.stack)
    return (
        f"first end the rollout of {found.target}, beside which nothing is deployed: ./sluice rollout resume{there} "
        f"goes on to its end, ./sluice rollout abort{there} takes it back; then {advice}"
    )


def refuse(place: Place, why: str) -> None:
    """Refuse to go on beside a rollout."""
    found = rollout(place)
    if found is not None:
        raise UnderWay(said(place, found), why=why, fix=ways(place))
