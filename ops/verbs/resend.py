"""`sluice resend`: send the message of payments that stand still once more, now; each is paid once all the same."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ops import place
from ops.confirming import Confirm, DryRun, Json, WhichStack, Why, Yes, confirm_change
from ops.errors import BadUsage, OpsError
from ops.output import Output, counted
from ops.place import Place
from ops.queues import pace
from ops.reconcile.payments import RESENT
from ops.resend import SENT, Resend, Result, Row
from ops.verbs.clock import seconds
from spec.errors import choose
from spec.stack import LOCAL

#: What is told of as done.
DONE = (*SENT, "already_resent")
#: Characters of an id: what is longer is no payment's.
LONGEST = 200


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("resend", help="Send the last message of payments that stand still again. None is paid twice.")(resend)


def resend(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Payments, as reconcile names them.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that stand longer than their stage usually takes.")] = False,
    stage: Annotated[
        str, typer.Option("--stage", metavar="STAGE", help=f"Of all, those in this one: {', '.join(RESENT)}.")
    ] = "",
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Of all, those that stand for longer, such as 2m.")
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="So many at most, the oldest; 0 is all.")
    ] = 0,
    rate: Annotated[str, typer.Option("--rate", metavar="N/s", help="So many a second at most.")] = "5/s",
    why: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Send; a payment whose task waits, or that went on, is left alone and said."""
    per_second = pace.per_second(rate)
    older = _chosen(ids, stage, older_than, every=every)
    out, here = Output(as_json=as_json), place.of(stack)
    work = Resend(here)
    rows, unknown = _found(work, ids, older, stage, limit)
    if dry_run:
        _would(out, work, rows, unknown)
        return
    if not rows and not unknown:
        out.say("no payment stands still that a message moves on; nothing was sent")
        out.result({"resent": 0, "answers": []})
        return
    if rows:
        what = counted(len(rows), "message")
        question = f"Send {what} of payments that stand still once more in {here.stack}, {rate}? None is paid twice."
        confirm_change(here, question, yes=yes, named=confirm, as_json=as_json)
    for one in unknown:
        out.refusal(one.unique_id, one.reason)
    _work(out, here, work, rows, unknown, why=why, rate=per_second)


def _chosen(ids: list[str] | None, stage: str, older_than: str, *, every: bool) -> float | None:
    """What the filters ask for; BadUsage where they do not fit."""
    if every == bool(ids):
        raise BadUsage("say what to send", fix="give ids, as ./sluice reconcile names them, or --all")
    if ids and (stage or older_than):
        raise BadUsage("filters choose among all: nothing was done", fix="give ids alone, or --all with the filters")
    if stage and stage not in RESENT:
        raise BadUsage(f"--stage is {stage[:60]}", fix=choose(stage, RESENT, noun="stage"))
    for one in ids or []:
        if len(one) > LONGEST or not one.isprintable():
            raise BadUsage(f"not a payment's id: {one[:60]!r}", fix="give ids, as ./sluice reconcile names them")
    return seconds(older_than) if older_than else None


def _found(
    work: Resend, ids: list[str] | None, older: float | None, stage: str, limit: int
) -> tuple[list[Row], list[Result]]:
    if not ids:
        rows = sorted(work.listed(older, stage), key=lambda row: (row["since"], row["unique_id"]))
        return rows[:limit] if limit else rows, []
    found = {one: work.of(one) for one in dict.fromkeys(ids)}
    unknown = [work.unknown(one) for one, rows in found.items() if not rows]
    return [row for rows in found.values() for row in rows], unknown


def _work(
    out: Output, here: Place, work: Resend, rows: list[Row], unknown: list[Result], *, why: str, rate: float
) -> None:
    def told(result: Result) -> None:
        line = f"{result.unique_id}  {result.stage}  {result.status}  {result.reason or result.queue}"
        if result.refused:
            out.refusal(line)
        elif result.status in DONE:
            out.step(line)
        else:
            out.plain(f"- {line}")

    work.each(rows, why, rate=rate, told=told)
    results = [*unknown, *work.results]
    left = [row["unique_id"] for row in rows[len(work.results) :]]
    count = sum(result.status in SENT for result in results)
    said: dict[str, Any] = {"resent": count, "answers": [result.as_json() for result in results]}
    if work.ended is not None:
        error = OpsError(
            f"{len(left)} of {len(rows)} in {here.stack} are left: {work.ended.what}",
            why="what was sent stands, and is not sent again while its task is there",
            fix="give the same command again",
        )
        if not out.as_json:
            raise error
        said |= {"left": left, "error": error.as_json()}
    out.result(said)
    if work.ended is not None or any(result.refused for result in results):
        raise typer.Exit(1)


def _would(out: Output, work: Resend, rows: list[Row], unknown: list[Result]) -> None:
    judged: list[tuple[str, str, Result | None]] = [(one.unique_id, one.stage, one) for one in unknown]
    judged += [(row["unique_id"], row["stage"], work.judge(row)) for row in rows]
    for unique_id, stage, result in judged:
        if result is None:
            out.step(f"would send {unique_id} once more", stage)
        else:
            out.refusal(f"would not send {unique_id}", result.reason)
    if not judged:
        out.say("would send nothing")
    would = [unique_id for unique_id, _, result in judged if result is None]
    out.result({"would_resend": would, "judged": [
        {"unique_id": unique_id, "stage": stage, "may": result is None, "reason": result.reason if result else ""}
        for unique_id, stage, result in judged
    ]})  # fmt: skip
