"""`sluice queues list|pause|resume`: queues' states; they start once a probe has shown that hops are let through."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ops import place, specs
from ops.auditing import audited
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.errors import BadUsage, OpsError
from ops.output import Output, counted
from ops.queues.calls import Calls
from ops.queues.start import PATIENCE, Started, absent, chosen, start
from ops.verbs.clock import seconds
from spec.stack import LOCAL

Names = Annotated[list[str] | None, typer.Argument(metavar="QUEUE...", help="Their names.")]
Every = Annotated[bool, typer.Option("--all", help="Every queue that the specs declare.")]
#: What is said of a queue that the specs declare and the stack does not have.
GAP = "declared, not there"


def list_(*, stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Print every queue that is there."""
    out = Output(as_json=as_json)
    calls = Calls(place.of(stack))
    found = calls.states()
    try:
        gaps = absent(calls, specs.load())
    except specs.SpecsRefused:  # what is there can be listed in the middle of an edit
        gaps = []
    rows = [[name, state.lower()] for name, state in found.items()] + [[name, GAP] for name in gaps]
    if rows:
        out.table(["queue", "state"], sorted(rows))
    else:
        out.say("there is no queue")
    out.result({"queues": found, "declared_not_there": gaps})


def resume(
    names: Names = None,
    *,
    every: Every = False,
    new_since: Annotated[
        Path | None,
        typer.Option(
            "--new-since",
            metavar="FILE",
            help="Those that are not in this file, `queues list --json` before the apply.",
        ),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="First send a task that effects nothing over each hop, until all arrive.")
    ] = False,
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds",
            metavar="N",
            min=0,
            show_default=False,
            help="So many good rounds in a row; by default, with 0, 5 on Google Cloud and 1 locally.",
        ),
    ] = 0,
    between: Annotated[
        str,
        typer.Option(
            "--pause", metavar="TIME", help="Between two rounds; by default 15s on Google Cloud, half a second locally."
        ),
    ] = "",
    patience: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="Give up, exit 1, after so long; 15m by default.")
    ] = "",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    named: Confirm = "",
    as_json: Json = False,
) -> None:
    """Resume; exit 1 with what is refused where the probe does not go well in time."""
    out = Output(as_json=as_json)
    _meant(names, every=every, new_since=new_since)
    here, system = place.of(stack), specs.load()
    calls = Calls(here)
    meant = chosen(calls, system, names or (), every=every or new_since is not None)
    if new_since is not None:
        before = _listed(new_since)
        meant = {name: state for name, state in meant.items() if name not in before}
    gaps = [] if names else absent(calls, system)
    if gaps and probe:
        raise OpsError(
            f"{GAP}: {', '.join(gaps)}",
            why="what is put into them is refused, so that no probe can go well; nothing was started",
            fix="./sluice up deploys them" if stack == LOCAL else f"pulumi up --stack {stack} deploys them",
        )
    paused = [name for name, state in meant.items() if state != "RUNNING"]
    if dry_run:
        out.say(f"would {'probe and ' if probe else ''}resume {', '.join(paused) or 'none'}")
        _tell_gaps(out, gaps)
        out.result({"would_resume": paused, "declared_not_there": gaps})
        return
    if paused:
        question = f"Resume {counted(len(paused), 'queue')} of {stack}: {', '.join(paused)}?"
        confirm_change(here, question, yes=yes or as_json, named=named, as_json=as_json)
    which = ["--all"] if every else ["--new-since", str(new_since)] if new_since is not None else names or []
    done = start(
        calls,
        system,
        meant,
        probe=probe,
        rounds=rounds,
        pause=seconds(between) if between else -1.0,
        patience=seconds(patience) if patience else PATIENCE,
        again=f"./sluice queues resume {shlex.join(which)} --probe --stack {stack}",
        tell=out.progress,
    )
    if done.resumed:
        started, probed = ", ".join(done.resumed), done.rounds > 0
        audited(here, out.warn, "queues resume", started, queues=done.resumed, probed=probed)
    if meant or not gaps:
        show(out, done)
    _tell_gaps(out, gaps)
    out.result({**done.as_json(), "declared_not_there": gaps})


def pause(
    names: Names = None,
    *,
    every: Every = False,
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    named: Confirm = "",
    as_json: Json = False,
) -> None:
    """Pause; no apply starts a queue again that is paused."""
    out = Output(as_json=as_json)
    _meant(names, every=every)
    here = place.of(stack)
    calls = Calls(here)
    meant = chosen(calls, specs.load(), names or (), every=every)
    running = [name for name, state in meant.items() if state == "RUNNING"]
    if dry_run:
        out.say(f"would pause {', '.join(running) or 'none'}")
        out.result({"would_pause": running})
        return
    if running:
        question = f"Pause {counted(len(running), 'queue')} of {stack}: {', '.join(running)}? Payments wait meanwhile."
        confirm_change(here, question, yes=yes or as_json, named=named, as_json=as_json)
        done: list[str] = []
        try:
            for name in running:
                calls.steer(name, "pause")
                done.append(name)
        finally:
            audited(here, out.warn, "queues pause", ", ".join(done) or "none", queues=done)
    out.step(f"paused {', '.join(running)}" if running else "every one of them was paused")
    out.result({"paused": running, "already": [name for name in meant if name not in running]})


def show(out: Output, done: Started) -> None:
    """Say what was started, and what no probe has shown."""
    if not done.resumed:
        out.say("every one of them runs")
        return
    how = f"each hop was let through {done.rounds} times in a row" if done.rounds > 1 else "each hop was let through"
    out.step(f"{counted(len(done.resumed), 'queue')} started", how if done.rounds else ", ".join(done.resumed))
    for sender, queue in done.unasked:
        out.plain(f"    not probed: {sender} on {queue}, since no queue leads to {sender}", style="dim")


def _tell_gaps(out: Output, gaps: list[str]) -> None:
    if gaps:
        out.plain(f"{GAP}: {', '.join(gaps)}", style="yellow")


def _meant(names: list[str] | None, *, every: bool, new_since: Path | None = None) -> None:
    said = sum((every, bool(names), new_since is not None))
    fix = "give their names, or --all, or to resume --new-since FILE"
    if not said:
        raise BadUsage("say which queues are meant", fix=fix)
    if said > 1:
        raise BadUsage("it is said twice which queues are meant", why="one of them would be passed over", fix=fix)


def _listed(file: Path) -> set[str]:
    """The queues of an earlier list."""
    try:
        return set(json.loads(file.read_text())["queues"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadUsage(
            f"{file} is no list of queues: {error}",
            why="a queue that somebody paused must not be taken for a new one",
            fix=f"before the apply: ./sluice queues list --json > {file}",
        ) from error
