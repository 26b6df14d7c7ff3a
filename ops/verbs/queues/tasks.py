"""`sluice queues tasks` and `sluice queues run`: what waits, and dispatching it now.

Bodies and tokens are never printed. A task's payment is the one that the receiver's log names beside the task; a task
that was never tried has no line there, and `--payments` reads its body for the id alone.
Source: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/run (RunTask dispatches
also where the queue is paused or at its rate, and NOT_FOUND is a task that is over).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated

import typer

from ops import place
from ops.auditing import audited
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.errors import BadUsage, OpsError
from ops.output import Output, counted
from ops.place import Place
from ops.queues import pace
from ops.queues.calls import Calls
from ops.queues.tasks import Task, message_of, read
from ops.verbs.queues.common import Choice, Code, OlderThan, Queue, Rate, To
from spec.stack import LOCAL

#: Ids that a dry run shows; --json has all.
SHOWN = 20
#: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks: TASK_ID
_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
#: Tasks that one question to the log names: a filter has at most 20,000 characters.
ASKED = 200
#: Lines that are read of them at most.
LINES = 1000


def tasks(
    queue: Queue,
    *,
    code: Code = "",
    older_than: OlderThan = "",
    to: To = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="So many at most.")] = 50,
    payments: Annotated[
        bool, typer.Option("--payments", help="Read bodies for the payment's id; takes cloudtasks.tasks.fullView.")
    ] = False,
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """List tasks: when due, how often tried, last answer.

    Those due first stand at the top. The side is the release that a task goes to: canary where its URL has that tag,
    else stable. The payment is the one that the receiver's log names beside the task; one that was never tried has no
    line there, and --payments reads its body for the id. Bodies and tokens are never printed.
    """
    out, wanted = Output(as_json=as_json), Choice(code=code, older_than=older_than, side=to)
    here = place.of(stack)
    calls, now = Calls(here), here.now()
    found = wanted.of(_listed(calls, queue, bodies=payments), now)
    shown = list(islice(found, limit + 1))
    more, shown = len(shown) > limit, shown[:limit]
    try:
        shown = _with_payments(here, shown)
    except OpsError as error:
        out.plain(f"the payments are not told: {error.what}", style="yellow")
    shown.sort(key=lambda task: (task.scheduled, task.id))
    if shown:
        out.table(["task", "due", "created", "tries", "last", "side", "payment", "goes to"], [_row(t) for t in shown])
    else:
        out.say(f"no task like this waits in {queue}" if code or older_than or to else f"no task waits in {queue}")
    if more:
        out.plain(f"there are more than {limit}; the list has no order of time: --limit shows more", style="yellow")
    out.result({"queue": queue, "tasks": [task.as_json(now) for task in shown], "more": more})


def run(
    queue: Queue,
    chosen: Annotated[list[str] | None, typer.Argument(metavar="TASK...", help="Their ids.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that wait; with --code, --older-than, --to only some.")] = (
        False
    ),
    code: Code = "",
    older_than: OlderThan = "",
    to: To = "",
    rate: Rate = "5/s",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    named: Confirm = "",
    as_json: Json = False,
) -> None:
    """Dispatch tasks now, also in a paused queue.

    Neither the queue's pause nor its rate is heeded, --rate alone is. An attempt that fails counts, and the task is
    tried again as its queue says. A task that is over is left alone and counted apart.
    """
    out = Output(as_json=as_json)
    if every == bool(chosen):
        raise BadUsage("say which tasks to run", fix="give their ids, or --all")
    if chosen and (code or older_than or to):
        raise BadUsage("tasks are named and chosen by what they are", fix="give ids, or --all with --code and the like")
    per_second, wanted = pace.per_second(rate), Choice(code=code, older_than=older_than, side=to)
    here = place.of(stack)
    calls = Calls(here)
    ids = [_id(calls, queue, one) for one in chosen or ()]
    state = str(calls.queue(queue).get("state", "RUNNING")).lower()
    found = [task for task in _listed(calls, queue) if not task.running] if every else []
    meant = [task.id for task in wanted.of(found, here.now())]
    meant = meant or list(dict.fromkeys(ids))
    if dry_run:
        _say_dry(out, queue, meant, per_second)
        out.result({"would_run": meant})
        return
    if not meant:
        out.say(f"no task like this waits in {queue}; nothing was run")
        out.result({"queue": queue, "run": 0, "gone": 0})
        return
    held = "" if state == "running" else f" The queue is {state}: they are dispatched all the same."
    confirm_change(
        here,
        f"Dispatch {counted(len(meant), 'task')} of {queue} in {stack} now, {per_second:g} a second, whatever the "
        f"queue's rate?{held}",
        yes=yes,
        named=named,
        as_json=as_json,
    )
    counts: Counter[str] = Counter()
    try:
        pace.each(
            lambda one: "run" if calls.run(f"{calls.path(queue)}/tasks/{one}") else "gone",
            meant,
            rate=per_second,
            counts=counts,
        )
    finally:
        audited(here, out.warn, "queues run", queue, meant=len(meant), run=counts["run"], gone=counts["gone"])
    done = f"{counted(counts['run'], 'task')} of {queue} dispatched"
    none = bool(chosen) and not counts["run"]
    (out.refusal if none else out.step)(done, _gone(counts["gone"], named=bool(chosen)))
    what = "what waits" if none else "those that were refused"
    out.say(f"./sluice queues tasks {queue}{place.option(stack)} shows {what}")
    out.result({"queue": queue, "run": counts["run"], "gone": counts["gone"]})
    if none:
        raise typer.Exit(1)


def _id(calls: Calls, queue: str, given: str) -> str:
    """A task's id, from itself or from its full name; BadUsage for what can be neither."""
    called = given.removeprefix(f"{calls.path(queue)}/tasks/")
    if not _ID.fullmatch(called):
        raise BadUsage(
            f"{given[:200]!r} can be no task of {queue}",
            why="an id is of letters, digits, - and _; nothing was dispatched",
            fix=f"./sluice queues tasks {queue} shows the ids of those that wait",
        )
    return called


def _listed(calls: Calls, queue: str, *, bodies: bool = False) -> Iterator[Task]:
    for task in calls.tasks(queue, full=bodies):
        yield read(task).of(str(message_of(task).get("unique_id", ""))) if bodies else read(task)


def _with_payments(here: Place, shown: list[Task]) -> list[Task]:
    """The tasks with the payments that the log names beside them, newest word first."""
    asked = [task.id for task in shown if task.attempts and not task.payment]
    known: dict[str, str] = {}
    for start in range(0, len(asked), ASKED):
        known |= _from_log(here, asked[start : start + ASKED])
    return [task.of(known.get(task.id, task.payment)) for task in shown]


def _from_log(here: Place, ids: Iterable[str]) -> dict[str, str]:
    named = " OR ".join(f'"{one}"' for one in ids)
    wanted = f"jsonPayload.task=({named}) AND jsonPayload.unique_id:*"
    entries = list(here.logs(wanted, newest_first=True, limit=LINES))
    told = (entry["jsonPayload"] for entry in reversed(entries))
    return {str(one["task"]): str(one["unique_id"]) for one in told}


def _row(task: Task) -> list[str]:
    last = f"{task.code}, now" if task.running else task.code
    return [task.id, _second(task.scheduled), _second(task.created), str(task.attempts), last, task.side, task.payment,
            task.url]  # fmt: skip


def _second(at_: datetime) -> str:
    return at_.strftime("%Y-%m-%d %H:%M:%S")


def _say_dry(out: Output, queue: str, meant: list[str], rate: float) -> None:
    out.say(f"would dispatch {counted(len(meant), 'task')} of {queue}, {rate:g} a second")
    for one in meant[:SHOWN]:
        out.plain(f"  {one}")
    if len(meant) > SHOWN:
        out.plain(f"  and {len(meant) - SHOWN} more (--json shows all)", style="dim")


def _gone(number: int, *, named: bool) -> str:
    if not number:
        return ""
    return f"{number} not there: done, deleted, or mistyped" if named else f"{number} had gone: done, or deleted"
