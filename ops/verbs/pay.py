"""`sluice pay`: let the payment processor send real signed notices, and follow each payment to its end."""

from __future__ import annotations

import math
import re
import secrets
from decimal import Decimal
from typing import Annotated, Any

import typer

from ops import paynow, rest, specs, stack_config
from ops.errors import BadUsage, CallFailed
from ops.follow import UNITS, Follower, show_payment, show_summary
from ops.home import Home
from ops.operator import Operator
from ops.output import Output
from spec.rollout import STOP
from spec.stack import LOCAL

#: A day: nobody follows payments for longer.
LONGEST_TIMEOUT = 86_400.0

#: The ways to pay out, by the name of the flow; `threshold` goes by the channel and not by the payment's id.
WAYS = {"split": "single", "staged": "staged", "threshold": "threshold"}

#: The route that chooses among them, and the key of the services' settings.
ROUTE, SETTINGS = "payout", "sluice:settings"

#: The flow by the currency that is paid, in whichever way the payment then takes.
USDT = "usdt"

#: What a customer pays unless told otherwise, and what the client gets for it: the exchange gives another coin.
AMOUNTS, FOR = {"eth": "0.05", "usdt": "150"}, {"eth": "usdt", "usdt": "eth"}

#: Coins of which a customer pays fewer.
MOST = 10**9

#: Ids that are tried until enough take the way that is wanted.
TRIES = 2_000

#: Up to so many payments are shown hop by hop; more are counted.
SHOWN = 5


#: All of them.
FLOWS = (*WAYS, USDT, paynow.FLOW)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("pay", help="Send signed payment notices, and follow them to the ledger.")(pay)


def pay(
    *,
    amount: Annotated[str, typer.Option("--amount", help="What each customer pays; 0.05 ETH or 150 USDT.")] = "",
    currency: Annotated[
        str, typer.Option("--currency", help="In which currency: eth or usdt; eth unless the flow is usdt.")
    ] = "",
    count: Annotated[int, typer.Option("--count", min=1, max=100_000, help="How many payments.")] = 1,
    flow: Annotated[str, typer.Option("--flow", help=f"Which way: {', '.join(FLOWS)}; any payout unless given.")] = "",
    rate: Annotated[float, typer.Option("--rate", help="How many a second.")] = 50.0,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to follow them after the last.")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Send and follow; exit 1 unless every payment was paid."""
    out = Output(as_json=as_json)
    _check_flow(flow, currency, amount)
    currency = currency.lower() or (USDT if flow == USDT else "eth")
    amount = amount or AMOUNTS.get(currency, "")
    _check(amount, currency, rate, timeout)
    home = Home.find()
    if flow == paynow.FLOW:
        found = paynow.send(Operator(home), out, count=count, timeout=timeout)
        out.result(found)
        if found["paid"] != count:
            raise typer.Exit(1)
        return
    wish: dict[str, Any] = {"payout_currency": FOR[currency]}
    if flow == "threshold":
        wish["channel_id"] = channel_of(Operator(home))
    elif flow not in ("", USDT):
        wish["unique_ids"] = ids_of(Operator(home), flow, count)
    result = send(home, out, amount=amount, currency=currency, count=count, rate=rate, timeout=timeout, wish=wish)
    out.result(result)
    if result["paid"] != count:
        raise typer.Exit(1)


def _check_flow(flow: str, currency: str, amount: str) -> None:
    """Refuse a flow that is none, and what it could only leave aside."""
    if flow not in ("", *FLOWS):
        raise BadUsage(f"--flow is {flow}", why="no payment is paid out so", fix=f"use one of: {', '.join(FLOWS)}")
    if flow == USDT and currency.lower() not in ("", USDT):
        raise BadUsage(
            f"--flow is {USDT}, but --currency is {currency}",
            why="this flow is that of payments in USDT",
            fix=f"leave --currency out, or choose one of the flows {', '.join(WAYS)}",
        )
    if flow == paynow.FLOW and (currency or amount):
        raise BadUsage(
            f"--flow {paynow.FLOW} takes no {'--amount' if amount else '--currency'}",
            why=f"its buyers buy {paynow.PRODUCT}, at the product's price",
            fix="leave it out; --count says how many they buy",
        )


def _check(amount: str, currency: str, rate: float, timeout: float) -> None:
    """Refuse what cannot be paid before anything is sent."""
    if not (0 < rate < math.inf):
        raise BadUsage(f"--rate is {rate}", why="no payment would ever be sent", fix="give payments a second, above 0")
    if not (0 <= timeout <= LONGEST_TIMEOUT):
        raise BadUsage(f"--timeout is {timeout}", fix=f"give seconds, from 0 to {LONGEST_TIMEOUT:.0f}")
    if currency not in UNITS:
        raise BadUsage(
            f"--currency is {currency}",
            why="the host wallet pays in none but these; a notice of another is kept as a dead letter",
            fix=f"use one of: {', '.join(UNITS)}",
        )
    places = len(str(UNITS[currency])) - 1
    if re.fullmatch(rf"\d{{10,}}(\.\d{{1,{places}}})?", amount, re.ASCII) and Decimal(amount) >= MOST:
        raise BadUsage(
            f"--amount is {amount}",
            why="nobody pays that much",
            fix=f"write less than {MOST}, such as {AMOUNTS[currency]}",
        )
    if not re.fullmatch(rf"\d{{1,9}}(\.\d{{1,{places}}})?", amount, re.ASCII) or not Decimal(amount):
        raise BadUsage(
            f"--amount is {amount}",
            why=f"it is no amount of {currency} above 0 with at most {places} decimals",
            fix=f"write it as {AMOUNTS[currency]}",
        )


def ids_of(operator: Operator, flow: str, count: int) -> list[str]:
    """Ids of payments that take this way: the service that chooses is asked, since the choice goes by the id."""
    found: list[str] = []
    for _ in range(TRIES + 20 * count):
        unique_id = secrets.token_hex(8)
        if operator.call("GET", "gcsplit", f"/ways/{unique_id}")["way"] == WAYS[flow]:
            found.append(unique_id)
        if len(found) == count:
            return found
    raise BadUsage(
        f"no payment takes the way of --flow {flow} in this stack",
        why="the route payout leaves it no share",
        fix=_share_again(flow),
    )


def _share_again(flow: str) -> str:
    """How a way gets a share: the new one by a rollout, the old one by a rollback of it."""
    if flow != "staged":
        return f"./sluice rollback {ROUTE} gives it all; ./sluice rollout status says what moves the share now"
    if ROUTE in specs.config_of(LOCAL).stop:
        return f"take {ROUTE} out of {STOP} in {stack_config.said_in(STOP)}, then ./sluice up"
    return (
        f"./sluice rollout start {ROUTE} --force gives it one, step by step; ./sluice rollout status says how it stands"
    )


def channel_of(operator: Operator) -> int:
    """A channel whose client is paid by threshold, as the entry service knows them."""
    thresholds = operator.call("GET", "gcwebhook", "/thresholds")["thresholds"]
    if not thresholds:
        raise BadUsage(
            "no channel of this stack is paid by threshold",
            why="THRESHOLD_BY_CHANNEL of gcwebhook names none",
            fix=f"set THRESHOLD_BY_CHANNEL in {SETTINGS} of {stack_config.said_in(SETTINGS, 'THRESHOLD_BY_CHANNEL')}, "
            "then ./sluice up",
        )
    return int(next(iter(thresholds)))


def send(
    home: Home,
    out: Output,
    *,
    amount: str,
    currency: str,
    count: int,
    rate: float,
    timeout: float = 120.0,
    wish: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Send the notices, follow every payment; what became of each."""
    follower = Follower(home)
    body: dict[str, Any] = {"amount": amount, "currency": currency, "count": count, "rate": rate, "wait": True}
    body |= wish or {}
    url = f"http://127.0.0.1:{follower.operator.cloud.ports.sandbox}/processor/payments"
    try:
        sent = rest.call("POST", url, body, timeout=count / rate + timeout)["payments"]
    except CallFailed as error:
        if error.status == 400:
            raise BadUsage(f"the payment processor: {rest.reason(error.body)}") from error
        raise
    except KeyboardInterrupt:
        out.say("stopped while notices were being sent; what was recorded goes on: ./sluice status")
        raise
    few = count <= SHOWN
    payments = follower.follow(
        {payment["unique_id"]: payment for payment in sent},
        seconds=timeout,
        tell=(lambda payment, hop: _tell(out, payment, hop, many=count > 1)) if few else None,
        progress=None if few else lambda done: out.progress(f"{done} of {count} at their end"),
    )
    out.say()
    if few:
        for payment in payments:
            show_payment(out, payment)
    else:
        show_summary(out, payments)
    paid = sum(payment["status"] == "paid" for payment in payments)
    return {"count": count, "paid": paid, "payments": payments}


def _tell(out: Output, payment: str, hop: dict[str, Any], *, many: bool) -> None:
    who = f"{payment}  " if many else ""
    out.plain(f"  {who}{hop['at'][11:23]}  {hop['hop']:<42} {hop['detail'] or ''}".rstrip())
