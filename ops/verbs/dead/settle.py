"""`sluice dead mark` and `settle`: what people say of a dead payment, whose money no drop puts aside."""

from __future__ import annotations

from typing import Annotated

import typer

from ops import place
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.dead.doors import DeadDoors, Refused
from ops.dead.things import PAYMENT
from ops.errors import BadUsage, OpsError
from ops.output import Output
from ops.place import Place
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
    _change(out, here, payment, "status", body, dry_run=dry_run)


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
    """Record a payment by other means; it can never be replayed after that."""
    if not (tx_hash or note):
        raise BadUsage("say how it was paid", fix="give --tx 0x... or --note")
    out, here = Output(as_json=as_json), place.of(stack)
    the_one(DeadDoors(here), None, payment, PAYMENT)
    if not dry_run:
        question = f"Record that {payment} was paid by other means? It is never replayed after that."
        confirm_change(here, question, yes=yes, named=confirm, as_json=as_json)
    body = {key: text for key, text in (("tx_hash", tx_hash), ("note", note)) if text}
    _change(out, here, payment, "recovered", body, dry_run=dry_run)


def _change(out: Output, here: Place, payment: str, what: str, body: dict[str, str], *, dry_run: bool) -> None:
    doors = DeadDoors(here)
    if dry_run:
        thing = the_one(doors, None, payment, PAYMENT)
        out.say(f"would change {payment}, which is {thing.standing}")
        out.result({"would_change": payment, "standing": thing.standing, **body})
        return
    try:
        answer = doors.change(payment, what, body)
    except Refused as refused:
        if refused.status in (400, 404):
            raise BadUsage(f"{payment}: {refused.reason}", fix="./sluice dead list shows what is dead") from refused
        raise OpsError(f"{payment}: {refused.reason}") from refused
    done = answer.get("already")
    out.step(f"{payment}  {answer['status']}", f"it was {done} before" if done else "")
    out.result(answer)
