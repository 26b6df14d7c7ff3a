"""`sluice queues move`: waiting tasks made anew, on the stable side of a release or in another queue of the edge.

For tasks that are addressed to a bad revision, and for a queue that is taken away. `ops/queues/move.py` says why a move
that is cut short is simply given again.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from ops import place, specs
from ops.auditing import audited
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.errors import BadUsage
from ops.output import Output, counted
from ops.queues import move as moving
from ops.queues import pace
from ops.queues.calls import Calls
from ops.queues.tasks import STABLE, read
from ops.verbs.queues.common import Queue, Rate
from spec.stack import LOCAL


def move(
    queue: Queue,
    target: Annotated[str, typer.Argument(metavar="TO", help="A queue with the same receiver, path and message.")] = "",
    *,
    side: Annotated[
        str, typer.Option("--to-side", metavar="SIDE", help="stable: to the service's base URL, in this queue.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="So many at most; 0 is all.")] = 0,
    rate: Rate = "50/s",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    named: Confirm = "",
    as_json: Json = False,
) -> None:
    """Make waiting tasks anew, on the stable side or elsewhere.

    With TO all tasks of QUEUE go to another queue of the same receiver, path and message; with --to-side stable those
    that are addressed to a tag go to the service's base URL. Body, headers and schedule stay; attempts and age limits
    begin anew, tokens do not. Each is made first and deleted after that: a move that is cut short loses none, and is
    given again.
    """
    out = Output(as_json=as_json)
    if bool(target) == bool(side):
        raise BadUsage("say where to", fix="name a queue, or --to-side stable")
    if side and side != STABLE:
        raise BadUsage(
            f"--to-side is {side}",
            why="which payments meet a canary is chosen when their tasks are made, and stays so",
            fix="--to-side stable",
        )
    per_second = pace.per_second(rate)
    here = place.of(stack)
    calls = Calls(here)
    running = str(calls.queue(queue).get("state", "RUNNING")) == "RUNNING"
    found = (
        moving.to_queue(calls, specs.load(), queue, target, limit=limit)
        if target
        else moving.to_stable(calls, queue, limit=limit)
    )
    where = f"to {target}" if target else f"to the stable side of {queue}"
    left = {"running": found.running, "probes": found.probes}
    if dry_run:
        out.say(f"would move {counted(len(found.chosen), 'task')} of {queue} {where}")
        for task in found.chosen:
            one = read(task)
            out.plain(f"  {one.id}  {one.url}  ->  {found.target}/{moving.moved_id(one.id)}")
        _say_left(out, left)
        out.result({"would_move": [read(task).id for task in found.chosen], "left": left})
        return
    counts: Counter[str] = Counter()
    if found.chosen:
        # A task that falls due between its copy and its end is delivered twice.
        twice = (
            " The queue runs: one that falls due meanwhile arrives twice, which receivers take once; "
            f"`./sluice queues pause {queue}` first avoids that."
            if running
            else ""
        )
        fresh = " Their attempts and age limits begin anew, their tokens do not."
        if side:
            fresh += " Payments that have met the other side meet both, as after a rollback."
        confirm_change(
            here,
            f"Move {counted(len(found.chosen), 'task')} of {queue} in {stack} {where}?{fresh}{twice}",
            yes=yes,
            named=named,
            as_json=as_json,
        )
        try:
            found.carry(calls, rate=per_second, counts=counts)
        finally:
            audited(here, out.warn, "queues move", queue, to=target or side, meant=len(found.chosen), **counts)
    moved = counts["moved"] + counts["moved_before"]
    out.step(f"{counted(moved, 'task')} moved {where}") if moved else out.say(f"no task is to be moved {where}")
    if counts["dispatched_meanwhile"]:
        out.plain(f"{counts['dispatched_meanwhile']} were over here before their copies were made: those go out too")
    _say_left(out, left)
    out.result(
        {
            **{"queue": queue, "to": target or side, "moved": counts["moved"], "moved_before": counts["moved_before"]},
            **{"dispatched_meanwhile": counts["dispatched_meanwhile"], "left": left},
        }
    )


def _say_left(out: Output, left: dict[str, int]) -> None:
    if left["running"]:
        out.plain(f"{left['running']} stay: an attempt of each runs; give the command again for what is refused")
    if left["probes"]:
        out.plain(f"{left['probes']} stay: they are probes of `queues resume`")
