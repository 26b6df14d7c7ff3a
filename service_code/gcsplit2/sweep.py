"""The converter's sweeper: messages that could not be sent, and how long conversions have been waiting (seeds/002)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.runtime import Kit

#: A conversion that waits for longer is stuck, and somebody should look.
STUCK = timedelta(hours=1)

_log = logs.get("sweep")


class Sweeper:
    """Handles POST /sweep."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def sweep(self, call: Call) -> Mapping[str, Any]:
        """Do one round."""
        resent = await self._kit.outbox.resend()
        row = await self._kit.db.row(
            """
            SELECT count(*) AS pending, min(created_at) AS since FROM payout_accumulation
            WHERE conversion_status = 'pending' AND NOT too_small
            """
        )
        assert row is not None
        age = call.now - row["since"] if row["since"] else timedelta()
        waits = {"pending": row["pending"], "oldest": round(age.total_seconds())}
        _log.info("conversions", what="conversions_pending", status="seen", **waits)
        if age > STUCK:
            _log.error("conversions are stuck", what="conversions_stuck", status="pending", **waits)
        return {"status": "swept", "resent": resent, **waits}
