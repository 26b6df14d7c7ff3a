"""`sluice dead list`, `show`, `history`: look, and change nothing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ops import place
from ops.confirming import Json, WhichStack
from ops.dead import page
from ops.dead.doors import DeadDoors
from ops.dead.things import COLUMNS, EVENT, LETTER, MESSAGE, NUMBERED, PAYMENT, REFUSED, Wanted
from ops.dead.work import verdict
from ops.output import Output
from ops.verbs.dead.common import (
    Code,
    Flow,
    Kind,
    Newer,
    Older,
    One,
    in_hand,
    is_message,
    messages_in,
    the_one,
    unlooked,
)
from spec.stack import LOCAL


def list_(
    *,
    kind: Kind = "",
    status: Annotated[
        str,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="open, all, or one such as recovered or archived; 'of payment', 'of event', 'of batch' and "
            "'of conversion' are letters for which that is listed, 'of access' those of buyers asked for again.",
        ),
    ] = "open",
    code: Code = "",
    flow: Flow = "",
    older_than: Older = "",
    newer_than: Newer = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Print the table."""
    wanted = Wanted(kind=kind, status=status, code=code, flow=flow, older_than=older_than, newer_than=newer_than)
    out, here = Output(as_json=as_json), place.of(stack)
    doors = DeadDoors(here)
    with in_hand(here, doors, out, wanted=LETTER in wanted.kinds) as hand:
        listed = [*doors.listed(wanted), *messages_in(hand, wanted)]
        things, codes = list(wanted.of(listed, here.now())), sorted({one.code for one in listed if one.code})
        if things:
            out.table(COLUMNS, [thing.row() for thing in things])
            out.say("\n./sluice dead show ID tells everything about one; ./sluice dead replay ID does it after all")
        else:
            out.say("nothing waits for a decision" if wanted.everything else "nothing is recorded like this")
        if wanted.code and wanted.code not in codes:
            said = f"codes there: {', '.join(codes)}" if codes else "nothing there has a code"
            out.plain(f"nothing that is listed as {status} has the code {wanted.code[:60]}; {said}", style="yellow")
        if hand is not None and hand.more:
            out.say(f"of Pub/Sub's dead letters {len(hand.held)} were looked at; there are more")
        unlooked(out, doors)
        looked = hand is not None or LETTER not in wanted.kinds
        out.result(
            {"dead": [thing.as_json() for thing in things], "pubsub_looked_at": looked, "unlooked": doors.unlooked}
        )


def show(one: One, *, kind: Kind = "", stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Print everything about one."""
    Wanted(kind=kind)
    out, here = Output(as_json=as_json), place.of(stack)
    doors = DeadDoors(here)
    message = is_message(one, kind)
    with in_hand(here, doors, out, wanted=message, needed=message) as hand:
        thing = the_one(doors, hand, one, kind)
        found: dict[str, Any] = thing.raw if message else (doors.get(thing.kind, thing.id) or {})
        if thing.is_grant:
            found["actions"] = [*found.get("actions", []), *reversed(doors.asked(thing, page.SHOWN))]
        way = doors.way(thing.id) if thing.kind in (PAYMENT, *REFUSED) else None
        page.show(out, thing, found, way, stack)
        may, why = verdict(thing)
        out.result({**thing.as_json(), "record": found, "way": way, "replay": {"may": may, "why": why}})


def history(
    subject: Annotated[str, typer.Argument(metavar="[ID]", help="Of one thing alone.")] = "",
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="So many, the newest.")] = 50,
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Print what operators did."""
    out, doors = Output(as_json=as_json), DeadDoors(place.of(stack))
    found = doors.history(subject.removeprefix(NUMBERED).removeprefix(MESSAGE), limit + 1)
    if subject.startswith(NUMBERED) and (letter := doors.find(subject, LETTER)) is not None:
        found = sorted([*found, *doors.asked(letter, limit + 1)], key=lambda one: str(one["at"]), reverse=True)
    for one in found[:limit]:
        out.plain(page.action(one))
    if len(found) > limit:
        out.say(f"these are the newest {limit}; there are more: --limit N")
    if not found:
        out.say("nothing is recorded")
    out.result({"actions": found[:limit], "more": len(found) > limit})


def letters(*, stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Print the letters that wait."""
    list_(kind=LETTER, stack=stack, as_json=as_json)


def events(*, stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Print the events that wait."""
    list_(kind=EVENT, stack=stack, as_json=as_json)
