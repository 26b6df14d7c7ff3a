"""The exchange, ChangeNow's API v2: a rate, an order at that rate, and what became of an order.

Only what the services need. An order costs nothing until somebody pays to its address, so that one made twice is
harmless. Amounts are sent as exact decimals; the exchange's numbers are read exactly and compared with ours, since
other programs may have held them as doubles.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from service_code.kit import logs
from service_code.kit.money import Amount, MoneyError, Rounding, read
from service_code.kit.outside import Answer, Outside, UnreachableError

#: An amount that went through a double differs by less than this part of itself.
DOUBLE = Decimal("1e-12")
#: The code of an amount that the exchange finds too small to exchange.
TOO_SMALL = "EXCHANGE_DEPOSIT_TOO_SMALL"
RATE_PLACES = Decimal("1e-12")
#: Statuses by which it will not do something; any other but a 2xx is no usable answer.
REFUSALS = (400, 404, 422)
#: The only status in which an order may be paid.
WAITING = "waiting"
#: Statuses after which an order will never take a payment.
OVER = frozenset(("finished", "failed", "refunded", "expired"))

_log = logs.get("changenow")


class ExchangeAwayError(RuntimeError):
    """The exchange gave no usable answer: it is down, limits us, or does not know our key."""


class ExchangeRefusedError(RuntimeError):
    """The exchange will not do this, however often it is asked."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """From what into what, and to whom."""

    amount: Amount
    from_network: str
    to_currency: str
    to_network: str
    address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExchangeOrder:
    """An order that waits to be paid."""

    id: str
    payin_address: str
    to_amount: str
    valid_until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """What the exchange would pay for an order now, and the rate that it keeps for it until then, if any."""

    to_amount: str
    rate_id: str
    valid_until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What the exchange would pay for an amount now."""

    to_amount: Amount
    #: Coins for a coin, to RATE_PLACES places, half to even: shown, never calculated with.
    rate: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class ExchangeState:
    """What the exchange says of an order."""

    status: str
    payin_address: str
    expected: Decimal | None

    def is_of(self, amount: Amount, payin_address: str) -> bool:
        """Tell whether the order takes this amount at this address."""
        return self.payin_address.lower() == payin_address.lower() and same(amount, self.expected)


def refusal(status: str) -> tuple[str, str]:
    """Code and reason for an order that takes no payment, by its status."""
    code = f"EXCHANGE_{status.upper()}" if status in OVER else "EXCHANGE_NOT_WAITING"
    return code, f"the exchange order is {status[:20]}: it takes no payment"


class ChangeNow:
    """A client of one account at the exchange."""

    def __init__(self, base: str, key: str, outside: Outside) -> None:
        self._base = base.rstrip("/")
        self._headers = {"x-changenow-api-key": key, "Content-Type": "application/json"}
        self._outside = outside

    async def order(self, route: Route, refund_address: str | None = None, *, fixed: bool = True) -> ExchangeOrder:
        """Create an order: at a rate fixed for some minutes, or (`fixed` false) at the rate of when it is paid."""
        return await self.place(route, await self.quote(route, fixed=fixed), refund_address, fixed=fixed)

    async def quote(self, route: Route, *, fixed: bool = True) -> Quote:
        """Ask what an order would bring; a fixed rate is kept for us for some minutes."""
        query = {**_wish(route, fixed=fixed), **({"useRateId": "true"} if fixed else {})}
        told = await self._ask("GET", "/v2/exchange/estimated-amount", params=query)
        return Quote(
            to_amount=str(told.get("toAmount") or ""),
            rate_id=str(told.get("rateId") or "") if fixed else "",
            valid_until=_moment(told.get("validUntil")),
        )

    async def place(
        self, route: Route, quote: Quote, refund_address: str | None = None, *, fixed: bool = True
    ) -> ExchangeOrder:
        """Create an order at what was quoted."""
        wish = {**_wish(route, fixed=fixed), "address": route.address}
        if fixed:
            wish["rateId"] = quote.rate_id
        if refund_address:
            wish["refundAddress"] = refund_address
        made = await self._ask("POST", "/v2/exchange", body=json.dumps(wish).encode())
        if not made.get("id") or not made.get("payinAddress"):
            raise ExchangeAwayError("the exchange's answer has no id or no address")
        if not same(route.amount, _decimal(made.get("fromAmount"))):
            raise ExchangeRefusedError("EXCHANGE_AMOUNT", "the exchange made an order for another amount")
        return ExchangeOrder(
            id=str(made["id"]),
            payin_address=str(made["payinAddress"]),
            to_amount=str(made.get("toAmount") or quote.to_amount),
            valid_until=_moment(made.get("validUntil")) or quote.valid_until,
        )

    async def estimate(self, amount: Amount, network: str, to_currency: str, to_network: str) -> Estimate:
        """Ask what an amount is worth; what is beyond the currency's digits is cut off (DOWN)."""
        query = {
            "fromCurrency": amount.currency,
            "fromNetwork": network,
            "toCurrency": to_currency,
            "toNetwork": to_network,
            "fromAmount": amount.text(),
            "flow": "standard",
            "type": "direct",
        }
        told = await self._ask("GET", "/v2/exchange/estimated-amount", params=query)
        found = _decimal(told.get("toAmount"))
        if found is None or found <= 0 or not same(amount, _decimal(told.get("fromAmount"))):
            raise ExchangeAwayError("the exchange's estimate is none, or one of another amount")
        try:
            worth = read(f"{found:f}", to_currency, Rounding.DOWN)
        except MoneyError as error:
            raise ExchangeAwayError(f"the exchange's estimate: {error}") from error
        rate = Context(prec=100).divide(found, Decimal(amount.text()))
        return Estimate(to_amount=worth, rate=rate.quantize(RATE_PLACES, ROUND_HALF_EVEN, Context(prec=100)))

    async def state(self, order_id: str) -> ExchangeState:
        """Ask for an order's state."""
        found = await self._ask("GET", "/v2/exchange/by-id", params={"id": order_id})
        if not found.get("status") or not found.get("payinAddress"):
            raise ExchangeAwayError("the exchange's answer has no status or no address")
        return ExchangeState(
            status=str(found["status"]),
            payin_address=str(found["payinAddress"]),
            expected=_decimal(found.get("expectedAmountFrom")),
        )

    async def _ask(self, method: str, path: str, **wish: Any) -> dict[str, Any]:
        started = time.perf_counter()
        said: dict[str, Any] = {"what": "changenow_call", "path": path}
        try:
            answer = await self._outside.call(
                method, self._base + path, what="ChangeNow", headers=self._headers, **wish
            )
        except UnreachableError as error:
            said |= {"outcome": "away", "call_ms": _ms_since(started)}
            _log.warning("the exchange is away", status="unreachable", **said)
            raise ExchangeAwayError(str(error)) from error
        body = answer.json()
        fine = 200 <= answer.status < 300 and isinstance(body, dict)
        refused = answer.status in REFUSALS
        said |= {"outcome": "ok" if fine else "refused" if refused else "away", "call_ms": _ms_since(started)}
        _log.info("asked the exchange", status=answer.status, **said)
        if fine:
            return dict(body)
        if refused:
            raise ExchangeRefusedError(_code(body), _why(answer, body))
        if answer.status in (401, 403):
            _log.error("the exchange does not know our key", what="bad_changenow_key", status="error")
        raise ExchangeAwayError(f"ChangeNow answered {answer.status}")


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def same(amount: Amount, told: Decimal | None) -> bool:
    """Tell whether an amount of the exchange's is ours; one that it does not tell is taken as ours."""
    if told is None:
        return True
    ours = Decimal(amount.text())
    return abs(ours - told) <= ours * DOUBLE


def _wish(route: Route, *, fixed: bool) -> dict[str, str]:
    """The fields that an estimate and an order have in common."""
    return {
        "fromCurrency": route.amount.currency,
        "fromNetwork": route.from_network,
        "toCurrency": route.to_currency,
        "toNetwork": route.to_network,
        "flow": "fixed-rate" if fixed else "standard",
        "type": "direct",
        "fromAmount": route.amount.text(),
    }


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(value)
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _moment(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _code(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    text = "".join(letter if letter.isalnum() else "_" for letter in str(error or "refused"))[:40]
    return f"EXCHANGE_{text.upper()}"


def _why(answer: Answer, body: Any) -> str:
    message = body.get("message") if isinstance(body, dict) else None
    return f"ChangeNow answered {answer.status}: {str(message or 'no reason')[:200]}"
