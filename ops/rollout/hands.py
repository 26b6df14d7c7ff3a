"""The effects of a place, with its config and its apply, which are loaded when they are needed.

A rollback moves traffic and record before anything else: it must not wait for the engine's imports.
"""

from __future__ import annotations

import spec
from ops.output import Output
from ops.place import Place
from ops.rollout.effects import Effects
from ops.rollout.written import Written


def effects(place: Place, out: Output, *, by_hand: bool = False) -> Effects:
    """The hands of this place; `by_hand` says that somebody has run the apply that comes first."""
    done = [by_hand]

    def configure(change: Written) -> None:
        from ops.rollout import apply

        apply.configure(place, change)

    def applied(service: str | None) -> None:
        if done.pop() if done else False:
            return
        from ops.rollout import apply

        apply.apply(place, out, service)

    def declared() -> bytes:
        from ops import specs

        config = specs.config_of(place.stack)
        return spec.record.encode(spec.record.record(specs.load(place.stack), config)).encode()

    return Effects(place, configure=configure, apply=applied, declared=declared)
