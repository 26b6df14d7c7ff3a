"""`sluice up`: the local stack, deployed from the specs; the first time, one payment is paid on its chain."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.home import Home
from ops.output import Output
from ops.stack import deploy
from ops.verbs import pay, status

#: The payment that shows a newcomer that everything works.
FIRST_AMOUNT, FIRST_CURRENCY = "0.05", "eth"

TRY_NEXT = """
Try next:
  ./sluice pay --amount 0.05            another payment, followed to its ledger postings
  ./sluice pay --count 200 --rate 50    a load of them
  ./sluice logs --payment {payment}    the life of the first one
  ./sluice preview --stack prod         what production would get
  eval "$(./sluice env)"                then gcloud tasks queues list works here
  ./sluice down                         stop; state stays"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("up", help="Deploy the local stack from the specs; pay the first payment.")(up)


def up(
    *,
    no_pay: Annotated[bool, typer.Option("--no-pay", help="Do not send the first payment.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Deploy, pay once, and say where things are."""
    out = Output(as_json=as_json)
    home = Home.find()
    done = deploy.up(home, out)
    first = home.read("first-payment.json")
    if first is None and not no_pay and "not_deployed" not in done:
        out.say(f"\nThe first payment: {FIRST_AMOUNT} {FIRST_CURRENCY}")
        paid = pay.send(home, out, amount=FIRST_AMOUNT, currency=FIRST_CURRENCY, count=1, rate=1.0)
        first = paid["payments"][0]
        if first["status"] == "paid":
            home.write("first-payment.json", first)
    out.say()
    status.show(out, status.collect(home))
    out.plain(TRY_NEXT.format(payment=(first or {}).get("unique_id", "ID")))
    out.result({**done, "status": status.collect(home), "first_payment": first})
