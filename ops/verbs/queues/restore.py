"""`sluice queues restore`: put back what `queues purge --export` wrote down, each task once.

A task's name is refused for a while after it is over, so that each gets the name that a move would give it: a second
restore of the same file makes none twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import place
from ops.auditing import audited
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.errors import BadUsage
from ops.output import Output, counted
from ops.queues import pace
from ops.queues.calls import Calls
from ops.queues.move import copy_of
from ops.verbs.queues.common import Queue, Rate
from spec.stack import LOCAL


def restore(
    queue: Queue,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `queues purge --export` wrote.")],
    *,
    rate: Rate = "50/s",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    named: Confirm = "",
    as_json: Json = False,
) -> None:
    """Put exported tasks back into their queue.

    Body, headers, address and schedule are those of the file, and the queue is the one that they were in. Attempts
    begin anew; a token that is past its window is refused by its receiver. What was done meanwhile has no effect again.
    """
    out = Output(as_json=as_json)
    per_second = pace.per_second(rate)
    here = place.of(stack)
    calls = Calls(here)
    calls.queue(queue)
    kept = _read(file, calls.path(queue))
    if dry_run:
        out.say(f"would put {counted(len(kept), 'task')} back into {queue}")
        out.result({"would_restore": [str(task["name"]).rpartition("/")[2] for task in kept]})
        return
    counts: Counter[str] = Counter()
    if kept:
        question = f"Put {counted(len(kept), 'task')} back into {queue} in {stack}? What is due is dispatched at once."
        confirm_change(here, question, yes=yes, named=named, as_json=as_json)
        try:
            pace.each(
                lambda task: "restored" if calls.create(queue, _again(task, calls.path(queue))) else "restored_before",
                kept,
                rate=per_second,
                counts=counts,
            )
        finally:
            audited(here, out.warn, "queues restore", queue, meant=len(kept), file=str(file), **counts)
    before = f"{counts['restored_before']} had been put back before" if counts["restored_before"] else ""
    out.step(f"{counted(counts['restored'], 'task')} put back into {queue}", before)
    out.result({"queue": queue, "restored": counts["restored"], "restored_before": counts["restored_before"]})


def _again(task: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """The task under the name of a move, at the address that it had."""
    return {**copy_of(task, queue), "httpRequest": task["httpRequest"]}


def _read(file: Path, queue: str) -> list[dict[str, Any]]:
    try:
        kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        strange = [
            task for task in kept if not str(task["name"]).startswith(f"{queue}/tasks/") or not task["httpRequest"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadUsage(
            f"{file} is no export of tasks: {error}",
            why="nothing was put back",
            fix="name a file that ./sluice queues purge QUEUE --export FILE wrote",
        ) from error
    if strange:
        raise BadUsage(
            f"{counted(len(strange), 'task')} of {file} were not in {queue}",
            why="they would be refused there or taken for something else; nothing was put back",
            fix="name the queue and the stack that the file is of",
        )
    return kept
