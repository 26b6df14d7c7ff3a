"""What the exchange says of our orders, for `sluice reconcile`: a page at a time, one question after the other.

Orders of payouts that are not at their end, and of those that were paid lately: the exchange owes the client for them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from service_code.kit.call import Call
from service_code.kit.changenow import ChangeNow, ExchangeAwayError, ExchangeRefusedError
from service_code.kit.clock import stamp
from service_code.kit.money import Amount
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

#: Orders of one page: one request of ours, so many of the exchange's.
PAGE = 20
#: How long the order of a paid payment is asked for.
LATELY = timedelta(days=1)

ORDERS = """
    SELECT q.unique_id, q.cn_api_id, q.from_currency, q.from_amount, q.payin_address, q.pending_since, h.status AS paid,
        h.mined_at
    FROM split_payout_que AS q
    LEFT JOIN split_payout_hostpay AS h ON h.unique_id = q.unique_id AND h.status <> 'failed'
        AND h.cn_api_id = q.cn_api_id
    WHERE (q.status = 'pending_hostpay' OR h.mined_at > $1) AND q.cn_api_id > $2 ORDER BY q.cn_api_id LIMIT $3
"""


class Asked:
    """Answers operators about orders."""

    def __init__(self, kit: Kit, exchange: ChangeNow) -> None:
        self._kit = kit
        self._exchange = exchange

    async def orders(self, incoming: Incoming, call: Call) -> Reply:
        """GET /reconcile/orders?after=: ours and the exchange's word of each, by the order's id."""
        rows = await self._kit.db.fetch(ORDERS, call.now - LATELY, incoming.query.get("after", ""), PAGE)
        found = []
        for row in rows:
            try:
                found.append({**_ours(row), **await self._theirs(row)})
            except ExchangeAwayError as error:
                return Reply(502, {"error": "EXCHANGE_AWAY", "reason": str(error)})
        following = rows[-1]["cn_api_id"] if len(rows) == PAGE else None
        return Reply(200, {"now": stamp(call.now), "orders": found, "next": following})

    async def _theirs(self, row: Any) -> dict[str, Any]:
        try:
            state = await self._exchange.state(row["cn_api_id"])
        except ExchangeRefusedError as error:
            return {"exchange": None, "matches": None, "why": error.why}
        ours = Amount(currency=row["from_currency"], units=row["from_amount"])
        return {"exchange": state.status, "matches": state.is_of(ours, row["payin_address"]), "why": None}


def _ours(row: Any) -> dict[str, Any]:
    return {
        "unique_id": row["unique_id"],
        "cn_api_id": row["cn_api_id"],
        "paid": row["paid"],
        "since": stamp(row["mined_at"] or row["pending_since"]),
    }
