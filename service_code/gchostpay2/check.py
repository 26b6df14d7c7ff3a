"""Asking the exchange: whatever it says of the order goes to gchostpay1, which decides; no answer is a Retry.

The queue retries every minute for a day, so that an exchange that is down, limits us or times out costs time and no
payment (seeds/001 scenarios 1 and 3). The answer's task is named after the question's task: a question that is
delivered again gives the same answer's task.
"""

from __future__ import annotations

import hashlib
import re

from service_code.kit import logs
from service_code.kit.binary import TokenError
from service_code.kit.call import Call
from service_code.kit.changenow import ChangeNow, ExchangeAwayError, ExchangeRefusedError, ExchangeState
from service_code.kit.opening import opened
from service_code.kit.orders import payout_of
from service_code.kit.outcomes import Dead, Forward, Outcome, Retry
from service_code.kit.runtime import Kit
from service_code.kit.staged import CheckStatus, StatusSeen, refused_token
from service_code.kit.tokens import HostPayClaim, Purpose, StatusClaim, Tokens

RESPONSE_QUEUE = "gchostpay-status-response-queue"
#: What we answer where the exchange has no status for it.
UNKNOWN, MISMATCH = "unknown", "mismatch"

_STATUS = re.compile(r"[a-z_]{1,40}")

_log = logs.get("check")


class Checker:
    """Handles POST /."""

    def __init__(self, kit: Kit) -> None:
        secret = kit.settings.secret("HOSTPAY_INTERNAL_SIGNING_KEY")
        self._questions = Tokens(secret, Purpose.STATUS_CHECK, HostPayClaim)
        self._answers = Tokens(secret, Purpose.STATUS_RESULT, StatusClaim)
        key = kit.settings.secret("CHANGENOW_API_KEY")
        self._exchange = ChangeNow(kit.settings.endpoints.changenow, key, kit.outside)

    async def check(self, message: CheckStatus, call: Call) -> Outcome:
        """Ask once."""
        try:
            claim, age = opened(self._questions, message.token, call)
        except TokenError as error:
            return refused_token(error)
        if age > self._questions.window:
            return Dead("TOKEN_EXPIRED", "the status check is older than a day")
        try:
            status = _status(claim, await self._exchange.state(claim.cn_api_id))
        except ExchangeAwayError as error:
            return Retry(str(error))
        except ExchangeRefusedError:
            status = UNKNOWN
        _log.info("the exchange was asked", what="exchange_status", status=status)
        answer = StatusClaim(**payout_of(claim), issued_at=call.now, status=status)
        question = call.task or hashlib.sha256(message.token.encode()).hexdigest()
        return Forward(RESPONSE_QUEUE, StatusSeen(token=self._answers.mint(answer)), f"{RESPONSE_QUEUE}:{question}")


def _status(claim: HostPayClaim, state: ExchangeState) -> str:
    """The exchange's word, unless it expects another amount or at another address."""
    if not state.is_of(claim.amount, claim.payin_address):
        return MISMATCH
    return state.status if _STATUS.fullmatch(state.status) else UNKNOWN
