"""`sluice dead mark` and `settle`: what people say of a dead payment, or of a batch, whose money no drop puts aside.

Both take the id of what they change, and no other that leads to it. What would be done is found out before it is asked
for, so that `--dry-run`, the question and the deed are about the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ops import place
from ops.confirming import Confirm, DryRun, Json, WhichStack, Yes, confirm_change
from ops.dead.doors import DeadDoors, Refused
from ops.dead.meant import itself, meant
from ops.dead.things import BATCH, CONVERSION, PAYMENT, Thing
from ops.errors import BadUsage, OpsError
from ops.output import Output
from ops.verbs.dead.common import One, the_one
from spec.stack import LOCAL

#: What a death may be marked as by hand.
MARKS = ("investigating", "dead")
#: How something stands that may still be marked, or settled.
OPEN = ("dead", "investigating", "refused", "assembled", "pending")
#: Characters of one text: a door takes no longer one.
LONGEST = 1000
_HASH = re.compile(r"0x[0-9a-f]{64}")


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
    if status not in MARKS:
        raise BadUsage(
            f"a payment is marked {' or '.join(MARKS)}, not {status[:60]!r}",
            why="the others follow from what happens: a replay, a payout, or dead settle",
            fix=f"./sluice dead mark {payment[:200]} investigating",
        )
    body = {"status": status, **_text("note", note)}
    out, here = Output(as_json=as_json), place.of(stack)
    doors = DeadDoors(here)
    thing = itself(payment, the_one(doors, None, payment, PAYMENT), doors.way, "mark")
    if dry_run:
        _would(out, f"mark {thing.id} as {status}", thing, body)
        return
    if stack != LOCAL:  # on this machine nothing is lost by a slip: it is taken back by the same verb
        confirm_change(here, f"Mark {payment} in {stack} as {status}?", yes=yes, named=confirm, as_json=as_json)
    _changed(out, payment, lambda: doors.change(payment, "status", body))


def settle(
    payment: One,
    *,
    tx_hash: Annotated[str, typer.Option("--tx", metavar="HASH", help="The transaction that paid it.")] = "",
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="How it was paid; with or without a transaction.")
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Record a payment by other means, or a whole batch's; it can never be replayed, and this never taken back."""
    if not (tx_hash or note):
        raise BadUsage("say how it was paid", fix="give --tx 0x..., --note TEXT, or both")
    if tx_hash and not _HASH.fullmatch(tx_hash.lower()):
        raise BadUsage(f"--tx {tx_hash[:80]} is no transaction's hash", fix="it is 0x and 64 hex digits")
    body = {**({"tx_hash": tx_hash.lower()} if tx_hash else {}), **_text("note", note)}
    out, here = Output(as_json=as_json), place.of(stack)
    doors = DeadDoors(here)
    thing = doors.find(payment, PAYMENT) or doors.find(payment, BATCH) or the_one(doors, None, payment, CONVERSION)
    found = meant(itself(payment, thing, doors.way, "settle"), doors.way)
    if dry_run:
        _would(out, f"settle {found.words}", thing, found.as_json() | body)
        return
    question = f"Record that {found.words} was paid by other means? It is never paid after that; no undo."
    confirm_change(here, question, yes=yes, named=confirm, as_json=as_json)
    answer = _changed(out, found.words, lambda: doors.settle(thing, body))
    if answer.get("already") and (kept := doors.settlement(thing)) not in ("", ": ".join(_said(body))):
        out.refusal("what was said now is not kept", f"it was settled by: {kept}")
        raise typer.Exit(1)


def _said(body: dict[str, str]) -> list[str]:
    """What is kept of how something was settled, as its door puts it together."""
    return [body[name] for name in ("tx_hash", "note") if name in body]


def _text(name: str, text: str) -> dict[str, str]:
    """What is kept of a text is all of it, or it is refused."""
    if len(text) > LONGEST:
        raise BadUsage(
            f"--{name} has {len(text):,} characters, and {LONGEST:,} are kept: nothing was done",
            fix="shorten it, or say where the rest stands",
        )
    return {name: text} if text else {}


def _would(out: Output, what: str, thing: Thing, more: dict[str, Any]) -> None:
    may = thing.standing.startswith(OPEN)
    tell = out.step if may else out.refusal
    tell(f"would {what}" if may else f"would not {what}", f"it is {thing.standing}")
    out.result({"would_change": thing.id if may else None, "standing": thing.standing, **more})


def _changed(out: Output, payment: str, change: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        answer = change()
    except Refused as refused:
        if refused.status in (400, 404):
            raise BadUsage(f"{payment}: {refused.reason}", fix="./sluice dead list shows what is dead") from refused
        raise OpsError(f"{payment}: {refused.reason}") from refused
    done = answer.get("already")
    out.step(f"{payment}  {answer['status']}", f"it was {done} before" if done else "")
    out.result(answer)
    return answer
