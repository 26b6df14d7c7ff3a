"""Amounts: a currency and a whole number of base units. Floats never enter; Decimal serves only to read and show.

Source: DESIGN section 3 (amounts), DECISIONS 3 (the remainder of a division is the platform's). Rates are not here: a
payout's rate is the exchange's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal, Inexact, InvalidOperation, localcontext
from enum import Enum

#: Digits after the point of each currency that the services move.
DECIMALS = {"eth": 18, "usdt": 6}
#: NUMERIC(78,0) holds every 256-bit number and one digit more.
LARGEST = 2**256 - 1
#: The longest decimal text that is read: anything longer is an attack, not a price.
LONGEST_TEXT = 120

_TEXT = re.compile(r"[0-9]{1,80}(\.[0-9]{1,80})?\Z")
#: Enough digits for 256 bits and 18 places; what does not fit raises instead of being rounded silently.
_EXACT = Context(prec=200)


class MoneyError(ValueError):
    """This is not an amount that can be held exactly."""


class Rounding(Enum):
    """How a decimal text with more digits than the currency has becomes base units."""

    EXACT = "refuse"
    DOWN = "towards zero"


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """So many base units (wei, for ether) of one currency; never negative."""

    currency: str
    units: int

    def __post_init__(self) -> None:
        if self.currency not in DECIMALS:
            raise MoneyError(f"unknown currency {self.currency!r}: known are {', '.join(DECIMALS)}")
        if type(self.units) is not int or not 0 <= self.units <= LARGEST:
            raise MoneyError("base units must be a whole number from 0 to 2^256-1")

    def __str__(self) -> str:
        return f"{self.text()} {self.currency}"

    def text(self) -> str:
        """Return the amount as an exact decimal text, without an exponent and without zeros at the end."""
        whole, part = divmod(self.units, 10 ** DECIMALS[self.currency])
        digits = f"{part:0{DECIMALS[self.currency]}d}".rstrip("0")
        return f"{whole}.{digits}" if digits else str(whole)


def read(text: str, currency: str, rounding: Rounding = Rounding.EXACT) -> Amount:
    """Read a plain decimal text as an amount; digits beyond the currency's are refused unless a rounding is named."""
    if currency not in DECIMALS:
        raise MoneyError(f"unknown currency {currency!r}: known are {', '.join(DECIMALS)}")
    if len(text) > LONGEST_TEXT or not _TEXT.match(text):
        raise MoneyError("not a plain decimal number")
    return _amount(Decimal(text), currency, rounding)


def _amount(number: Decimal, currency: str, rounding: Rounding) -> Amount:
    with localcontext(_EXACT) as context:
        context.traps[Inexact] = rounding is Rounding.EXACT
        try:
            units = number.scaleb(DECIMALS[currency]).quantize(Decimal(1), rounding=ROUND_DOWN)
        except (Inexact, InvalidOperation) as error:
            raise MoneyError(f"more than {DECIMALS[currency]} digits after the point") from error
    return Amount(currency=currency, units=int(units))


def read_double(value: float, currency: str) -> Amount:
    """Read the double of an old token: its shortest decimal form, digits beyond the currency's cut off (DOWN)."""
    if not 0 <= value < 10**15 or currency not in DECIMALS:  # also refuses NaN and infinity
        raise MoneyError("not an amount of a known currency")
    return _amount(Decimal(repr(value)), currency, Rounding.DOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A payment divided: three parts that sum to the whole."""

    client: Amount
    platform_fee: Amount
    rounding: Amount


def split(whole: Amount, client_percent: int) -> Split:
    """Divide a payment: both shares rounded down, the unit left over goes to the platform as `rounding`."""
    if not 1 <= client_percent <= 100:
        raise MoneyError(f"a client's share is 1 to 100 per cent, not {client_percent}")
    client = whole.units * client_percent // 100
    fee = whole.units * (100 - client_percent) // 100
    return Split(
        client=Amount(currency=whole.currency, units=client),
        platform_fee=Amount(currency=whole.currency, units=fee),
        rounding=Amount(currency=whole.currency, units=whole.units - client - fee),
    )


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole among weights: each share rounded down, and a unit more for the largest remainders.

    The shares sum to the whole, so that no residue is left; of equal remainders the first goes first.
    """
    whole = sum(weights)
    if total < 0 or whole <= 0 or min(weights) < 0:
        raise MoneyError("nothing can be divided among these")
    found = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda index: (-(total * weights[index] % whole), index))
    for index in order[: total - sum(found)]:
        found[index] += 1
    return found
