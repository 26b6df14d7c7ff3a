"""`sluice dead replay` and `drop`: many at a rate, each once; filters choose among all."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ops import place
from ops.auditing import audited
from ops.confirming import Confirm, DryRun, Json, WhichStack, Why, Yes, confirm_change
from ops.dead import access
from ops.dead.doors import DeadDoors
from ops.dead.things import BATCH, PAYMENT, REFUSED, Thing, Wanted
from ops.dead.work import Result, Verb, Work, unfit, verdict
from ops.errors import BadUsage, OpsError
from ops.output import Output, counted
from ops.place import Place
from ops.queues import pace
from ops.verbs.dead.common import (
    Code,
    Flow,
    Ids,
    Kind,
    Newer,
    Older,
    all_found,
    in_hand,
    is_message,
    messages_in,
    unlooked,
)
from spec.stack import LOCAL

#: Things that are put aside in a second.
DROPS = 20.0
#: Ids of those that are left out that are named in a line.
NAMED = 5


def replay(
    ids: Ids = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that wait and may go well as things are.")] = False,
    kind: Kind = "",
    code: Code = "",
    flow: Flow = "",
    older_than: Older = "",
    newer_than: Newer = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="So many at most, the oldest; 0 is all.")
    ] = 0,
    rate: Annotated[str, typer.Option("--rate", metavar="N/s", help="So many a second at most.")] = "2/s",
    why: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Replay; what is not dead (any more) is left alone and counted apart."""
    filters = Wanted(kind=kind, code=code, flow=flow, older_than=older_than, newer_than=newer_than)
    if ids and every:
        raise BadUsage("ids and --all were given: nothing was done", fix="give ids alone, or --all with its filters")
    if not ids and not every:
        raise BadUsage("say what to replay", fix="give ids, or --all, which takes the filters")
    if ids and filters != Wanted(kind=kind):
        raise BadUsage("filters choose among all: nothing was done", fix="give ids alone, or --all with the filters")
    per_second = pace.per_second(rate)
    out, here = Output(as_json=as_json), place.of(stack)
    doors = DeadDoors(here)
    messages = any(is_message(one, kind) for one in ids or [])
    with in_hand(here, doors, out, wanted=kind not in (PAYMENT, *REFUSED), needed=messages) as hand:
        if every:
            listed = filters.of([*doors.listed(filters), *messages_in(hand, filters)], here.now())
            hopeful = [thing for thing in listed if thing.hopeful]
            things, left = access.chosen(hopeful, kind, doors.way, here.now())
            unlooked(out, doors)
        else:
            things, left = all_found(doors, hand, ids or [], kind), []
            for thing in things:
                if thing.is_grant and (late := access.over(thing, doors.way, here.now())):
                    out.warn(f"{thing.id}: {late}")
        things = things[:limit] if limit else things
        more = _left(out, left)
        if dry_run:
            _would(out, "replay", things, more)
            return
        if not things:
            out.say("nothing waits that may go well as things are; nothing was replayed")
            out.result({"replayed": 0, "answers": [], **more})
            return
        paid = sum(thing.kind in (PAYMENT, BATCH) for thing in things)
        from_wallet = f" {counted(paid, 'payout')} of them: each is paid from the host wallet." if paid else ""
        question = f"Replay {len(things)} in {here.stack}, {rate}?{from_wallet}"
        confirm_change(here, question, yes=yes, named=confirm, as_json=as_json)
        _work(out, here, Work(doors, hand), "replay", things, why=why, rate=per_second, more=more)


def drop(
    ids: Ids = None,
    *,
    why: Why = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: it waits for a decision again.")] = False,
    kind: Kind = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Put aside; nothing is deleted, and a payment's money is never put aside."""
    Wanted(kind=kind)
    if not ids:
        raise BadUsage("say what to drop", fix="give ids; ./sluice dead list shows them")
    if not why.strip() and not dry_run:
        raise BadUsage("say why: nothing was done", why="whoever asks later finds it there", fix="add --why TEXT")
    out, here = Output(as_json=as_json), place.of(stack)
    doors = DeadDoors(here)
    verb: Verb = "restore" if undo else "archive"
    messages = any(is_message(one, kind) for one in ids)
    with in_hand(here, doors, out, wanted=kind != PAYMENT, needed=messages) as hand:
        things = all_found(doors, hand, ids, kind)
        if dry_run:
            _would(out, verb, things)
            return
        done = "Take back that these were put aside" if undo else "Put aside"
        question = f"{done}: {', '.join(thing.id for thing in things[:5])}{' ...' if len(things) > 5 else ''}?"
        confirm_change(here, question, yes=yes, named=confirm, as_json=as_json)
        _work(out, here, Work(doors, hand), verb, things, why=why, rate=DROPS)


def _left(out: Output, left: list[tuple[Thing, str]]) -> dict[str, Any]:
    """Say which may go well and are not taken all the same, and why."""
    for why in dict.fromkeys(why for _, why in left):
        ids = [thing.id for thing, one in left if one == why]
        shown = ", ".join(ids[:NAMED]) + (" and more" if len(ids) > NAMED else "")
        out.refusal(f"{counted(len(ids), 'letter')} left out: {shown}", why)
    return {"left_out": [{"kind": one.kind, "id": one.id, "reason": why} for one, why in left]} if left else {}


def _work(
    out: Output,
    here: Place,
    work: Work,
    verb: Verb,
    things: list[Thing],
    *,
    why: str,
    rate: float,
    more: dict[str, Any] | None = None,
) -> None:
    def told(result: Result) -> None:
        tell = out.refusal if result.refused else out.step
        tell(f"{result.id}  {result.status}", result.reason)

    try:
        work.each(verb, things, why, rate=rate, told=told)
        work.tidy()
    finally:
        if work.acknowledged:
            audited(here, out.warn, f"dead {verb}", "paynow-events-dlq", acknowledged=work.acknowledged)
    count = sum(result.status == "replayed" for result in work.results)
    answers = [result.as_json() for result in work.results]
    left = [thing.id for thing in things[len(work.results) :]]
    said: dict[str, Any] = {"replayed": count} if verb == "replay" else {}
    said |= {"answers": answers, **({"left": left} if left else {}), **(more or {})}
    if work.ended is not None:
        error = OpsError(
            f"{len(left)} of {len(things)} are left: {work.ended.what}",
            why="what was done stands, and is not done again",
            fix="give the same command again",
        )
        if not out.as_json:
            raise error
        said |= {"error": error.as_json()}
    out.result(said)
    if work.ended is not None or any(result.refused for result in work.results):
        raise typer.Exit(1)


def _would(out: Output, verb: Verb, things: list[Thing], more: dict[str, Any] | None = None) -> None:
    judged = []
    for thing in things:
        may, reason = verdict(thing) if verb == "replay" else (unfit(verb, thing) is None, unfit(verb, thing) or "")
        judged.append({"kind": thing.kind, "id": thing.id, "may": may, "reason": reason})
        tell = out.step if may else out.refusal
        tell(f"would {verb} {thing.kind} {thing.id}" if may else f"would not {verb} {thing.kind} {thing.id}", reason)
    if not things:
        out.say(f"would {verb} nothing")
    out.result({f"would_{verb}": [one["id"] for one in judged if one["may"]], "judged": judged, **(more or {})})
