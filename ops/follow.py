"""Following payments to their end by what the entry service shows an operator, and showing what became of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.errors import CallFailed, OpsError
from ops.home import Home
from ops.operator import Operator
from ops.output import Output
from ops.supervisor import control

#: A payment changes no more, or not by itself.
ENDS = {"paid", "dead", "refused"}

#: Seconds between two rounds of looks: looking costs the services what paying does.
LOOK_EVERY = 0.2

#: Payments looked at in a round: the oldest that are not at their end.
LOOKS = 8

#: The service that shows payments.
ENTRY = "gcwebhook"

#: Base units of a coin by currency.
UNITS = {"eth": 10**18, "usdt": 10**6}

Tell = Callable[[str, dict[str, Any]], None]


class Follower:
    """Looks at payments through the entry service, as the operator."""

    def __init__(self, home: Home) -> None:
        self.operator = Operator(home)
        #: Payments of which the entry service said at the last look that it has no row.
        self.absent: set[str] = set()

    def look(self, payment: str) -> dict[str, Any] | None:
        """One payment whole, None while it is not recorded."""
        try:
            found = dict(self.operator.call("GET", ENTRY, f"/payments/{payment}"))
            return found | {"status": "refused"} if _unconverted(found) else found
        except CallFailed as error:
            self.absent -= {payment}
            if error.status == 404:
                self.absent.add(payment)
            if error.status in (404, 500, 502, 503, 504):  # not there yet, or its service is being restarted
                return None
            raise

    def follow(
        self,
        sent: Mapping[str, dict[str, Any]],
        *,
        seconds: float,
        tell: Tell | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[dict[str, Any]]:
        """Look at the payments until all are at their end or the time is over; each as it was seen last."""
        seen: dict[str, dict[str, Any]] = {}
        told: set[tuple[str, str, str, str | None]] = set()
        deadline = time.monotonic() + seconds
        with ThreadPoolExecutor(LOOKS) as pool:
            while open_ := [payment for payment in sent if seen.get(payment, {}).get("status") not in ENDS]:
                last = time.monotonic() >= deadline  # said before the look: whoever stood behind others is asked, too
                open_ = open_ if last else open_[:LOOKS]
                looks = list(pool.map(self._patiently, open_))
                if not any(looks) and not control.running(self.operator.cloud.home):
                    raise _stopped(sum(found["status"] in ENDS for found in seen.values()), len(sent))
                for payment, found in zip(open_, looks, strict=True):
                    if found is None:
                        continue
                    seen[payment] = found
                    for hop in found["hops"] if tell else ():
                        # By itself, not by its place: what is noted late stands before what was told already.
                        known = (payment, hop["at"], hop["hop"], hop["detail"])
                        if known not in told:
                            told.add(known)
                            tell(payment, hop)  # type: ignore[misc]
                if progress:
                    progress(sum(found["status"] in ENDS for found in seen.values()))
                if last:
                    break
                if seen.get(open_[0], {}).get("status") not in ENDS:  # the oldest waits: so do we
                    time.sleep(LOOK_EVERY)
        return [seen.get(payment) or self._unseen(payment, sent[payment]) for payment in sent]

    def _unseen(self, payment: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Money without a row is another thing than a service that did not answer."""
        answers = [f"{answer.get('status')}: {answer.get('body')}" for answer in sent.get("answers", [])]
        status = "unrecorded" if payment in self.absent else "unknown: its service did not answer"
        return {"unique_id": payment, "status": status, "hops": [], "answers": answers}

    def _patiently(self, payment: str) -> dict[str, Any] | None:
        """Look; whoever does not answer now may answer at the next look."""
        try:
            return self.look(payment)
        except OpsError as error:
            if isinstance(error, CallFailed):
                raise
            return None


def show_payment(out: Output, payment: dict[str, Any]) -> None:
    """Where a payment ended: transaction, block, postings."""
    payout = next((row for row in payment.get("payouts", []) if row.get("tx_hash")), None)
    colour = {"paid": "green", "dead": "red"}.get(payment["status"], "yellow")
    out.say(f"[bold]{payment['unique_id']}[/bold] is [{colour}]{payment['status']}[/{colour}]{_took(payment)}")
    if payout and payout.get("block_number"):
        out.plain(f"  transaction {payout['tx_hash']}\n  block       {payout['block_number']}, nonce {payout['nonce']}")
    for failure in payment.get("failed", []):
        out.plain(f"  {failure['error_code']}: {failure['error_message']} ({failure['status']})", style="red")
    for refusal, shown in _refusals(payment):
        out.plain(f"  {refusal}; ./sluice dead show {shown}", style="red")
    if payment["status"] not in ENDS:
        out.plain(f"  not at its end yet; ./sluice logs --payment {payment['unique_id']}", style="yellow")
    rows = [
        [posting["entry_key"].partition(":")[0] if index == 0 else "", line["account"], amount(line)]
        for posting in payment.get("ledger", [])
        for index, line in enumerate(posting["lines"])
    ]
    if rows:
        out.say()
        out.table(["posting", "account", "amount"], rows)


def show_summary(out: Output, payments: list[dict[str, Any]]) -> None:
    """How many ended how, and how long the paid ones took."""
    for status, number in Counter(payment["status"] for payment in payments).most_common():
        out.say(f"{number} {status}")
    times = sorted(taken for payment in payments if (taken := duration(payment)) is not None)
    if times:
        out.say(
            f"from notice to mined payout: half within {times[len(times) // 2]:.2f} s, all within {times[-1]:.2f} s"
        )


def duration(payment: dict[str, Any]) -> float | None:
    """Seconds from the first hop to the mined payout."""
    hops = payment.get("hops", [])
    mined = next((hop["at"] for hop in hops if hop["hop"] == "payout mined"), None)
    if mined is None or not hops:
        return None
    return (datetime.fromisoformat(mined) - datetime.fromisoformat(hops[0]["at"])).total_seconds()


def amount(line: dict[str, Any]) -> str:
    """A ledger line's amount in coins, exact, with its sign."""
    sign = "+" if int(line["amount"]) > 0 else ""
    return f"{sign}{coins(line['amount'], line['currency'])}".rjust(32)


def coins(units: str, currency: str) -> str:
    """Base units as coins, exact; as base units, and said so, for a currency whose decimals are not known here."""
    unit = UNITS.get(currency)
    return f"{Decimal(units) / unit:f} {currency}" if unit else f"{units} base units of {currency}"


def _unconverted(payment: dict[str, Any]) -> bool:
    """Whether the exchange has refused to convert what was accumulated: as a batch it waits for somebody."""
    accumulation = payment.get("accumulation") or {}
    return payment["status"] == "accumulated" and accumulation.get("conversion_status") == "failed"


def _refusals(payment: dict[str, Any]) -> list[tuple[str, str]]:
    """What the exchange has refused, with its code and reason, and whose page tells of it."""
    if payment["status"] != "refused":
        return []
    batch, accumulation = payment.get("batch") or {}, payment.get("accumulation") or {}
    if batch.get("status") == "refused":
        return [(f"{batch['error_code']}: {batch['error_message']} (its batch)", batch["batch_id"])]
    if accumulation.get("conversion_status") == "failed":
        return [(f"{accumulation['conversion_error']} (its conversion)", payment["unique_id"])]
    return []


def _took(payment: dict[str, Any]) -> str:
    taken = duration(payment)
    return f", {taken:.2f} s from notice to mined payout" if taken is not None else ""


def _stopped(ended: int, count: int) -> OpsError:
    return OpsError(
        f"the local stack stopped while payments were followed: {ended} of {count} were at their end",
        why="nobody pays the others now; what was recorded goes on when it runs again",
        fix="./sluice up; then ./sluice reconcile names what is stuck",
    )
