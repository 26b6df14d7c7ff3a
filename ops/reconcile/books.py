"""Ledger, wallet, chain and exchange: sums on both sides, and every payment or transaction that makes a difference."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.reconcile.found import Finding, Found, Sum
from ops.reconcile.payments import LOGS, pages
from ops.reconcile.reach import Reach

#: States of an order in which the exchange takes or gives nothing any more, but for its end.
OVER = ("failed", "refunded", "expired")
#: For so long an order may stand otherwise than we think: notices of either side are on their way.
PATIENCE, PAID_PATIENCE = timedelta(minutes=10), timedelta(hours=1)
FIRST = "docs/runbook.md, `The wallet is stopped`"


def look_at_ledger(reach: Reach, found: Found) -> None:
    """The ledger against the rows of payments."""
    answer = reach.call("gcsplit", "/reconcile/ledger")
    found.now = answer["now"]
    for row in answer["sums"]:
        sides = int(row["ledger"]), int(row["rows"])
        found.sums.append(
            Sum(what=row["account"], currency=row["currency"], sides=("ledger", "rows"), left=sides[0], right=sides[1])
        )
    for row in answer["differing"]:
        why = (
            f"{row['account']}: the ledger has {row['ledger']} {row['currency']}, the payment's rows say {row['rows']}"
        )
        found.say(_differs(row["unique_id"], f"{row['account']} {row['currency']}", row["since"], why))
    for row in answer["unbalanced"]:
        why = f"posting {row['entry_key']} does not sum to zero"
        found.say(_differs(row["unique_id"], row["entry_key"], row["since"], why))


def _differs(about: str | None, stage: str, since: str | None, why: str) -> Finding:
    help_ = LOGS.format(about) if about else "./sluice dead letters"
    return Finding(kind="ledger", about=about or "ledger", stage=stage, since=since, why=why, help=help_)


def look_at_wallet(reach: Reach, found: Found, funded: Mapping[str, int], *, every: bool) -> None:
    """The wallet's book against chain and ledger."""
    answer = reach.call("gchostpay", "/reconcile/wallet")
    for row in answer["sums"]:
        ledger, currency = int(row["ledger"]), row["currency"]
        given = funded.get(currency)
        sides = ("chain", "ledger" if given is None else "ledger and funding")
        one = Sum(
            what="host_wallet", currency=currency, sides=sides, left=int(row["chain"]), right=ledger + (given or 0)
        )
        found.sums.append(one)
        if one.difference < 0 or (given is not None and one.difference):
            why = f"the chain has {one.left} {currency}, ledger and funding say {one.right}: {one.difference:+}"
            found.say(Finding(kind="wallet", about="wallet", stage=f"balance {currency}", why=why, help=FIRST))
    if answer["stopped"]:
        why, since = f"the wallet is stopped: {answer['stopped']}", answer["stopped_at"]
        found.say(
            Finding(kind="wallet", about="wallet", stage="stopped", since=since, why=why, help="./sluice wallet show")
        )
    for row in answer["foreign"]:
        found.say(_foreign(row))
    for row in answer["moved"]:
        why = f"{row['tx_hash']} moved {row['value']} base units of {row['currency']} to {row['to']} and is not ours"
        found.say(Finding(kind="foreign", about="wallet", stage=row["tx_hash"], why=why, help=FIRST))
    for nonce in answer["gaps"]:
        why = f"nonce {nonce} is nobody's: the chain waits for it, and every later payout with it"
        found.say(Finding(kind="gap", about="wallet", stage=f"nonce {nonce}", why=why, help="./sluice wallet show"))
    for row in answer["lost"]:
        why = f"nonce {row['nonce']} of its payout was used by a transaction that is not ours"
        stage = f"nonce {row['nonce']}"
        found.say(Finding(kind="foreign", about=row["unique_id"], stage=stage, since=row["since"], why=why, help=FIRST))
    for row in answer["unposted"]:
        why, stage = f"nonce {row['nonce']} is mined and not posted", f"nonce {row['nonce']}"
        help_ = LOGS.format(row["unique_id"])
        found.say(Finding(kind="chain", about=row["unique_id"], stage=stage, since=row["since"], why=why, help=help_))
    for row in answer["posted_otherwise"]:
        about = row["unique_id"] or row["tx_hash"]
        why = f"{row['tx_hash']}: host_wallet has {row['ledger']} {row['currency']}, what was mined is {row['book']}"
        found.say(_differs(about, f"{row['tx_hash']} {row['currency']}", row["since"], why))
    path = f"/reconcile/payouts?all={str(every).lower()}"
    for row in pages(reach, "gchostpay", path, "differing", found, most=10_000):
        why = f"{row['tx_hash']}: {row['why']}"
        help_ = LOGS.format(row["unique_id"])
        stage = f"nonce {row['nonce']}"
        found.say(Finding(kind="chain", about=row["unique_id"], stage=stage, since=row["since"], why=why, help=help_))


def _foreign(row: dict[str, Any]) -> Finding:
    nonce, since, what = row["nonce"], None, ""
    if "tx_hash" in row:
        since = datetime.fromtimestamp(row["mined_at"], UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        what = f": {row['tx_hash']} sent {row['value']} wei to {row['to']} in block {row['block']}"
    why = f"nonce {nonce} was used by a transaction that is not ours{what}"
    return Finding(kind="foreign", about="wallet", stage=f"nonce {nonce}", since=since, why=why, help=FIRST)


def look_at_orders(reach: Reach, found: Found, most: int) -> None:
    """Our orders against the exchange's word, up to a number."""
    for row in pages(reach, "gcsplit", "/reconcile/orders?", "orders", found, most=max(1, most // 20)):
        now, since = datetime.fromisoformat(found.now), datetime.fromisoformat(row["since"])
        why, wait = _order(row)
        if why and now - since >= wait:
            found.say(
                Finding(
                    kind="exchange",
                    about=row["unique_id"],
                    stage=row["cn_api_id"],
                    since=row["since"],
                    why=why,
                    help=LOGS.format(row["unique_id"]),
                )
            )


def _order(row: dict[str, Any]) -> tuple[str, timedelta]:
    """What is wrong with an order, and for how long that may be so."""
    paid, theirs = row["paid"] == "completed", row["exchange"]
    if theirs is None:
        return f"the exchange knows no order {row['cn_api_id']}: {row['why']}", PATIENCE
    if row["matches"] is False:
        return f"order {row['cn_api_id']} is of another amount or address than ours", timedelta(0)
    if paid and theirs in OVER:
        return f"we paid order {row['cn_api_id']} and the exchange says it is {theirs}", timedelta(0)
    if paid and theirs != "finished":
        return f"we paid order {row['cn_api_id']} and the exchange says it is {theirs}", PAID_PATIENCE
    if not paid and theirs in (*OVER, "finished"):
        return f"order {row['cn_api_id']} is {theirs} at the exchange and not paid by us", PATIENCE
    return "", PATIENCE


def look_at_points(reach: Reach, found: Found) -> None:
    """PayNow's wallets against credits and ledger."""
    answer = reach.call("paynowwebhook", "/reconcile/points")
    sums = {name: int(value) for name, value in answer["sums"].items()}
    for name, value in (("wallets", sums["wallets"]), ("credits", sums["credits"])):
        found.sums.append(
            Sum(
                what=f"user_points, {name}",
                currency="points",
                sides=("ledger", name),
                left=-sums["ledger"],
                right=value,
            )
        )
    for row in answer["uncredited"]:
        why, help_ = "processed, and nobody was credited", f"./sluice logs --payment {row['event_id']}"
        found.say(Finding(kind="points", about=row["event_id"], flow="paynow", since=row["since"], why=why, help=help_))
    for row in answer["wallets"]:
        why = f"the wallet has {row['points']} points, its credits sum to {row['credits']}"
        found.say(Finding(kind="points", about=row["user_id"], flow="paynow", why=why, help="./sluice dead events"))
    for row in answer["posted"]:
        why = f"{row['credit_key']} credited {row['credited']} points, the ledger has {row['posted']}"
        help_ = f"./sluice logs --payment {row['event_id']}"
        found.say(Finding(kind="ledger", about=row["event_id"], flow="paynow", since=row["since"], why=why, help=help_))
