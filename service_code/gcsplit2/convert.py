"""Converting a payment (seeds/002): the exchange's estimate says its worth in USDT, once; then the threshold is judged.

An attempt is counted before the exchange is asked, in a transaction of its own, so that failures count too. What the
exchange cannot answer now is a Retry, a minute apart for a day. What it finds too small to exchange stays pending for
gcmicrobatchprocessor; what it refuses otherwise has failed, until an operator asks again. The coins stay where they
are: docs/adr/threshold-payout.md.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.changenow import TOO_SMALL, ChangeNow, Estimate, ExchangeAwayError, ExchangeRefusedError
from service_code.kit.money import Amount
from service_code.kit.outcomes import Dead, Done, Next, Outcome, Retry
from service_code.kit.runtime import Kit
from service_code.kit.threshold import (
    BATCH_QUEUE,
    COLUMNS,
    HELD_NETWORK,
    UNIT,
    UNIT_NETWORK,
    BatchDue,
    EstimateAndUpdate,
    client_of,
    hold_client,
    unpaid,
)

#: Counts an attempt on what is still to be converted.
ATTEMPT = """
    UPDATE payout_accumulation
    SET conversion_attempts = conversion_attempts + 1, last_conversion_attempt = $2
    WHERE unique_id = $1 AND conversion_status = 'pending' AND NOT too_small
    RETURNING currency, accumulated_eth
    """
_log = logs.get("convert")


class Converter:
    """Handles POST /estimate-and-update."""

    def __init__(self, kit: Kit, exchange: ChangeNow) -> None:
        self._kit = kit
        self._exchange = exchange

    async def convert(self, question: EstimateAndUpdate, call: Call) -> Outcome:
        """Find out what a payment is worth."""
        row = await self._kit.db.row(ATTEMPT, question.unique_id, call.now)
        if row is None:
            return await self._known(question.unique_id, call)
        held = Amount(currency=row["currency"], units=row["accumulated_eth"])
        if held.currency == UNIT:  # worth itself: nobody need be asked
            return await self._update(question.unique_id, Estimate(to_amount=held, rate=Decimal(1)), call)
        try:
            estimate = await self._exchange.estimate(held, HELD_NETWORK, UNIT, UNIT_NETWORK)
        except ExchangeAwayError as error:
            _log.warning("the conversion waits", what="conversion_waits", status="retry", why=str(error))
            return Retry(str(error))
        except ExchangeRefusedError as error:
            return await self._refused(question.unique_id, error, call)
        return await self._update(question.unique_id, estimate, call)

    async def _update(self, unique_id: str, estimate: Estimate, call: Call) -> Outcome:
        """Write the worth once, under the client's lock."""
        connection = await call.begin()
        row = await connection.fetchrow(f"SELECT {COLUMNS} FROM payout_accumulation WHERE unique_id = $1", unique_id)
        assert row is not None
        await hold_client(connection, client_of(row))
        await connection.execute(
            """
            UPDATE payout_accumulation SET conversion_status = 'completed', accumulated_usdt = $2,
                eth_to_usdt_rate = $3::text::numeric, converted_at = $4, conversion_error = NULL
            WHERE unique_id = $1 AND conversion_status = 'pending'
            """,
            *(unique_id, estimate.to_amount.units, f"{estimate.rate:f}", call.now),
        )
        _log.info("converted", status="completed", what="converted")
        return await self._judge(unique_id, row, call)

    async def _judge(self, unique_id: str, row: Any, call: Call) -> Outcome:
        client = client_of(row)
        if (await unpaid(await call.begin(), client)).due:
            return Next(BATCH_QUEUE, BatchDue(unique_id=unique_id, client=client))
        return Done("converted")

    async def _refused(self, unique_id: str, error: ExchangeRefusedError, call: Call) -> Outcome:
        small = error.code == TOO_SMALL
        await (await call.begin()).execute(
            """
            UPDATE payout_accumulation SET too_small = $2, conversion_error = $3,
                conversion_status = CASE WHEN $2 THEN 'pending' ELSE 'failed' END
            WHERE unique_id = $1 AND conversion_status = 'pending'
            """,
            *(unique_id, small, f"{error.code}: {error.why}"[:1000]),
        )
        return Done("too_small") if small else Dead(error.code, error.why)

    async def _known(self, unique_id: str, call: Call) -> Outcome:
        """Nothing to convert: it was converted before, has failed, waits for others, or was never accumulated."""
        connection = await call.begin()
        row = await connection.fetchrow(
            f"SELECT {COLUMNS}, conversion_status, batch_id FROM payout_accumulation WHERE unique_id = $1", unique_id
        )
        if row is None:
            return Dead("UNKNOWN_PAYMENT", "no payment of this id was accumulated")
        if row["conversion_status"] != "completed" or row["batch_id"] is not None:
            return Done(f"already_{row['conversion_status']}")
        # A crash may have come between the commit and the task.
        return await self._judge(unique_id, row, call)
