"""Rates, fixed and exact.

Owns: prices, ranges and the arithmetic of an exchange. Prices never move, so that a test can know every amount
in advance: price in dollars per coin, less the exchange's share, rounded down to what the exchange pays out.
Leaves alone: orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from sandbox.wire import DECIMALS

#: Dollars per coin.
PRICES = {
    "eth": Decimal(3000), "bnb": Decimal(600), "btc": Decimal(90000), "ltc": Decimal(80),
    "sol": Decimal(150), "xmr": Decimal(160), "usdt": Decimal(1), "usdc": Decimal(1),
}  # fmt: skip

#: Networks on which a currency is exchanged; the first is meant when none is named.
NETWORKS = {
    "eth": ("eth",), "bnb": ("bsc",), "btc": ("btc",), "ltc": ("ltc",), "sol": ("sol",), "xmr": ("xmr",),
    "usdt": ("eth", "trx", "bsc", "sol"), "usdc": ("eth", "bsc", "sol"),
}  # fmt: skip

#: What the exchange keeps, as a share; a fixed rate costs more, as it does there.
SHARES = {"standard": Decimal("0.005"), "fixed-rate": Decimal("0.01")}

#: Smallest and largest exchange, in dollars.
MIN_DOLLARS, MAX_DOLLARS = Decimal(3), Decimal(3_000_000)

#: The exchange pays out at most this many decimals, whatever the currency could carry.
PAYOUT_PLACES = 8


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What is exchanged for what, where."""

    from_currency: str
    from_network: str
    to_currency: str
    to_network: str

    @property
    def known(self) -> bool:
        """Whether the exchange trades it at all."""
        sides = ((self.from_currency, self.from_network), (self.to_currency, self.to_network))
        return all(network in NETWORKS.get(currency, ()) for currency, network in sides)

    @property
    def active(self) -> bool:
        """Whether coins can be taken in: those that exist on the chain of the sandbox, for another coin."""
        return self.known and self._on_chain and self.to_currency != self.from_currency

    @property
    def _on_chain(self) -> bool:
        return self.from_network == "eth" and self.from_currency in ("eth", "usdt", "usdc")

    def minimum(self) -> Decimal:
        """Smallest amount to pay in, rounded up to 7 decimals."""
        return (MIN_DOLLARS / PRICES[self.from_currency]).quantize(Decimal("1e-7"), ROUND_UP)

    def maximum(self) -> Decimal:
        """Largest amount to pay in."""
        return (MAX_DOLLARS / PRICES[self.from_currency]).quantize(Decimal("1e-7"), ROUND_DOWN)

    def paid_out(self, amount: Decimal, flow: str) -> Decimal:
        """What the client gets for an amount paid in."""
        exact = amount * PRICES[self.from_currency] * (1 - SHARES[flow]) / PRICES[self.to_currency]
        return exact.quantize(Decimal(1).scaleb(-self._places(self.to_currency)), ROUND_DOWN)

    def paid_in(self, amount: Decimal, flow: str) -> Decimal:
        """What must be paid in for the client to get an amount."""
        exact = amount * PRICES[self.to_currency] / (PRICES[self.from_currency] * (1 - SHARES[flow]))
        return exact.quantize(Decimal(1).scaleb(-self._places(self.from_currency)), ROUND_UP)

    @staticmethod
    def _places(currency: str) -> int:
        return min(PAYOUT_PLACES, DECIMALS[currency])
