"""The registry's sweeper: sends what is unsent, and carries out what the queue has given up, since nobody is told.

Registering asks nobody outside, so that what is left after the queue's ten attempts needs no other queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from service_code.gcregister import clients
from service_code.gcregister.form import RegisterClient
from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.clock import to_millis
from service_code.kit.money import Amount
from service_code.kit.runtime import Kit
from service_code.kit.threshold import UNIT

#: Ten attempts of the queue take less.
GIVEN_UP = timedelta(hours=1)
#: Registrations that one sweep carries out.
AT_ONCE = 100

_log = logs.get("sweep")


class Sweeper:
    """Works through what was left behind."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def sweep(self, call: Call) -> Mapping[str, Any]:
        """POST /sweep."""
        resent = await self._kit.outbox.resend()
        rows = await self._kit.db.fetch(
            """
            SELECT * FROM registrations WHERE status = 'submitted' AND received_at < $1 ORDER BY received_at LIMIT $2
            """,
            *(call.now - GIVEN_UP, AT_ONCE),
        )
        settled = 0
        for row in rows:
            async with self._kit.db.transaction() as connection:
                settled += await clients.settle(connection, wish_of(row), call.now) is not None
        if resent or settled:
            _log.warning("left behind and taken up", status="swept", resent=resent, settled=settled)
        return {"status": "swept", "resent": resent, "settled": settled}


def wish_of(row: Any) -> RegisterClient:
    """Make the message of a registration from its row."""
    units = row["threshold_usdt"]
    return RegisterClient(
        unique_id=row["registration_id"],
        channel_id=row["channel_id"],
        client_wallet=row["client_wallet"],
        payout_currency=row["payout_currency"],
        payout_network=row["payout_network"],
        payout_strategy=row["payout_strategy"],
        threshold=None if units is None else Amount(currency=UNIT, units=units),
        invited_at=to_millis(row["invited_at"]),
    )
