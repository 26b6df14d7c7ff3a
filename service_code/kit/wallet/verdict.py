"""What a receipt means for a payout: whether it paid, and what left the wallet.

Ether is paid by status 1. A token is paid by status 1 and its contract's Transfer event, from the wallet to the
exchange's address, of the exact amount: without that event nothing is paid, whatever the status says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service_code.kit import erc20, ledger
from service_code.kit.chain import Receipt
from service_code.kit.money import Amount
from service_code.kit.wallet.coins import GAS_CURRENCY

#: A token's transfer was mined and moved nothing; or moved something, but not what was asked.
NO_TRANSFER, STRAY_TRANSFER = "NO_TRANSFER", "STRAY_TRANSFER"
#: The verdicts that rest on missing events.
BY_EVENTS = (NO_TRANSFER, STRAY_TRANSFER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """`paid` reached the exchange; `strayed` left the wallet besides, or instead, in base units of the same token."""

    error: str | None
    paid: Amount | None = None
    strayed: int = 0

    @property
    def token_moved(self) -> int:
        """Return what left the wallet of a token."""
        token = self.paid is not None and self.paid.currency != GAS_CURRENCY
        return self.strayed + (self.paid.units if self.paid is not None and token else 0)


def judge(variant: Any, currency: str, receipt: Receipt) -> Verdict:
    """Judge a mined variant of a payout in a currency."""
    if variant["kind"] == "fill":
        return Verdict(error="ABANDONED")
    if receipt.status != 1:
        return Verdict(error="REVERTED")
    if currency == GAS_CURRENCY:
        return Verdict(error=None, paid=Amount(currency=currency, units=int(variant["value"])))
    asked = erc20.read_transfer(variant["data"])
    left = erc20.moved(receipt.logs, variant["recipient"], variant["address"])
    total = sum(units for _, units in left)
    if asked is not None and asked in left:
        return Verdict(error=None, paid=Amount(currency=currency, units=asked[1]), strayed=total - asked[1])
    return Verdict(error=STRAY_TRANSFER if total else NO_TRANSFER, strayed=total)


def postings(unique_id: str, currency: str, receipt: Receipt, verdict: Verdict) -> list[ledger.Posting]:
    """Return what a mined transaction posts: its gas, and what left the wallet."""
    spent = Amount(currency=GAS_CURRENCY, units=receipt.gas_used * receipt.gas_price)
    nothing = Amount(currency=currency, units=0)
    strayed = Amount(currency=currency, units=verdict.strayed)
    return [
        ledger.gas(unique_id, spent, receipt.tx_hash, receipt.block_hash),
        ledger.payout(unique_id, verdict.paid or nothing, receipt.tx_hash, receipt.block_hash),
        ledger.stray(unique_id, strayed, receipt.tx_hash, receipt.block_hash),
    ]
