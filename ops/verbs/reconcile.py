"""`sluice reconcile`: every payment that is stuck, where and since when; every sum that differs. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from ops.confirming import Json, WhichStack
from ops.errors import BadUsage, OpsError
from ops.output import Output, counted
from ops.reconcile import books, payments
from ops.reconcile.found import Found, shown, signed
from ops.reconcile.reach import Reach, of_stack
from ops.verbs.clock import seconds
from spec.stack import LOCAL

#: Digits after the point of each currency.
DIGITS = {"eth": 18, "usdt": 6}
#: A task that is due for so long and not dispatched waits for somebody.
OVERDUE = timedelta(minutes=10)
#: Orders that the exchange is asked for, one by one, unless somebody chooses another number.
ORDERS = 5000
#: Exit codes: findings; not everything could be compared.
FINDINGS, INCOMPLETE = 1, 2

ABOUT = """Compare ledger, chain, exchange, queues; name what is stuck.

Exit 1 where something differs or is stuck, 2 where something did not answer and was not compared.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("reconcile", help=ABOUT)(reconcile)


def reconcile(
    *,
    stack: WhichStack = LOCAL,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than", metavar="TIME", help="Name what waits for longer than this, such as 30m, in any stage."
        ),
    ] = "",
    funded: Annotated[
        list[str] | None,
        typer.Option("--funded", metavar="COIN=N", help="Coins the wallet was given, such as eth=100; locally known."),
    ] = None,
    orders: Annotated[
        int, typer.Option("--orders", metavar="N", min=0, help="Ask the exchange for so many orders at most.")
    ] = (ORDERS),
    every: Annotated[bool, typer.Option("--all", help="Ask the chain for old receipts, too.")] = False,
    pause: Annotated[float, typer.Option("--pause", min=0, help="Seconds between the two looks.")] = 3.0,
    as_json: Json = False,
) -> None:
    """Look twice; exit 0 where all agrees, 1 with findings, 2 where not everything could be compared."""
    out = Output(as_json=as_json)
    given = _funding(funded or [])
    span = f"older_than={seconds(older_than):.0f}" if older_than else ""
    try:
        reach = of_stack(stack)
    except OpsError as error:  # nothing could be compared, which is no finding
        error.code = INCOMPLETE
        raise

    def look() -> Found:
        return _look(reach, span, given, orders, every=every)

    found = look()
    if found.findings:  # what is on its way at one look is further at the next
        time.sleep(pause)
        found = look().and_before(found)
    _show(out, found, reach.helps.resend_all("--older-than 1s"))
    out.result(
        {
            "now": found.now,
            "findings": [one.as_json() for one in found.findings],
            "sums": [one.as_json() for one in found.sums],
            "in_flight": found.in_flight,
            "not_compared": found.not_compared,
            "bounded": found.bounded,
        }
    )
    if found.not_compared or found.findings:
        raise typer.Exit(INCOMPLETE if found.not_compared else FINDINGS)


def _look(reach: Reach, span: str, funded: Mapping[str, int], orders: int, *, every: bool) -> Found:
    found = Found()
    tried = payments.tried
    tried("ledger", found, lambda: books.look_at_ledger(reach, found))
    tried("payments", found, lambda: payments.look_at_payments(reach, found, span))
    tried("lost tasks", found, lambda: payments.look_for_lost_tasks(reach, found))
    tried("wallet and chain", found, lambda: books.look_at_wallet(reach, found, funded, every=every))
    if orders:
        tried("exchange", found, lambda: books.look_at_orders(reach, found, orders))
    tried("PayNow's events", found, lambda: payments.look_at_events(reach, found, span))
    tried("PayNow's points", found, lambda: books.look_at_points(reach, found))
    if found.now:
        late = (datetime.fromisoformat(found.now) - OVERDUE).isoformat().replace("+00:00", "Z")
        tried("queues", found, lambda: payments.look_at_queues(reach, found, late))
    return found


def _show(out: Output, found: Found, young_ones: str) -> None:
    if found.findings:
        rows = [
            [one.about, one.flow or one.kind, one.stage, (one.since or "")[:19], one.why, one.help]
            for one in sorted(found.findings, key=lambda one: (one.since or "", one.about))
        ]
        out.table(["payment", "flow", "stage", "since", "why", "what helps"], rows)
        out.say()
    if found.sums:
        table: list[list[str]] = [
            [
                one.what,
                f"{one.sides[0]} {shown(one.left, one.currency)}",
                f"{one.sides[1]} {shown(one.right, one.currency)}",
                signed(one.difference, one.currency),
            ]
            for one in found.sums
        ]
        out.table(["account", "", "", "difference"], table)
        if any(one.sides == ("chain", "ledger") and one.difference for one in found.sums):
            out.say(
                "(the wallet's difference is what it was given; --funded eth=100, in coins, says what it should be)"
            )
        out.say()
    for what in found.not_compared:
        out.plain(f"not compared: {what}", style="yellow")
    for what in found.bounded:
        out.plain(f"not all compared: {what}", style="yellow")
    flight = ", ".join(f"{count} in {stage}" for stage, count in sorted(found.in_flight.items()))
    out.say(f"{counted(len(found.findings), 'finding')}; in flight: {flight or 'nothing'}")
    lost = sum(one.kind == "stuck" and one.figure != "" for one in found.findings)  # young, and named all the same
    if (young := sum(found.in_flight.get(stage, 0) for stage in payments.RESENT) - lost) > 0:
        out.plain(f"    {young} of them are too young to be named; where a release was bad just now: {young_ones}")


def _funding(given: list[str]) -> dict[str, int]:
    """`eth=100` as base units."""
    found: dict[str, int] = {}
    for one in given:
        currency, _, coins = one.partition("=")
        try:
            amount: Any = Decimal(coins).scaleb(DIGITS[currency])
            units = int(amount)
        except (KeyError, InvalidOperation, ValueError, OverflowError):
            amount, units = None, -1
        if units < 0 or units != amount:
            raise BadUsage(f"--funded is {one}", fix=f"write it as eth=100; known are {', '.join(DIGITS)}")
        found[currency] = units
    return found
