"""Ledger, wallet, chain and exchange: sums on both sides, and every payment or transaction that makes a difference."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.reconcile.found import Finding, Found, Sum, shown, signed
from ops.reconcile.helps import Helps
from ops.reconcile.payments import pages
from ops.reconcile.reach import Reach

#: States of an order in which the exchange takes or gives nothing any more, but for its end.
OVER = ("failed", "refunded", "expired")
#: For so long an order may stand otherwise than we think: notices of either side are on their way.
PATIENCE, PAID_PATIENCE = timedelta(minutes=10), timedelta(hours=1)
#: What of the wallet's own answer tells that somebody else may have its key.
TROUBLES = ("stopped", "foreign", "moved", "lost")
#: The name under which the ledger's accounts of fees are compared, and theirs.
FEES = {"fees": "platform_fees + rounding"}
FIRST = "docs/runbook.md, `The wallet is stopped`"


def look_at_ledger(reach: Reach, found: Found) -> None:
    """The ledger against the rows of payments."""
    answer = reach.call("gcsplit", "/reconcile/ledger")
    found.now = answer["now"]
    for row in answer["sums"]:
        left, right, account = int(row["ledger"]), int(row["rows"]), FEES.get(row["account"], row["account"])
        found.sums.append(Sum(what=account, currency=row["currency"], sides=("ledger", "rows"), left=left, right=right))
    for row in answer["differing"]:
        account, currency = FEES.get(row["account"], row["account"]), row["currency"]
        has, says = shown(row["ledger"], currency), shown(row["rows"], currency)
        why = f"{account}: the ledger has {has}, the payment's rows say {says}"
        found.say(_differs(reach.helps, row["unique_id"], f"{account} {currency}", row["since"], why))
    for row in answer["unbalanced"]:
        why = f"posting {row['entry_key']} does not sum to zero"
        found.say(_differs(reach.helps, row["unique_id"], row["entry_key"], row["since"], why))


def _differs(helps: Helps, about: str | None, stage: str, since: str | None, why: str) -> Finding:
    help_ = helps.logs(about) if about else helps.letters()
    return Finding(kind="ledger", about=about or "ledger", stage=stage, since=since, why=why, help=help_)


def look_at_wallet(reach: Reach, found: Found, funded: Mapping[str, int], *, every: bool) -> None:
    """The wallet's book against chain and ledger; what `funded` does not say it was given, the stack may know."""
    answer = reach.call("gchostpay", "/reconcile/wallet")
    known = {**reach.funded(answer["address"]), **funded}
    for row in answer["sums"]:
        ledger, currency = int(row["ledger"]), row["currency"]
        given = known.get(currency)
        sides = ("chain", "ledger" if given is None else "ledger and funding")
        one = Sum(
            what="host_wallet", currency=currency, sides=sides, left=int(row["chain"]), right=ledger + (given or 0)
        )
        found.sums.append(one)
        # What a signed payout takes may be mined and not posted yet; who names the funding wants it all the same.
        moving = currency not in funded and found.in_flight.get("signed", 0) > 0
        if (one.difference < 0 or given is not None) and one.difference and not moving:
            found.say(_balance(reach.helps, answer, one, given))
    if answer["stopped"]:
        why, since = f"the wallet is stopped: {answer['stopped']}", answer["stopped_at"]
        found.say(
            Finding(kind="wallet", about="wallet", stage="stopped", since=since, why=why, help=reach.helps.wallet())
        )
    for row in answer["foreign"]:
        found.say(_foreign(row))
    for row in answer["moved"]:
        why = f"{row['tx_hash']} moved {row['value']} base units of {row['currency']} to {row['to']} and is not ours"
        found.say(Finding(kind="foreign", about="wallet", stage=row["tx_hash"], why=why, help=FIRST))
    for nonce in answer["gaps"]:
        why = f"nonce {nonce} is nobody's: the chain waits for it, and every later payout with it"
        found.say(Finding(kind="gap", about="wallet", stage=f"nonce {nonce}", why=why, help=reach.helps.wallet()))
    for row in answer["lost"]:
        why = f"nonce {row['nonce']} of its payout was used by a transaction that is not ours"
        stage = f"nonce {row['nonce']}"
        found.say(Finding(kind="foreign", about=row["unique_id"], stage=stage, since=row["since"], why=why, help=FIRST))
    for row in answer["unposted"]:
        why, stage = f"nonce {row['nonce']} is mined and not posted", f"nonce {row['nonce']}"
        help_ = reach.helps.logs(row["unique_id"])
        found.say(Finding(kind="chain", about=row["unique_id"], stage=stage, since=row["since"], why=why, help=help_))
    for row in answer["posted_otherwise"]:
        about = row["unique_id"] or row["tx_hash"]
        has, mined = shown(row["ledger"], row["currency"]), shown(row["book"], row["currency"])
        why = f"{row['tx_hash']}: host_wallet has {has}, what was mined is {mined}"
        found.say(_differs(reach.helps, about, f"{row['tx_hash']} {row['currency']}", row["since"], why))
    path = f"/reconcile/payouts?all={str(every).lower()}"
    for row in pages(reach, "gchostpay", path, "differing", found, most=10_000):
        why = f"{row['tx_hash']}: {row['why']}"
        help_ = reach.helps.logs(row["unique_id"])
        stage = f"nonce {row['nonce']}"
        found.say(Finding(kind="chain", about=row["unique_id"], stage=stage, since=row["since"], why=why, help=help_))


def _balance(helps: Helps, answer: Mapping[str, Any], one: Sum, given: int | None) -> Finding:
    """Say what a balance that is not what it should be may come from: the wallet's own trouble, or what was given."""
    currency, troubled = one.currency, [name for name in TROUBLES if answer[name]]
    right = f"the ledger {shown(one.right - (given or 0), currency)}, the funding {shown(given or 0, currency)}"
    why = f"the chain has {shown(one.left, currency)}; {right}: {signed(one.difference, currency)}"
    if not troubled and one.difference > 0:
        why += "; nobody but us spent: it was given more than that, or coins came back"
    elif not troubled:
        why += "; no nonce was used by somebody else: it was given less than that, or a receipt is posted otherwise"
    return Finding(
        kind="wallet",
        about="wallet",
        stage=f"balance {currency}",
        why=why,
        help=FIRST if troubled else helps.wallet(),
        figure=str(one.difference),
    )


def _foreign(row: dict[str, Any]) -> Finding:
    nonce, since, what = row["nonce"], None, ""
    if "tx_hash" in row:
        since = datetime.fromtimestamp(row["mined_at"], UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        what = f": {row['tx_hash']} sent {row['value']} wei to {row['to']} in block {row['block']}"
    why = f"nonce {nonce} was used by a transaction that is not ours{what}"
    return Finding(kind="foreign", about="wallet", stage=f"nonce {nonce}", since=since, why=why, help=FIRST)


def look_at_orders(reach: Reach, found: Found, most: int) -> None:
    """Our orders against the exchange's word, up to a number."""
    for row in pages(
        reach, "gcsplit", "/reconcile/orders?", "orders", found, most=max(1, most // 20), option="--orders"
    ):
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
                    help=reach.helps.logs(row["unique_id"]),
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
        why, help_ = "processed, and nobody was credited", reach.helps.logs(row["event_id"])
        found.say(Finding(kind="points", about=row["event_id"], flow="paynow", since=row["since"], why=why, help=help_))
    for row in answer["wallets"]:
        why = f"the wallet has {row['points']} points, its credits sum to {row['credits']}"
        found.say(Finding(kind="points", about=row["user_id"], flow="paynow", why=why, help=reach.helps.events()))
    for row in answer["posted"]:
        why = f"{row['credit_key']} credited {row['credited']} points, the ledger has {row['posted']}"
        help_ = reach.helps.logs(row["event_id"])
        found.say(Finding(kind="ledger", about=row["event_id"], flow="paynow", since=row["since"], why=why, help=help_))
