"""Starting queues: what is paused among those that are meant, the probe, and then one resume each.

Queues are made paused (`components/task_queue.py`). Nothing but these two verbs changes a queue's state afterwards, so
that a queue that somebody paused stays so through every apply. Starting again after an interruption is safe: what runs
is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import spec
from ops.errors import BadUsage, OpsError
from ops.output import counted
from ops.queues.calls import Calls
from ops.queues.probe import Prober, Trouble, until_well
from ops.queues.rests import spread
from spec.errors import choose

#: Seconds for which is probed: twice as long as Google says that bindings may take.
PATIENCE = 900.0


class NotSpread(OpsError):
    """The queues rest: a hop would be refused."""

    def __init__(self, troubles: list[Trouble], words: list[str], again: str) -> None:
        lines = [f"  {trouble.queue}: {trouble.why}" for trouble in troubles] + [f"  {text}" for text in words]
        super().__init__(
            "the queues stay paused: what they would dispatch is refused\n" + "\n".join(lines),
            why="a change of IAM takes minutes to be in force, or the binding is missing; tasks wait meanwhile",
            fix=f"{again} goes on; `./sluice preview` of the stack shows a binding that is missing",
        )
        self.troubles = troubles

    def as_json(self) -> dict[str, Any]:
        """With each hop, as data."""
        return {**super().as_json(), "refused": [trouble.as_json() for trouble in self.troubles]}


@dataclass(frozen=True, kw_only=True)
class Started:
    """What became of the queues that were meant."""

    resumed: list[str]
    running: list[str]
    rounds: int = 0
    unasked: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The form that --json prints."""
        unasked = [{"sender": sender, "queue": queue} for sender, queue in self.unasked]
        return {"resumed": self.resumed, "running": self.running, "rounds": self.rounds, "not_probed": unasked}


def chosen(calls: Calls, system: spec.System, names: Iterable[str], *, every: bool) -> dict[str, str]:
    """The queues that are meant with their states; refuses a name that is no queue of this stack."""
    there = calls.states()
    declared = {name: state for name, state in there.items() if name in system.queues}
    if every:
        return declared
    for name in names:
        if name not in declared:
            raise BadUsage(
                f"there is no queue {name!r} in {calls.place.parent}",
                why="nothing was done" if name not in there else "it is not declared in queue_configs/tasks/",
                fix=choose(name, declared, noun="queue"),
            )
    return {name: declared[name] for name in sorted(set(names))}


def absent(calls: Calls, system: spec.System) -> list[str]:
    """The queues that the specs declare and the stack does not have."""
    there = calls.states()
    return [name for name in sorted(system.queues) if name not in there]


def start(
    calls: Calls,
    system: spec.System,
    meant: dict[str, str],
    *,
    probe: bool,
    rounds: int = 0,
    pause: float = -1.0,
    patience: float = PATIENCE,
    again: str,
    tell: Callable[[str], None] = lambda _: None,
) -> Started:
    """Resume those that are paused, once a probe went well where one is wanted."""
    paused = [name for name, state in meant.items() if state != "RUNNING"]
    running = [name for name in meant if name not in paused]
    if not paused:
        return Started(resumed=[], running=running)
    unasked: list[tuple[str, str]] = []
    known = spread(calls.place)
    wanted = rounds or known.rounds
    if probe:
        prober = Prober(calls.place, system, paused)
        unasked = prober.unasked

        def told(well: int, troubles: list[Trouble]) -> None:
            refused = f"{counted(len(troubles), 'hop')} refused"
            state = refused if troubles else f"round {well} of {wanted} went well"
            tell(f"probing {counted(len(paused), 'queue')}: {state}")

        troubles = until_well(
            prober, rounds=wanted, pause=known.pause if pause < 0 else pause, patience=patience, tell=told
        )
        if troubles:
            raise NotSpread(troubles, prober.said(troubles), again)
    for name in paused:
        calls.steer(name, "resume")
    return Started(resumed=paused, running=running, rounds=wanted if probe else 0, unasked=unasked)
