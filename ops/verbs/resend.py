"""`sluice resend`: send the message of payments that stand still once more, now; each is paid once all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from ops import place
from ops.confirming import Confirm, DryRun, Json, WhichStack, Why, Yes, confirm_change
from ops.errors import BadUsage, OpsError
from ops.output import Output, counted
from ops.place import Place
from ops.queues import pace
from ops.reconcile.payments import RESENT
from ops.resend import ALREADY, SENT, Resend, Result, Row
from ops.rollout.state import shown
from ops.verbs.clock import seconds
from spec.errors import choose
from spec.stack import LOCAL

#: What is told of as done, and as what.
DONE = {**dict.fromkeys(SENT, "sent"), ALREADY: "already sent"}
#: What the sum at the end calls the rest.
SUMMED = {"waits": "waiting", "went_on": "went on", "refused": "refused"}
#: Seconds for which a payment stands that nothing but its task's being there keeps back.
AT_ONCE = 1
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
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="So many at most, the oldest; 0 is all.")] = 0,
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
    older = _chosen(ids, stage, older_than, limit, every=every)
    out, here = Output(as_json=as_json), place.of(stack)
    work = Resend(here)
    rows, unknown = _found(work, ids, older, stage, limit)
    if dry_run:
        _would(out, work, rows, unknown, stage=stage, older=older)
        return
    if not rows and not unknown:
        out.say("no payment stands still for long enough that a message moves on; nothing was sent")
        out.result({"resent": 0, "answers": [], **_young(out, work, stage, older)})
        return
    if rows:
        what = counted(len(rows), "message")
        question = f"Send {what} of payments that stand still once more in {here.stack}, {rate}? None is paid twice."
        confirm_change(here, question, yes=yes, named=confirm, as_json=as_json)
    for one in unknown:
        out.refusal(one.unique_id, one.reason)
    _work(out, here, work, rows, unknown, why=why, rate=per_second, young=partial(_young, out, work, stage, older))


def _chosen(ids: list[str] | None, stage: str, older_than: str, limit: int, *, every: bool) -> float | None:
    """What the filters ask for; BadUsage where they do not fit."""
    filters = [name for name, given in (("--stage", stage), ("--older-than", older_than), ("--limit", limit)) if given]
    if ids and every:
        raise BadUsage("ids and --all were given: nothing was done", fix="give ids alone, or --all with its filters")
    if ids and filters:
        raise BadUsage(f"{filters[0]} chooses among all: nothing was done", fix="give ids alone, or --all with it")
    if filters and not every:
        raise BadUsage(f"{filters[0]} chooses among all, and --all is missing: nothing was done", fix="add --all")
    if not ids and not every:
        raise BadUsage("say what to send", fix="give ids, as ./sluice reconcile names them, or --all")
    if limit < 0:
        raise BadUsage(f"--limit is {limit}", fix="write how many at most; 0 is all")
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
    out: Output,
    here: Place,
    work: Resend,
    rows: list[Row],
    unknown: list[Result],
    *,
    why: str,
    rate: float,
    young: Callable[[], dict[str, Any]],
) -> None:
    def told(result: Result) -> None:
        if result.status == "waits":  # told of by their queues, at the end
            return
        status = DONE.get(result.status, result.status.replace("_", " "))
        line = f"{result.unique_id}  {result.stage}  {status}  {result.reason or result.queue}"
        if result.refused:
            out.refusal(line)
        elif result.status in DONE:
            out.step(line)
        else:
            out.plain(f"- {line}")

    work.each(rows, why, rate=rate, told=told)
    results = [*unknown, *work.results]
    left = [row["unique_id"] for row in rows[len(work.results) :]]
    _queues(out, work, results)
    _sum(out, Counter(DONE.get(one.status, SUMMED.get(one.status, one.status)) for one in results))
    count = sum(result.status in SENT for result in results)
    said: dict[str, Any] = {"resent": count, "answers": [result.as_json() for result in results], **young()}
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


def _would(
    out: Output, work: Resend, rows: list[Row], unknown: list[Result], *, stage: str, older: float | None
) -> None:
    judged: list[tuple[str, str, Result | None]] = [(one.unique_id, one.stage, one) for one in unknown]
    judged += [(row["unique_id"], row["stage"], work.judge(row)) for row in rows]
    for unique_id, where, result in judged:
        if result is None:
            out.step(f"would send {unique_id} once more", where)
        elif result.refused:
            out.refusal(f"would not send {unique_id}", result.reason)
    results = [result for _, _, result in judged if result is not None]
    _queues(out, work, results)
    would = [unique_id for unique_id, _, result in judged if result is None]
    _sum(out, Counter({"would be sent": len(would)}) + Counter(SUMMED[one.status] for one in results))
    if not judged:
        out.say("would send nothing")
    out.result({"would_resend": would, "judged": [
        {"unique_id": unique_id, "stage": stage, "may": result is None, "reason": result.reason if result else ""}
        for unique_id, stage, result in judged
    ], **_young(out, work, stage, older)})  # fmt: skip


def _queues(out: Output, work: Resend, results: list[Result]) -> None:
    """What waits, by its queue with the one command that helps; and which queues hold up what was sent."""
    waiting: dict[str, list[Result]] = {}
    for one in results:
        if one.status == "waits":
            waiting.setdefault(one.queue, []).append(one)
    for queue, held in sorted(waiting.items()):
        if len(held) == 1:
            out.plain(f"- {held[0].unique_id}  {held[0].stage}  waits  {held[0].reason}")
            continue
        oldest, paused = min(one.since for one in held), work.is_paused(queue)
        helps = work.helps.resume(queue) if paused else work.helps.run(queue, "")
        where = f"{queue}, which is PAUSED" if paused else queue
        out.plain(f"- {len(held)} payments wait in {where}; the oldest stands since {oldest[:19]}: {helps}")
    for queue in sorted({one.queue for one in results if one.status in DONE and one.queue}):
        if queue not in waiting and work.is_paused(queue):
            out.plain(f"- {queue} is PAUSED, and what was sent waits there: {work.helps.resume(queue)}")


def _sum(out: Output, counts: Counter[str]) -> None:
    if counts:
        out.say(", ".join(f"{count} {what}" for what, count in counts.items() if count))


def _young(out: Output, work: Resend, stage: str, older: float | None) -> dict[str, Any]:
    """Say of how many it is too early to tell, from when they count, and what takes them now."""
    counts = {name: work.in_flight[name] for name in RESENT if work.in_flight.get(name) and stage in ("", name)}
    if not counts:
        return {}
    ages = {name: older if older is not None else work.windows.get(name) for name in counts}
    each = [f"{count} in {name}" + _from(ages[name]) for name, count in counts.items()]
    out.plain(f"too young to be looked at: {', '.join(each)}")
    if older is None or older > AT_ONCE:
        more = f"--stage {stage} --older-than {AT_ONCE}s" if stage else f"--older-than {AT_ONCE}s"
        out.plain(f"    {work.helps.resend_all(more)} takes them, too; what has a task is left alone", style="dim")
    return {"too_young": counts}


def _from(age: float | None) -> str:
    return "" if age is None else f" (counts when it stands for {shown(age)})"
