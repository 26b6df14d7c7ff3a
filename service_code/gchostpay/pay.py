"""Paying: reads the token, asks the exchange, and has the kit's wallet sign; every failure becomes an outcome.

A message without a token names its payment: the split's row then says what the token would, as of now. Token expiry and
the exchange's status count only before a signed row exists (`kit.wallet.signing` says why).
"""

from __future__ import annotations

from datetime import datetime

from service_code.kit import logs
from service_code.kit.binary import TokenError
from service_code.kit.call import Call
from service_code.kit.changenow import WAITING, ChangeNow, ExchangeAwayError, ExchangeRefusedError, refusal
from service_code.kit.deaths import SUPERSEDED
from service_code.kit.money import Amount
from service_code.kit.opening import opened
from service_code.kit.orders import HostPayOrder
from service_code.kit.outcomes import Dead, Done, Outcome, Retry
from service_code.kit.tokens import HostPayClaim, Purpose, Tokens
from service_code.kit.wallet.failures import ERRORS, Failure, Fault, PayoutError, classify
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.signing import Signing, alert


class Paying:
    """Handles POST /hostpay_webhook."""

    def __init__(self, payer: Payer) -> None:
        kit = payer.kit
        self._kit = kit
        self._signing = Signing(payer)
        self._exchange = ChangeNow(
            kit.settings.endpoints.changenow, kit.settings.secret("CHANGENOW_API_KEY"), kit.outside
        )
        secret = kit.settings.secret("TPS_HOSTPAY_SIGNING_KEY")
        self._tokens = Tokens(secret, Purpose.HOSTPAY_EXECUTION, HostPayClaim)

    async def pay(self, order: HostPayOrder, call: Call) -> Outcome:
        """Pay what the token or the row says, once."""
        try:
            claim = opened(self._tokens, order.token, call)[0] if order.token else await self._minted(order, call)
        except TokenError as error:
            return Dead(error.code, error.why)
        standing = await self._signing.standing(claim)
        if standing.signed is not None:
            return await self._signing.go_on(standing.signed)
        if standing.failed:
            return Done("already_failed")
        try:
            self._in_time(claim, call.now)
            self._signing.payable(claim)
            return await self._not_waiting(claim) or await self._signing.sign(claim, call, self._in_time)
        except ERRORS as error:
            failure = classify(error)
        if failure.code == "TOKEN_EXPIRED" and await self._kit.db.row(SUPERSEDED, claim.unique_id, claim.generation):
            return Done("superseded")
        return self._outcome(claim, failure)

    async def _minted(self, order: HostPayOrder, call: Call) -> HostPayClaim:
        """Say what a token of this moment would, by the split's row. Raises TokenError for what was never split so."""
        row = await self._kit.db.row("SELECT * FROM split_payout_que WHERE unique_id = $1", order.unique_id)
        if row is None or row["way"] != "single" or order.generation is None or order.generation > row["generation"]:
            raise TokenError("NOT_A_SPLIT_PAYMENT", "no payout of this id and generation is to be paid here")
        # Of an older generation nothing is signed any more: only what is signed already goes on.
        if row["generation"] == order.generation and row["cn_api_id"] != order.cn_api_id:
            raise TokenError("NOT_AS_SPLIT", "the message names another exchange order than the split")
        fields = {name: row[name] for name in ("unique_id", "cn_api_id", "payin_address")}
        amount = Amount(currency=row["from_currency"], units=row["from_amount"])
        logs.about(cn_api_id=row["cn_api_id"], token_age=0.0)
        network = row["from_network"]
        return HostPayClaim(**fields, generation=order.generation, amount=amount, network=network, issued_at=call.now)

    @staticmethod
    def _outcome(claim: HostPayClaim, failure: Failure) -> Outcome:
        alert(failure, claim.amount.currency)
        if failure.fault is Fault.FINAL:
            return Dead(failure.code, failure.why)
        return Retry(failure.why)

    def _in_time(self, claim: HostPayClaim, now: datetime) -> None:
        if claim.age(now) > self._tokens.window:
            why = f"the token is older than {self._tokens.window.total_seconds():.0f} s"
            raise PayoutError("TOKEN_EXPIRED", why, Fault.FINAL)

    async def _not_waiting(self, claim: HostPayClaim) -> Outcome | None:
        """Refuse what the exchange does not wait for."""
        try:
            state = await self._exchange.state(claim.cn_api_id)
        except ExchangeAwayError as error:
            return Retry(str(error))
        except ExchangeRefusedError as error:  # its reading side may be behind its writing one: until the token's end
            return Retry(f"the exchange does not know the order: {error.why}")
        if state.status == "new":
            return Retry("the exchange order is not ready")
        if state.status != WAITING:
            return Dead(*refusal(state.status))
        if not state.is_of(claim.amount, claim.payin_address):
            return Dead("EXCHANGE_MISMATCH", "the exchange expects another amount or at another address")
        return None
