"""`sluice wallet`: look at the host wallet, resume it when it is stopped, abandon a stuck payout. Nothing here pays.

It can be looked at in any stack (`--stack`), and changed on this machine alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from ops import rest
from ops.afar import Afar, Doors, WhichStack
from ops.asking import confirm
from ops.errors import CallFailed, OpsError
from ops.follow import coins
from ops.home import Home
from ops.operator import Operator
from ops.output import Output
from spec.stack import LOCAL

#: The service that holds the wallet's key.
KEEPER = "gchostpay"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]
Earlier = Annotated[str, typer.Option("--wallet", help="Address of an earlier wallet: give up its lost nonces.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="The wallet that pays: show, resume.", no_args_is_help=True, rich_markup_mode=None)
    group.command("show", help="Balance, nonces, what is held and spent, and whether it is stopped.")(show)
    group.command("resume", help="Sign again after a stop: give up nonces that others used for good.")(resume)
    group.command("abandon", help="Fill a stuck payout's nonce with a transfer to oneself.")(abandon)
    app.add_typer(group, name="wallet")


def show(*, stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Print the wallet."""
    out = Output(as_json=as_json)
    wallet = _called(lambda: _doors(stack).call("GET", KEEPER, "/wallet"))
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


def resume(*, wallet: Earlier = "", yes: Yes = False, as_json: Json = False) -> None:
    """Resume; refused while a nonce that somebody else used is not final."""
    out = Output(as_json=as_json)
    operator = Operator(Home.find())
    if not (yes or as_json):
        confirm("Sign with this wallet again? Only once it is known who used its key.")
    door = "/wallet/resume" + (f"?{urlencode({'wallet': wallet})}" if wallet else "")
    answer = _called(lambda: operator.call("POST", KEEPER, door))
    lost = ", ".join(map(str, answer["lost"]))
    out.step(f"the wallet is {answer['status']}", f"next nonce {answer['next_nonce']}; lost: {lost or 'none'}")
    out.result(answer)


def abandon(
    payment: Annotated[str, typer.Argument(help="Its id.")], *, yes: Yes = False, as_json: Json = False
) -> None:
    """Abandon; the chain decides which of the two transactions wins, and until then the payout may still happen."""
    out = Output(as_json=as_json)
    operator = Operator(Home.find())
    if not yes:
        _ask(payment, as_json=as_json)
    answer = _called(lambda: operator.call("POST", KEEPER, f"/payouts/{payment}/abandon"))
    out.step(f"{answer['unique_id']}  {answer['status']}", answer["tx_hash"])
    out.say("final on the chain, it is in ./sluice dead list and may be replayed; or the payout won after all")
    out.result(answer)


def _doors(stack: str) -> Doors:
    return Operator(Home.find()) if stack == LOCAL else Afar(stack)


def _ask(payment: str, *, as_json: bool) -> None:
    if as_json:
        raise OpsError(
            f"the payout of {payment} is not abandoned: nobody was asked",
            why="with --json there is nobody to ask, and this cannot be taken back",
            fix="add --yes",
        )
    confirm(f"Abandon the payout of {payment}? This cannot be taken back.")


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
