"""The staged payout's decisions (seeds/001 sections 4 and 8, DECISIONS 11): one row a payout, locked meanwhile.

accept     a payout that nobody has paid is written down and its exchange order asked for
on_status  only an order that waits is paid; a new one is asked for again in a minute; every other is refused for good,
           which is certain, since the same lock is held by whoever lets it be executed
on_paid    what the chain has made of it is noted
on_failed  that the executor has given it up and buried it is noted, and told to where a batch comes from

A delivery that comes again sends what was unsent and changes nothing.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from service_code.gchostpay1 import stages
from service_code.gchostpay1.stages import CHECKING, EXECUTING
from service_code.kit import changenow, logs
from service_code.kit.binary import TokenError
from service_code.kit.call import Call
from service_code.kit.changenow import WAITING
from service_code.kit.clock import to_millis
from service_code.kit.deaths import BURIED, SIGNED
from service_code.kit.opening import opened
from service_code.kit.orders import payout_of
from service_code.kit.outcomes import Dead, Done, Next, Outcome
from service_code.kit.runtime import Kit
from service_code.kit.staged import (
    PayoutFailed,
    PayoutMined,
    PendingCheck,
    PendingExecute,
    StatusSeen,
    TriggerPayout,
    refused_token,
)
from service_code.kit.tokens import HostPayClaim, PaidClaim, Purpose, StatusClaim, Tokens, takes_old

CHECK_QUEUE = "gchostpay-status-check-queue"
EXECUTE_QUEUE = "gchostpay-payment-execute-queue"
BATCH_FAILED_QUEUE = "gcmicrobatchprocessor-failed-queue"
#: An order that is not ready yet is asked for again after this.
AGAIN = timedelta(seconds=60)
#: So long an order that the exchange does not know is asked for: its reading side may be behind its writing one.
UNKNOWN_FOR, NO_PATIENCE = timedelta(minutes=10), timedelta(0)
#: Statuses that gchostpay2 answers where the exchange has none, as codes.
ODD = {"unknown": "EXCHANGE_UNKNOWN", "mismatch": "EXCHANGE_MISMATCH"}

_log = logs.get("orchestrate")


class Orchestrator:
    """Handles POST /, /status-verified, /payment-completed and /payment-failed."""

    def __init__(self, kit: Kit) -> None:
        secret, own = kit.settings.secret, "HOSTPAY_INTERNAL_SIGNING_KEY"
        self._kit, old = kit, takes_old(kit.settings)
        self._triggers = Tokens(secret("TPS_HOSTPAY_SIGNING_KEY"), Purpose.HOSTPAY_TRIGGER, HostPayClaim, old=old)
        self._statuses = Tokens(secret(own), Purpose.STATUS_RESULT, StatusClaim)
        self._results = Tokens(secret(own), Purpose.PAYMENT_RESULT, PaidClaim)

    async def accept(self, message: TriggerPayout, call: Call) -> Outcome:
        """Take a payout on, unless it is signed already."""
        try:
            claim, age = opened(self._triggers, message.token, call)
        except TokenError as error:
            return refused_token(error)
        if await self._kit.db.row(SIGNED, claim.unique_id) is not None:
            return Done("already_processed")
        connection = await call.begin()
        row = await stages.lock(connection, claim)
        if row is None:
            if age > self._triggers.window:
                return Dead("TOKEN_EXPIRED", "the token is older than a day")
            await stages.accept(connection, claim, call.now)
        elif row["state"] != CHECKING:
            return Done(f"already_{row['state']}")
        return Next(CHECK_QUEUE, PendingCheck(**payout_of(claim)), key=f"{claim.generation}:1")

    async def on_status(self, message: StatusSeen, call: Call) -> Outcome:
        """Decide by what the exchange said."""
        try:
            claim, _ = opened(self._statuses, message.token, call)
        except TokenError as error:
            return refused_token(error)
        connection = await call.begin()
        row = await stages.lock(connection, claim)
        if row is None:
            return Dead("UNKNOWN_PAYOUT", "no payout of this id and generation was accepted")
        if row["state"] not in (CHECKING, EXECUTING):
            return Done(f"already_{row['state']}")
        if await connection.fetchrow(BURIED, claim.unique_id, claim.generation) is not None:
            return Done("already_failed")
        if row["state"] == CHECKING:
            return await self._decide(claim, message.token, row["accepted_at"], call)
        # What the executor makes of it a day later is its own affair.
        late = call.now - row["accepted_at"] > self._statuses.window
        return Done("already_executing") if late else Next(EXECUTE_QUEUE, _execute(claim), key=str(claim.generation))

    async def _decide(self, claim: StatusClaim, token: str, accepted_at: datetime, call: Call) -> Outcome:
        connection = await call.begin()
        if call.now - accepted_at > self._statuses.window:
            code, why = "TOKEN_EXPIRED", "the payout was accepted more than a day ago"
            await stages.close(connection, claim, "refused", call.now, code=code, why=why)
            return Dead(code, why)
        if claim.status == WAITING:
            await stages.seen(connection, claim, EXECUTING, claim.status, call.now)
            return Next(EXECUTE_QUEUE, _execute(claim), key=str(claim.generation))
        await stages.seen(connection, claim, CHECKING, claim.status, call.now)
        patience = {"new": self._statuses.window, "unknown": UNKNOWN_FOR}.get(claim.status, NO_PATIENCE)
        if call.now - accepted_at < patience:
            turn = hashlib.sha256(token.encode()).hexdigest()[:12]
            return Next(CHECK_QUEUE, PendingCheck(**payout_of(claim)), after=AGAIN, key=f"{claim.generation}:{turn}")
        code, why = refusal(claim.status)
        await stages.close(connection, claim, "refused", call.now, code=code, why=why)
        return Dead(code, why)

    async def on_paid(self, message: PayoutMined, call: Call) -> Outcome:
        """Note that the chain has paid it."""
        try:
            claim, _ = opened(self._results, message.token, call)
        except TokenError as error:
            return refused_token(error)
        logs.about(tx_hash=claim.tx_hash)
        connection = await call.begin()
        row = await stages.lock(connection, claim)
        if row is None:
            return Dead("UNKNOWN_PAYOUT", "no payout of this id and generation was accepted")
        if (row["state"], row["tx_hash"]) == ("paid", claim.tx_hash):
            return Done("completed")
        await stages.close(connection, claim, "paid", call.now, tx_hash=claim.tx_hash)
        since = round((call.now - row["accepted_at"]).total_seconds(), 3)
        _log.info("payment workflow completed", what="payout_completed", status=claim.tx_status, payout_seconds=since)
        return Done("completed")

    async def on_failed(self, news: PayoutFailed, call: Call) -> Outcome:
        """Note that it failed for good; its money is in the liability account and a replay is an operator's affair."""
        logs.about(cn_api_id=news.cn_api_id)
        connection = await call.begin()
        row = await stages.lock(connection, news)
        if row is None:
            return Dead("UNKNOWN_PAYOUT", "no payout of this id and generation was accepted")
        if row["state"] == EXECUTING:
            code, why = news.error_code, news.error_message
            await stages.close(connection, news, "failed", call.now, code=code, why=why)
            _log.warning("payment workflow failed", what="payout_given_up", status="failed", code=code)
        batch = "SELECT 1 FROM payout_batches WHERE batch_id = $1"
        if await connection.fetchrow(batch, news.unique_id) is not None:
            return Next(BATCH_FAILED_QUEUE, news, key=str(news.generation))
        return Done("failed")


def refusal(status: str) -> tuple[str, str]:
    """Code and reason for an order that takes no payment."""
    if status in ODD:
        return ODD[status], "the exchange does not know the order, or expects another amount or at another address"
    return changenow.refusal(status)


def _execute(claim: StatusClaim) -> PendingExecute:
    # The moment of the first attempt is that of the first token: the day that a payout has runs from there.
    return PendingExecute(**payout_of(claim), first_attempt_at=to_millis(claim.issued_at))
