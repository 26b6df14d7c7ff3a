"""What the verbs of the dead share: options, Pub/Sub's dead letters in hand, and what an id names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from ops.dead.doors import DeadDoors
from ops.dead.things import LETTER, MESSAGE, Thing, Wanted
from ops.dead.topic import Hand, holding
from ops.errors import BadUsage, CallFailed
from ops.output import Output
from ops.place import Place

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Their ids, as the list has them.")]
Kind = Annotated[str, typer.Option("--kind", metavar="KIND", help="payment, event, letter, batch or conversion alone.")]
Code = Annotated[str, typer.Option("--code", metavar="CODE", help="Of this error alone, such as INSUFFICIENT_FUNDS.")]
Flow = Annotated[
    str, typer.Option("--flow", metavar="FLOW", help="single, staged, threshold, split, paynow or registration alone.")
]
Older = Annotated[str, typer.Option("--older-than", metavar="TIME", help="Only what died longer ago, such as 1h.")]
Newer = Annotated[str, typer.Option("--newer-than", metavar="TIME", help="Only what died since, such as 1h.")]
One = Annotated[str, typer.Argument(metavar="ID", help="Its id, as the list has it.")]


@contextmanager
def in_hand(here: Place, doors: DeadDoors, out: Output, *, wanted: bool, needed: bool = False) -> Iterator[Hand | None]:
    """Pub/Sub's dead letters in hand; nothing where they are not wanted, or may not be looked at, which is said."""
    with ExitStack() as held:
        hand = None
        if wanted or needed:
            try:
                hand = held.enter_context(holding(here, doors))
            except CallFailed as error:
                if needed:
                    raise
                out.refusal("Pub/Sub's dead letters were not looked at", error.what)
        yield hand


def unlooked(out: Output, doors: DeadDoors) -> None:
    """Say what was not looked at."""
    for what in doors.unlooked:
        out.refusal(f"not looked at: {what}")


def messages_in(hand: Hand | None, wanted: Wanted) -> Iterator[Thing]:
    """Those in hand that are listed so: strangers' wait, others have a row."""
    if hand is None or LETTER not in wanted.kinds:
        return
    for held in hand.held.values():
        thing = held.thing()
        if wanted.status in ("all", thing.standing) or (wanted.status == "open" and held.known is None):
            yield thing


def is_message(id_: str, kind: str) -> bool:
    """Whether an id is of a message of Pub/Sub."""
    return id_.startswith(MESSAGE) and kind in ("", LETTER)


def the_one(doors: DeadDoors, hand: Hand | None, id_: str, kind: str) -> Thing:
    """What is meant, or who says that there is no such thing."""
    if is_message(id_, kind) and hand is not None:
        held = hand.held.get(id_.removeprefix(MESSAGE))
        if held is not None:
            return held.thing()
    else:
        thing = doors.find(id_, kind)
        if thing is not None:
            return thing
    if kind and (other := doors.find(id_)) is not None:
        raise BadUsage(
            f"{id_[:200]} is of kind {other.kind}, {other.standing}: this is not done with one, and nothing was",
            fix=f"./sluice dead show {other.id} says what helps",
        )
    raise BadUsage(
        f"not dead: {id_[:200]}",
        why="no death, event, letter, refused batch or conversion of such an id is recorded, so nothing was done",
        fix="./sluice dead list shows what is dead",
    )


def all_found(doors: DeadDoors, hand: Hand | None, ids: list[str], kind: str) -> list[Thing]:
    """Everything that is meant, each once."""
    return [the_one(doors, hand, id_, kind) for id_ in dict.fromkeys(ids)]
