"""What becomes of a payout that could not be signed (seeds/004; DECISIONS 10): by whose fault it is.

Not the payment's (an unreachable node, a stopped wallet): the queue tries again, for its day. The payment's own: again
in a minute through gchostpay3-retry-queue, three attempts in all, counted in the token. Hopeless, or the third time: it
is buried with its money in the liability account, people are told, and gchostpay1 hears of it.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from service_code.kit import deaths, ledger
from service_code.kit.alerting import Alerts
from service_code.kit.call import Call
from service_code.kit.clock import to_millis
from service_code.kit.money import Amount
from service_code.kit.orders import payout_of
from service_code.kit.outcomes import Dead, Done, Next, Outcome, Retry
from service_code.kit.runtime import Kit
from service_code.kit.staged import PayoutFailed, PendingExecute
from service_code.kit.tokens import ExecuteClaim
from service_code.kit.wallet.failures import Failure, Fault

RETRY_QUEUE, FAILED_QUEUE = "gchostpay3-retry-queue", "gchostpay-payment-failed-queue"
#: Attempts that a payment's own failures leave it, and the time between them.
ATTEMPTS = 3
AGAIN = timedelta(seconds=60)


class Failing:
    """Decides after a failure."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._alerts = Alerts(kit)

    async def outcome(self, claim: ExecuteClaim, failure: Failure, call: Call) -> Outcome:
        """Say what follows."""
        if failure.fault is Fault.ELSEWHERE:
            return Retry(failure.why)
        attempt = claim.attempt_count + 1
        if failure.fault is Fault.OWN and attempt < ATTEMPTS:
            again = PendingExecute(
                **payout_of(claim),
                attempt_count=attempt,
                first_attempt_at=to_millis(claim.first_attempt_at or call.now),
                last_error_code=failure.code,
            )
            return Next(RETRY_QUEUE, again, after=AGAIN, key=f"{claim.generation}:{attempt}")
        return await self._give_up(claim, failure, attempt, call)

    async def _give_up(self, claim: ExecuteClaim, failure: Failure, attempt: int, call: Call) -> Outcome:
        connection = await call.begin()
        await deaths.hold_payout(connection, claim.unique_id)
        if await connection.fetchrow(deaths.SIGNED, claim.unique_id) is not None:
            return Retry("another delivery has signed it")  # the next one goes on with it
        if await connection.fetchrow(deaths.BURIED, claim.unique_id, claim.generation) is not None:
            return Done("already_failed")
        row = await connection.fetchrow(
            """
            UPDATE split_payout_que SET status = 'dead', closed_at = $3
            WHERE unique_id = $1 AND generation = $2 AND status = 'pending_hostpay'
            RETURNING from_currency, from_amount
            """,
            *(claim.unique_id, claim.generation, call.now),
        )
        if row is None:
            await call.rollback()
            return Dead("NOT_A_SPLIT_PAYMENT", f"no payout of this id and generation is pending: {failure.code}")
        death = deaths.Death(
            unique_id=claim.unique_id,
            generation=claim.generation,
            stage="hostpay",
            account=ledger.EXCHANGE_CLEARING,
            held=Amount(currency=row["from_currency"], units=row["from_amount"]),
            code=failure.code,
            why=failure.why,
            service=self._kit.settings.service,
            cn_api_id=claim.cn_api_id,
            network=claim.network,
            payin_address=claim.payin_address,
            retryable=failure.fault is Fault.OWN or failure.code == "TOKEN_EXPIRED",
            attempts=attempt,
            first_attempt_at=claim.first_attempt_at,
        )
        await deaths.bury(connection, death, call.now)
        news = PayoutFailed(
            unique_id=claim.unique_id,
            generation=claim.generation,
            cn_api_id=claim.cn_api_id,
            error_code=failure.code,
            error_message=failure.why[:1000],
            attempt_count=attempt,
            failed_at=to_millis(call.now),
        )
        tell = partial(
            self._alerts.say, "A payout failed for good", unique_id=claim.unique_id, cn_api_id=claim.cn_api_id,
            code=failure.code, why=failure.why, attempts=attempt, amount=str(claim.amount),
        )  # fmt: skip
        return Next(FAILED_QUEUE, news, then=tell, key=str(claim.generation))
