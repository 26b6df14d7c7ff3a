"""The orchestrator's sweeper: messages that could not be sent, and payouts of whose end no news came.

What asks for a payout is sent within the payout's day only: after it, gcsplit notices that the payout is dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from service_code.gchostpay1 import stages
from service_code.gchostpay1.orchestrate import CHECK_QUEUE, EXECUTE_QUEUE
from service_code.kit.call import Call
from service_code.kit.runtime import Kit
from service_code.kit.tokens import WINDOWS, Purpose

#: So long the news of a mined payout may take before we look for ourselves.
NEWS_TAKES = timedelta(minutes=10)


class Sweeper:
    """Handles POST /sweep."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def sweep(self, call: Call) -> Mapping[str, Any]:
        """Do one round."""
        day = WINDOWS[Purpose.PAYMENT_EXECUTE]
        resent = await self._kit.outbox.resend(created_after=call.now - day, dated=(CHECK_QUEUE, EXECUTE_QUEUE))
        closed = await stages.close_paid(await call.begin(), call.now, call.now - NEWS_TAKES)
        return {"status": "swept", "resent": resent, "closed": closed}
