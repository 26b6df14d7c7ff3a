"""JSON with exact decimals, and amounts in base units.

Owns: writing a Decimal as the JSON number it is (real exchanges send numbers, floats lose money), reading
numbers back as Decimals, and the decimals of each currency. Leaves alone: rates.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

#: Base units per coin, as a power of ten.
DECIMALS = {"eth": 18, "bnb": 18, "btc": 8, "ltc": 8, "sol": 9, "xmr": 12, "usdt": 6, "usdc": 6}

_UNIT = {currency: Decimal(10) ** places for currency, places in DECIMALS.items()}


def text(amount: Decimal) -> str:
    """The shortest plain notation: no exponent, no trailing zeros."""
    plain = format(amount, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def dumps(value: Any) -> str:
    """Encode, Decimals as numbers in plain notation."""
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(key))}:{dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(dumps(item) for item in value) + "]"
    return json.dumps(value)


def loads(data: bytes | str) -> Any:
    """Decode, numbers with a point as Decimals."""
    return json.loads(data, parse_float=Decimal)


def answer(body: Any, status: int = 200) -> web.Response:
    """A JSON answer with exact numbers."""
    return web.Response(text=dumps(body), status=status, content_type="application/json")


def decimal(value: Any) -> Decimal | None:
    """A positive finite amount from a string or number, or None."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and number > 0 else None


def to_units(amount: Decimal, currency: str) -> int | None:
    """Base units, or None when the amount is finer than the currency can carry."""
    scaled = amount * _UNIT[currency]
    return int(scaled) if scaled == scaled.to_integral_value() else None


def from_units(units: int, currency: str) -> Decimal:
    """Coins from base units, exactly."""
    return Decimal(units).scaleb(-DECIMALS[currency])
