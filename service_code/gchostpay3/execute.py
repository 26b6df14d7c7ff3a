"""Executing: has the kit's wallet sign what gchostpay1 has let through, and tells it when the chain has mined it.

The exchange was asked by gchostpay2; here only the token's day and the payment's own failures count (`failing`), and
only before a signed row exists.
"""

from __future__ import annotations

from datetime import datetime

from service_code.gchostpay3.failing import Failing
from service_code.kit.binary import TokenError
from service_code.kit.call import Call
from service_code.kit.deaths import BURIED
from service_code.kit.money import Amount
from service_code.kit.opening import opened
from service_code.kit.orders import ConfirmPayout
from service_code.kit.outcomes import Dead, Done, Next, Outcome
from service_code.kit.staged import ExecutePayout, PendingMined, refused_token
from service_code.kit.tokens import ExecuteClaim, HostPayClaim, Purpose, Tokens, takes_old
from service_code.kit.wallet.failures import ERRORS, Fault, PayoutError, classify
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.settle import Settler
from service_code.kit.wallet.signing import Signing, alert

RESPONSE_QUEUE = "gchostpay-payment-response-queue"


class Executor:
    """Handles POST / and POST /confirm."""

    def __init__(self, payer: Payer, settler: Settler) -> None:
        self._kit = payer.kit
        self._signing = Signing(payer)
        self._settler = settler
        self._failing = Failing(self._kit)
        secret = self._kit.settings.secret("HOSTPAY_INTERNAL_SIGNING_KEY")
        self._tokens = Tokens(secret, Purpose.PAYMENT_EXECUTE, ExecuteClaim, old=takes_old(self._kit.settings))

    async def execute(self, message: ExecutePayout, call: Call) -> Outcome:
        """Pay what the token says, once."""
        try:
            claim, _ = opened(self._tokens, message.token, call)
        except TokenError as error:
            return refused_token(error)
        standing = await self._signing.standing(claim)
        if standing.signed is not None:
            if standing.signed["status"] == "completed":
                return self._told(standing.signed)
            return await self._signing.go_on(standing.signed)
        if (refused := Done("already_failed") if standing.failed else await self._not_asked_for(claim)) is not None:
            return refused
        try:
            self._in_time(claim, call.now)
            self._signing.payable(claim)
            return await self._signing.sign(claim, call, self._in_time)
        except ERRORS as error:
            failure = classify(error)
        alert(failure, claim.amount.currency)
        await call.rollback()
        return await self._failing.outcome(claim, failure, call)

    async def _not_asked_for(self, claim: ExecuteClaim) -> Outcome | None:
        """Refuse what gcsplit has not written down like this; a replay between here and signing is seen as a death."""
        if await self._kit.db.row(BURIED, claim.unique_id, claim.generation) is not None:
            return Done("already_failed")
        sql = "SELECT * FROM split_payout_que WHERE unique_id = $1 AND generation = $2 AND status = 'pending_hostpay'"
        row = await self._kit.db.row(sql, claim.unique_id, claim.generation)
        if row is None:
            return Dead("NOT_A_SPLIT_PAYMENT", "no payout of this id and generation is pending")
        held = Amount(currency=row["from_currency"], units=row["from_amount"])
        if (claim.amount, claim.payin_address, claim.cn_api_id) != (held, row["payin_address"], row["cn_api_id"]):
            return Dead("NOT_AS_SPLIT", "the token names another amount, address or exchange order than the split")
        return None

    def _in_time(self, claim: HostPayClaim, now: datetime) -> None:
        first = claim.first_attempt_at if isinstance(claim, ExecuteClaim) else None
        if now - (first or claim.issued_at) > self._tokens.window:
            raise PayoutError("TOKEN_EXPIRED", "the payout was let through more than a day ago", Fault.FINAL)

    async def confirm(self, order: ConfirmPayout, call: Call) -> Outcome:
        """Settle one payout by the chain, and tell gchostpay1."""
        outcome = await self._settler.confirm(order, call)
        if not isinstance(outcome, Done):
            return outcome
        call.about(order.unique_id, order.generation)
        sql = "SELECT * FROM split_payout_hostpay WHERE unique_id = $1 AND generation = $2"
        row = await self._kit.db.row(sql, order.unique_id, order.generation)
        return self._told(row) if row is not None and row["status"] == "completed" else outcome

    @staticmethod
    def _told(row: object) -> Next:
        news = mined_of(row)
        return Next(RESPONSE_QUEUE, news, key=str(news.generation))


def mined_of(row: object) -> PendingMined:
    """The news of a payout's row."""
    found: dict[str, object] = dict(row)  # type: ignore[call-overload]
    return PendingMined.model_validate(
        {
            **{name: found[name] for name in ("unique_id", "generation", "cn_api_id", "tx_hash", "block_number")},
            "tx_status": "success",
            "gas_used": int(str(found["gas_used"])),
        }
    )
