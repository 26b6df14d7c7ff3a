"""`sluice wallet`: look at the host wallet, resume it when it is stopped, abandon a stuck payout. Nothing here pays.

In any stack (`--stack`), by the operator's doors, which write down who did what.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from ops import place, rest
from ops.confirming import Confirm, DryRun, Json, WhichStack, Why, Yes, confirm_change
from ops.errors import CallFailed, OpsError
from ops.follow import coins
from ops.output import Output
from ops.place import Place
from spec.stack import LOCAL

#: The service that holds the wallet's key.
KEEPER = "gchostpay"

Earlier = Annotated[
    str, typer.Option("--wallet", metavar="ADDRESS", help="An earlier wallet, whose lost nonces are given up.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(
        help="Look at the wallet that pays; sign again, free what is stuck.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("show", help="Show balance, nonces, what is held and whether it is stopped.")(show)
    group.command("resume", help="Sign again after a stop; nonces that others used are given up.")(resume)
    group.command("abandon", help="Fill a stuck payout's nonce with a transfer to oneself.")(abandon)
    app.add_typer(group, name="wallet")


def show(*, stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Print the wallet."""
    out = Output(as_json=as_json)
    wallet = _called(lambda: place.of(stack).doors.call("GET", KEEPER, "/wallet"))
    out.plain(f"{wallet['address']}  chain {wallet['chain_id']}")
    for what, field in (("balance", "balance"), ("held by open payouts", "held"), ("spent in 24 hours", "spent_today")):
        out.plain(f"  {what:<22} {_ether(wallet[field])} ETH")
    for currency, token in wallet.get("tokens", {}).items():
        balance = "unknown" if token["balance"] is None else coins(token["balance"], currency)
        held, spent = coins(token["held"], currency), coins(token["spent_today"], currency)
        out.plain(f"  {currency + ' balance':<22} {balance}; held {held}; spent in 24 hours {spent}")
    waiting, following = wallet["open_nonces"], wallet["next_nonce"]
    following = "not chosen yet" if following is None else following
    out.plain(f"  {'next nonce':<22} {following}, the chain's {wallet['chain_nonce']}")
    out.plain(f"  {'open nonces':<22} {', '.join(map(str, waiting[:20])) or 'none'}{' ...' if waiting[20:] else ''}")
    for address, open_nonces in wallet.get("earlier", {}).items():
        out.plain(f"  earlier wallet {address}, open nonces {', '.join(map(str, open_nonces)) or 'none'}")
    if wallet["stopped"]:
        out.plain(f"  stopped: {wallet['stopped']}", style="red")
        out.say("\ndocs/runbook.md says what to look at first; ./sluice wallet resume signs again")
    out.result(wallet)


def resume(
    *,
    wallet: Earlier = "",
    why: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Resume; refused while a nonce that somebody else used is not final."""
    out, here = Output(as_json=as_json), place.of(stack)
    if dry_run:
        stands = _called(lambda: here.doors.call("GET", KEEPER, "/wallet"))
        out.say(f"would sign again; stopped: {stands['stopped'] or 'no'}")
        out.result({"would_resume": stands["address"], "stopped": stands["stopped"]})
        return
    question = "Sign with this wallet again? Only once it is known who used its key."
    confirm_change(here, question, yes=yes, named=confirm, as_json=as_json)
    door = "/wallet/resume" + (f"?{urlencode({'wallet': wallet})}" if wallet else "")
    answer = _called(lambda: here.doors.call("POST", KEEPER, door, _said(here, why)))
    lost = ", ".join(map(str, answer["lost"]))
    out.step(f"the wallet is {answer['status']}", f"next nonce {answer['next_nonce']}; lost: {lost or 'none'}")
    out.result(answer)


def abandon(
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="Its id.")],
    *,
    why: Why = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Abandon; the chain decides which of the two transactions wins, and until then the payout may still happen."""
    out, here = Output(as_json=as_json), place.of(stack)
    if dry_run:
        waiting = _called(lambda: here.doors.call("GET", KEEPER, "/wallet"))["open_nonces"]
        out.say(f"would fill the nonce of {payment} with a transfer to oneself; open nonces: {waiting}")
        out.result({"would_abandon": payment, "open_nonces": waiting})
        return
    confirm_change(
        here, f"Abandon the payout of {payment}? This cannot be taken back.", yes=yes, named=confirm, as_json=as_json
    )
    door = f"/payouts/{quote(payment, safe='')}/abandon"
    answer = _called(lambda: here.doors.call("POST", KEEPER, door, _said(here, why)))
    out.step(f"{answer['unique_id']}  {answer['status']}", answer["tx_hash"])
    out.say("final on the chain, it is in ./sluice dead list and may be replayed; or the payout won after all")
    out.result(answer)


def _said(here: Place, why: str) -> dict[str, str]:
    return {"by": here.who[:200], **({"why": why[:1000]} if why else {})}


def _called(call: Callable[[], Any]) -> dict[str, Any]:
    """The answer; a refusal with the service's own code and reason."""
    try:
        return dict(call())
    except CallFailed as error:
        raise OpsError(f"{KEEPER} refuses ({error.status}): {_refusal(error.body)}") from error


def _refusal(body: str) -> str:
    try:
        found = json.loads(body)
        return f"{found['error']}: {found['reason']}"
    except (ValueError, KeyError, TypeError):
        return rest.reason(body)


def _ether(wei: str) -> str:
    return f"{(Decimal(wei) / 10**18).normalize():f}"
