"""ChangeNow's v2 API over HTTP.

Owns: paths, parameters, field names and error bodies, by the exchange's documentation and by what its clients
parse. Where the documentation is silent the choice is ours and stands in docs/adr/sandbox-exchange.md.
Leaves alone: what happens to coins.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web
from eth_utils.address import is_address

from sandbox.clock import Clock
from sandbox.exchange.book import FIXED_RATE_SECONDS, Book
from sandbox.exchange.rates import NETWORKS, Pair
from sandbox.faults import Fault, Faults, bitten
from sandbox.wire import answer, decimal, dumps, from_units, loads, text, to_units

_FORECAST = "10-60"


class RefusedError(Exception):
    """The exchange says no: an HTTP status, a code and a sentence."""

    def __init__(self, status: int, error: str, message: str, **payload: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": error, "message": message} | ({"payload": payload} if payload else {})


class ExchangeApi:
    """The handlers of the exchange."""

    #: Method names by which faults can be aimed.
    METHODS: ClassVar[dict[str, str]] = {
        "/changenow/v2/exchange/estimated-amount": "estimated-amount",
        "/changenow/v2/exchange/range": "range",
        "/changenow/v2/exchange/min-amount": "min-amount",
        "/changenow/v2/exchange/by-id": "by-id",
        "/changenow/v2/exchange": "exchange",
    }

    def __init__(self, book: Book, clock: Clock, faults: Faults, api_key: str) -> None:
        self._book = book
        self._clock = clock
        self._faults = faults
        self._key = api_key

    def routes(self) -> list[web.RouteDef]:
        """The exchange's paths, and its books for the judge."""
        return [
            web.get("/changenow/v2/exchange/estimated-amount", self._guarded(self._estimate)),
            web.get("/changenow/v2/exchange/range", self._guarded(self._range)),
            web.get("/changenow/v2/exchange/min-amount", self._guarded(self._minimum)),
            web.get("/changenow/v2/exchange/by-id", self._guarded(self._by_id)),
            web.post("/changenow/v2/exchange", self._guarded(self._create)),
            web.get("/exchange/records", self._records),
        ]

    def _guarded(self, handler: Any) -> Any:
        async def work(request: web.Request) -> web.Response:
            try:
                if request.headers.get("x-changenow-api-key") != self._key:
                    raise RefusedError(401, "unauthorized", "Unauthorized")
                return answer(await handler(request))
            except RefusedError as refusal:
                return answer(refusal.body, refusal.status)

        def fail(fault: Fault) -> web.Response:
            return answer({"error": "internal_error", "message": fault.message}, fault.status)

        async def entry(request: web.Request) -> web.StreamResponse:
            fault = self._faults.take("changenow", self.METHODS[request.path], request.query.get("id", ""))
            return await bitten(request, fault, lambda: work(request), fail)

        return entry

    # Reading what was asked

    @staticmethod
    def _pair(raw: Mapping[str, Any]) -> Pair:
        def side(name: str) -> tuple[str, str]:
            currency = str(raw.get(f"{name}Currency") or "").lower()
            if not currency:
                raise RefusedError(400, "bad_request", f"{name}Currency is required")
            known = NETWORKS.get(currency, ("",))
            return currency, str(raw.get(f"{name}Network") or known[0]).lower()

        from_currency, from_network = side("from")
        to_currency, to_network = side("to")
        pair = Pair(from_currency=from_currency, from_network=from_network,
                    to_currency=to_currency, to_network=to_network)  # fmt: skip
        if not pair.known:
            raise RefusedError(404, "not_found", f"Pair {from_currency}_{to_currency} was not found on these networks")
        if not pair.active:
            raise RefusedError(400, "pair_is_inactive", "pair is inactive")
        return pair

    @staticmethod
    def _flow(raw: Mapping[str, Any]) -> tuple[str, str]:
        flow, kind = str(raw.get("flow") or "standard"), str(raw.get("type") or "direct")
        if flow not in ("standard", "fixed-rate"):
            raise RefusedError(400, "bad_request", "flow must be one of: standard, fixed-rate")
        if kind not in ("direct", "reverse"):
            raise RefusedError(400, "bad_request", "type must be one of: direct, reverse")
        if kind == "reverse" and flow != "fixed-rate":
            raise RefusedError(400, "bad_request", "reverse is possible with the fixed-rate flow only")
        return flow, kind

    @staticmethod
    def _amounts(raw: Mapping[str, Any], pair: Pair, flow: str, kind: str) -> tuple[Decimal, Decimal]:
        name = "fromAmount" if kind == "direct" else "toAmount"
        amount = decimal(raw.get(name))
        if amount is None:
            raise RefusedError(400, "bad_request", f"{name} must be a positive number")
        currency = pair.from_currency if kind == "direct" else pair.to_currency
        if to_units(amount, currency) is None:
            raise RefusedError(400, "bad_request", f"{name} has more decimals than {currency} can carry")
        if kind == "direct":
            return amount, pair.paid_out(amount, flow)
        return pair.paid_in(amount, flow), amount

    @staticmethod
    def _in_range(pair: Pair, amount: Decimal) -> None:
        least, most = pair.minimum(), pair.maximum()
        limits = {"range": {"minAmount": least, "maxAmount": most}}
        if amount < least:
            message = f"Out of min amount. Minimal amount: {text(least)} {pair.from_currency}"
            raise RefusedError(400, "deposit_too_small", message, **limits)
        if amount > most:
            message = f"Out of max amount. Maximal amount: {text(most)} {pair.from_currency}"
            raise RefusedError(400, "deposit_too_big", message, **limits)

    # Handlers

    async def _estimate(self, request: web.Request) -> dict[str, Any]:
        raw = request.query
        pair, (flow, kind) = self._pair(raw), self._flow(raw)
        from_amount, to_amount = self._amounts(raw, pair, flow, kind)
        self._in_range(pair, from_amount)
        rate_id, until = None, None
        if flow == "fixed-rate":
            until = self._clock.now() + FIXED_RATE_SECONDS
            if raw.get("useRateId", "").lower() == "true":
                units = (to_units(from_amount, pair.from_currency), to_units(to_amount, pair.to_currency))
                rate_id, until = self._book.keep_rate(
                    pair.from_currency, pair.to_currency, units[0] or 0, units[1] or 0
                )
        return {
            **self._names(pair), "flow": flow, "type": kind, "rateId": rate_id,
            "validUntil": self._clock.iso(until) if until else None, "transactionSpeedForecast": _FORECAST,
            "warningMessage": None, "depositFee": 0, "withdrawalFee": 0, "userId": None,
            "fromAmount": from_amount, "toAmount": to_amount,
        }  # fmt: skip

    async def _range(self, request: web.Request) -> dict[str, Any]:
        pair, (flow, _) = self._pair(request.query), self._flow(request.query)
        return {**self._names(pair), "flow": flow, "minAmount": pair.minimum(), "maxAmount": pair.maximum()}

    async def _minimum(self, request: web.Request) -> dict[str, Any]:
        pair, (flow, _) = self._pair(request.query), self._flow(request.query)
        return {**self._names(pair), "flow": flow, "minAmount": pair.minimum()}

    async def _create(self, request: web.Request) -> dict[str, Any]:
        try:
            raw = loads(await request.read())
        except ValueError as error:
            raise RefusedError(400, "bad_request", "the body is not JSON") from error
        if not isinstance(raw, dict):
            raise RefusedError(400, "bad_request", "the body must be an object")
        pair, (flow, kind) = self._pair(raw), self._flow(raw)
        from_amount, to_amount = self._amounts(raw, pair, flow, kind)
        if from_amount < pair.minimum():
            least = f"{text(pair.minimum())} {pair.from_currency.upper()}"
            raise RefusedError(400, "out_of_range", f"Amount is less then minimal: {least}")
        if from_amount > pair.maximum():
            most = f"{text(pair.maximum())} {pair.from_currency.upper()}"
            raise RefusedError(400, "out_of_range", f"Amount is more then maximal: {most}")
        address = self._address(raw.get("address"), pair.to_network, "address")
        if address is None:
            raise RefusedError(400, "bad_request", "address is required")
        refund = self._address(raw.get("refundAddress"), pair.from_network, "refundAddress")
        until = self._clock.now() + FIXED_RATE_SECONDS if flow == "fixed-rate" else None
        from_units_, to_units_ = to_units(from_amount, pair.from_currency), to_units(to_amount, pair.to_currency)
        if flow == "fixed-rate" and raw.get("rateId"):
            rate = self._book.rate(str(raw["rateId"]))
            if rate is None or (rate["from_currency"], rate["to_currency"]) != (pair.from_currency, pair.to_currency):
                raise RefusedError(400, "rate_id_not_found_or_expired", "Rate id is not found or expired")
            if rate["from_units"] != str(from_units_):
                raise RefusedError(400, "bad_request", "the amount differs from the one that the rate id stands for")
            until, to_units_ = rate["valid_until"], int(rate["to_units"])
        row = self._book.open({
            "flow": flow, "from_currency": pair.from_currency, "from_network": pair.from_network,
            "to_currency": pair.to_currency, "to_network": pair.to_network, "expected_from": str(from_units_),
            "expected_to": str(to_units_), "payout_address": address, "extra_id": _maybe(raw.get("extraId")),
            "refund_address": refund, "refund_extra_id": _maybe(raw.get("refundExtraId")),
            "user_id": _maybe(raw.get("userId")), "rate_id": _maybe(raw.get("rateId")), "valid_until": until,
        })  # fmt: skip
        return {
            "fromAmount": from_amount, "toAmount": from_units(int(row["expected_to"]), pair.to_currency),
            "flow": flow, "type": kind, "payinAddress": row["payin_address"], "payoutAddress": address,
            "payoutExtraId": row["extra_id"], "payinExtraId": None, **self._names(pair),
            "refundAddress": refund, "refundExtraId": row["refund_extra_id"], "id": row["id"],
            "rateId": row["rate_id"], "validUntil": self._clock.iso(until) if until else None,
            "directedAmount": from_amount if kind == "direct" else to_amount,
            "directedCurrency": pair.from_currency if kind == "direct" else pair.to_currency,
        }  # fmt: skip

    @staticmethod
    def _address(value: Any, network: str, name: str) -> str | None:
        if not value:
            return None
        if not isinstance(value, str) or (network in ("eth", "bsc") and not is_address(value)):
            raise RefusedError(400, "not_valid_address", f"{name} is not valid for the network {network}")
        return value

    async def _by_id(self, request: web.Request) -> dict[str, Any]:
        order_id = request.query.get("id", "")
        row = self._book.get(order_id)
        if row is None:
            raise RefusedError(404, "not_found", f"Not found exchange with id {order_id}")
        return self._book.show(row)

    async def _records(self, _: web.Request) -> web.Response:
        return web.Response(text=dumps({"exchanges": self._book.records()}), content_type="application/json")

    @staticmethod
    def _names(pair: Pair) -> dict[str, str]:
        return {
            "fromCurrency": pair.from_currency, "fromNetwork": pair.from_network,
            "toCurrency": pair.to_currency, "toNetwork": pair.to_network,
        }  # fmt: skip


def _maybe(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None
