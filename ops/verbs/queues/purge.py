"""`sluice queues purge`: destroys what waits in a queue, once it is in a file or somebody said that it need not be.

With --export exactly the tasks in the file are deleted, one by one, so that none goes that was not written down; what
was created since then stays. Without it Cloud Tasks' own purge takes all that was created before, in up to a minute.
Source: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues/purge.
"""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from ops import place
from ops.auditing import audited
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.errors import BadUsage
from ops.output import Output, counted
from ops.queues import aftermath, pace
from ops.queues.calls import Calls
from ops.verbs.queues.common import Queue, Rate, system
from spec.stack import LOCAL


def purge(
    queue: Queue,
    *,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="First write them into a new file, bodies and tokens with them."),
    ] = None,
    without_export: Annotated[bool, typer.Option("--without-export", help="Destroy them and keep nothing.")] = False,
    rate: Rate = "100/s",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    named: Confirm = "",
    as_json: Json = False,
) -> None:
    """Destroy the tasks of a queue, once they are exported.

    With --export the tasks are written into a new file, one JSON object a line with body and token, and exactly those
    are deleted: what is created meanwhile stays. With --without-export Cloud Tasks' own purge takes all that was
    created before. It is said before and after what becomes of payments that lose their task.
    """
    out = Output(as_json=as_json)
    if (export is not None) == without_export:
        raise BadUsage(
            "say whether to keep what is destroyed",
            why="a purge cannot be taken back",
            fix="--export FILE writes the tasks down first, --without-export keeps nothing",
        )
    per_second = pace.per_second(rate)
    if export is not None and os.path.lexists(export):
        raise BadUsage(f"{export} is there already", why="an export is never overwritten", fix="name another file")
    here = place.of(stack)
    calls = Calls(here)
    calls.queue(queue)
    specs = system()
    after = aftermath.of_queue(specs.queues.get(queue) if specs is not None else None)
    held = sum(1 for _ in calls.tasks(queue))
    if dry_run:
        first = f", after writing them into {export}" if export else ""
        out.plain(f"would destroy {counted(held, 'task')} of {queue}{first}; then: {after}")
        out.result({"would_destroy": held, "export": str(export) if export else None, "then": after})
        return
    if not held:
        out.say(f"no task waits in {queue}; nothing was purged")
        out.result({"queue": queue, "destroyed": 0, "gone": 0, "export": None, "then": after})
        return
    confirm_change(
        here,
        f"Destroy {counted(held, 'task')} of {queue} in {stack}? Payments keep their rows, so that none is lost; of "
        f"those that lose their task: {after}.",
        yes=yes,
        named=named,
        as_json=as_json,
    )
    counts: Counter[str] = Counter()
    try:
        if export is not None:
            written = _written(calls, queue, export)
            out.step(f"{counted(len(written), 'task')} written into {export}", "it holds bodies and tokens: mode 0600")
            pace.each(
                lambda task: "destroyed" if calls.delete(task) else "gone", written, rate=per_second, counts=counts
            )
        else:
            calls.steer(queue, "purge")
            counts["destroyed"] = held
    finally:
        kept = str(export) if export is not None else "none"
        audited(here, out.warn, "queues purge", queue, waiting=held, export=kept, severity="WARNING", **counts)
    about = "" if export is not None else "as counted before; Cloud Tasks takes up to a minute"
    gone = f"{counts['gone']} had gone by themselves" if counts["gone"] else about
    out.step(f"{counted(counts['destroyed'], 'task')} of {queue} destroyed", gone)
    out.plain(f"{after}\n{aftermath.LOOK}")
    if export is not None:
        out.plain(f"./sluice queues restore {queue} {shlex.quote(str(export))}{place.option(stack)} puts them back")
    out.result(
        {
            **{"queue": queue, "destroyed": counts["destroyed"], "gone": counts["gone"]},
            **{"export": str(export) if export else None, "then": after},
        }
    )


def _written(calls: Calls, queue: str, file: Path) -> list[str]:
    """Write every task into a new file that nobody else may read, to the disk; their full names."""
    names = list[str]()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadUsage(f"{file}: {error.strerror}", why="nothing was destroyed", fix="name a new file") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as lines:
            for task in calls.tasks(queue, full=True):
                lines.write(json.dumps(task, separators=(",", ":")) + "\n")
                names.append(str(task["name"]))
            lines.flush()
            os.fsync(lines.fileno())
    except BaseException:  # nothing was destroyed yet, and the next try wants the name
        file.unlink(missing_ok=True)
        raise
    return names
