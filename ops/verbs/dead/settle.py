"""`sluice dead mark` and `settle`: what people say of a dead payment, or of a batch, whose money no drop puts aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from ops import place
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.dead.doors import DeadDoors, Refused
from ops.dead.things import BATCH, PAYMENT, Thing
from ops.errors import BadUsage, OpsError
from ops.output import Output
from ops.verbs.dead.common import One, the_one
from spec.stack import LOCAL


def mark(
    payment: One,
    status: Annotated[str, typer.Argument(metavar="STATUS", help="investigating, or dead to take that back.")],
    *,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What people should know.")] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Mark a dead payment; it stays dead."""
    out, here = Output(as_json=as_json), place.of(stack)
    if stack != LOCAL and not dry_run:  # on this machine nothing is lost by a slip: it is taken back by the same verb
        confirm_change(here, f"Mark {payment} in {stack} as {status}?", yes=yes, named=confirm, as_json=as_json)
    body = {"status": status, **({"note": note} if note else {})}
    doors = DeadDoors(here)
    if dry_run:
        _would(out, the_one(doors, None, payment, PAYMENT), body)
    else:
        _changed(out, payment, lambda: doors.change(payment, "status", body))


def settle(
    payment: One,
    *,
    tx_hash: Annotated[str, typer.Option("--tx", metavar="HASH", help="The transaction that paid it.")] = "",
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="How it was paid, where there is no transaction.")
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Record a payment by other means, or that of a refused batch; it can never be replayed after that."""
    if not (tx_hash or note):
        raise BadUsage("say how it was paid", fix="give --tx 0x... or --note")
    out, here = Output(as_json=as_json), place.of(stack)
    doors = DeadDoors(here)
    thing = doors.find(payment, PAYMENT) or the_one(doors, None, payment, BATCH)
    body = {key: text for key, text in (("tx_hash", tx_hash), ("note", note)) if text}
    if dry_run:
        _would(out, thing, body)
        return
    question = f"Record that {thing.id} was paid by other means? It is never replayed after that."
    confirm_change(here, question, yes=yes, named=confirm, as_json=as_json)
    _changed(out, thing.id, lambda: doors.settle(thing, body))


def _would(out: Output, thing: Thing, body: dict[str, str]) -> None:
    out.say(f"would change {thing.id}, which is {thing.standing}")
    out.result({"would_change": thing.id, "standing": thing.standing, **body})


def _changed(out: Output, payment: str, change: Callable[[], dict[str, Any]]) -> None:
    try:
        answer = change()
    except Refused as refused:
        if refused.status in (400, 404):
            raise BadUsage(f"{payment}: {refused.reason}", fix="./sluice dead list shows what is dead") from refused
        raise OpsError(f"{payment}: {refused.reason}") from refused
    done = answer.get("already")
    out.step(f"{payment}  {answer['status']}", f"it was {done} before" if done else "")
    out.result(answer)
