"""`sluice drain`: wait until nothing that is queued meets a change, and with --pause keep it so until it is over.

Nothing is stopped that feeds the queues: senders go on, and what calls a service beside its queues is named. With
--pause the queues rest once they are empty; what comes then waits there, within the windows of its tokens.
"""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from ops import place, specs
from ops.auditing import audited
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.errors import OpsError
from ops.output import Output, counted
from ops.queues.calls import Calls
from ops.queues.draining import Drain, NotDrained, look, not_held, queues_of
from ops.verbs.clock import seconds
from spec.stack import LOCAL


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("drain")(drain)


def drain(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A service, a queue, or all.")],
    *,
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="Give up, exit 1, after so long.")] = "10m",
    change: Annotated[
        str, typer.Option("--change", metavar="TIME", help="How long the change takes: later tasks may stay.")
    ] = "10m",
    pause: Annotated[bool, typer.Option("--pause", help="Pause the queues once they are empty.")] = False,
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    named: Confirm = "",
    as_json: Json = False,
) -> None:
    """Wait until nothing queued meets a change.

    Waits until no task in the queues that lead into TARGET is being dispatched, or is due before a change that takes
    --change is over; exit 1 with what is left when --timeout is up. Senders go on: with --pause the queues rest once
    they are empty, what comes then waits in them, and the command that resumes is printed. Schedules, topics, public
    doors and direct calls are named, not held back.
    """
    out = Output(as_json=as_json)
    system = specs.load()
    names, beside = queues_of(system, target), not_held(system, target)
    here = place.of(stack)
    calls = Calls(here)
    waits = Drain(
        calls=calls,
        queues=names,
        change=seconds(change),
        timeout=seconds(timeout),
        again=f"./sluice drain {target}{' --pause' if pause else ''}" + place.option(stack),
        tell=out.progress,
    )
    if beside:
        out.plain(f"not held back: {', '.join(beside)}", style="yellow")
    if dry_run:
        _dry(out, calls, names, waits.change, pause=pause)
        return
    if pause and names:
        question = f"Pause {counted(len(names), 'queue')} of {stack} once they are empty: {', '.join(names)}?"
        confirm_change(here, f"{question} Payments wait meanwhile.", yes=yes, named=named, as_json=as_json)
    began, paused = here.now(), list[str]()
    try:
        seen = waits.until_empty()
        if pause:
            for one in seen:
                if one.state == "RUNNING":
                    calls.steer(one.queue, "pause")
                    paused.append(one.queue)
            seen = waits.until_quiet()
    except OpsError as error:
        left = sum(one.due for one in error.left) if isinstance(error, NotDrained) else -1
        audited(here, out.warn, "drain", target, drained=False, left=left, paused=paused)
        if paused:
            error.fix += f"; {_resume(paused, stack)} starts what was paused already"
        raise
    waited = (here.now() - began).total_seconds()
    audited(here, out.warn, "drain", target, drained=True, left=0, paused=paused)
    later = sum(one.later for one in seen)
    kept = f"; {counted(later, 'task')} scheduled for later" if later else ""
    out.step(f"{target}: nothing is due within {change}{kept}", f"{counted(len(seen), 'queue')}, waited {waited:.0f} s")
    if paused:
        out.say(f"{', '.join(paused)} paused; after the change:\n\n    {_resume(paused, stack)}")
    out.result(
        {
            **{"target": target, "drained": True, "waited_seconds": round(waited, 1)},
            **{"queues": [one.as_json() for one in seen], "not_held_back": beside},
            **{"paused": paused, "resume": _resume(paused, stack) if paused else None},
        }
    )


def _dry(out: Output, calls: Calls, names: list[str], change: float, *, pause: bool) -> None:
    seen, now = look(calls, names, change), calls.place.now()
    out.say(f"would wait for {counted(len(seen), 'queue')}" + (" and pause them then" if pause else ""))
    for one in seen:
        out.plain(f"  {one.said(now)}")
    to_pause = [one.queue for one in seen if pause and one.state == "RUNNING"]
    out.result({"would_wait_for": [one.as_json() for one in seen], "would_pause": to_pause})


def _resume(paused: list[str], stack: str) -> str:
    return f"./sluice queues resume {shlex.join(paused)}" + place.option(stack)
