"""Executing: has the kit's wallet sign what gchostpay1 has let through, and tells it when the chain has mined it.

The exchange was asked by gchostpay2; here only the token's day and the payment's own failures count (`failing`), and
only before a signed row exists.
"""

from __future__ import annotations

from datetime import datetime

from service_code.gchostpay3.failing import Failing
from service_code.kit import logs
from service_code.kit.binary import TokenError
from service_code.kit.call import Call
from service_code.kit.orders import ConfirmPayout
from service_code.kit.outcomes import Dead, Done, Next, Outcome
from service_code.kit.staged import ExecutePayout, PendingMined
from service_code.kit.tokens import ExecuteClaim, HostPayClaim, Purpose, Tokens
from service_code.kit.wallet.failures import ERRORS, Fault, PayoutError, classify
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.settle import Settler
from service_code.kit.wallet.signing import Signing, alert, payable

RESPONSE_QUEUE = "gchostpay-payment-response-queue"


class Executor:
    """Handles POST / and POST /confirm."""

    def __init__(self, payer: Payer, settler: Settler) -> None:
        self._kit = payer.kit
        self._signing = Signing(payer)
        self._settler = settler
        self._failing = Failing(self._kit)
        secret = self._kit.settings.secret("HOSTPAY_INTERNAL_SIGNING_KEY")
        self._tokens = Tokens(secret, Purpose.PAYMENT_EXECUTE, ExecuteClaim)

    async def execute(self, message: ExecutePayout, call: Call) -> Outcome:
        """Pay what the token says, once."""
        try:
            claim = self._tokens.read(message.token)
            call.about(claim.unique_id, claim.generation)
            age = claim.age(call.now)
        except TokenError as error:
            return Dead(error.code, error.why)
        logs.about(cn_api_id=claim.cn_api_id, token_age=round(age.total_seconds(), 3))
        standing = await self._signing.standing(claim)
        if standing.signed is not None:
            if standing.signed["status"] == "completed":
                return self._told(standing.signed)
            return await self._signing.go_on(standing.signed)
        if standing.failed:
            return Done("already_failed")
        try:
            self._in_time(claim, call.now)
            payable(claim)
            return await self._signing.sign(claim, call, self._in_time)
        except ERRORS as error:
            failure = classify(error)
        alert(failure.code)
        await call.rollback()
        return await self._failing.outcome(claim, failure, call)

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
        return Next(RESPONSE_QUEUE, mined_of(row), key=str(mined_of(row).generation))


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
