"""Accumulating a payment: the fee (TP_FLAT_FEE per cent, DECISIONS 3), the ledger, the row and the question what it is
worth, in one transaction and once for each payment. Nobody outside is asked, so that it is done however long the
exchange is down.
"""

from __future__ import annotations

from service_code.kit import ledger, logs, money
from service_code.kit.call import Call
from service_code.kit.db import Connection
from service_code.kit.deaths import Death, bury, hold_split
from service_code.kit.money import Amount
from service_code.kit.outcomes import Dead, Done, Next, Outcome
from service_code.kit.runtime import Kit
from service_code.kit.settings import SettingsError
from service_code.kit.threshold import CONVERT_QUEUE, Accumulate, EstimateAndUpdate

_log = logs.get("accumulate")


class Accumulator:
    """Handles POST /accumulate."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        fee = kit.settings.number("TP_FLAT_FEE", 3)
        if fee > 99:
            raise SettingsError(f"TP_FLAT_FEE is {fee}: it must be 0 to 99, the platform's per cent")
        self._client_percent = 100 - fee

    async def accumulate(self, order: Accumulate, call: Call) -> Outcome:
        """Take the fee and write the rest down as pending."""
        parts = money.split(order.amount, self._client_percent)
        if parts.client.units == 0:
            return await self._bury(order, call)
        connection = await call.begin()
        await hold_split(connection, order.unique_id)
        split = "SELECT 1 FROM split_payout_que WHERE unique_id = $1"
        if await connection.fetchrow(split, order.unique_id) is not None:
            return Done("already_split")
        if await self._insert(connection, order, parts.client, call):
            await ledger.post(connection, [ledger.accumulate(order.unique_id, order.amount, parts)], call.now)
            _log.info("accumulated", status="pending", what="accumulated", client_id=order.channel_id)
        question = EstimateAndUpdate(
            unique_id=order.unique_id, client_id=order.channel_id, accumulated=await self._held(connection, order)
        )
        # Delivered again: Next sends what is unsent and nothing else.
        return Next(CONVERT_QUEUE, question)

    async def _bury(self, order: Accumulate, call: Call) -> Outcome:
        death = Death(
            unique_id=order.unique_id,
            generation=0,
            stage="split",
            account=ledger.UNSPLIT_FUNDS,
            held=order.amount,
            code="AMOUNT_TOO_SMALL",
            why="nothing is left after the fee",
            service=self._kit.settings.service,
            retryable=False,
        )
        died = await bury(await call.begin(), death, call.now)
        return Dead(death.code, death.why) if died else Done("already_dead")

    @staticmethod
    async def _insert(connection: Connection, order: Accumulate, held: Amount, call: Call) -> bool:
        status = await connection.execute(
            """
            INSERT INTO payout_accumulation (unique_id, client_id, client_wallet, payout_currency, payout_network,
                currency, accumulated_eth, threshold_usdt, conversion_status, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9) ON CONFLICT (unique_id) DO NOTHING
            """,
            *(order.unique_id, order.channel_id, order.client_wallet, order.payout_currency, order.payout_network),
            *(held.currency, held.units, order.threshold.units, call.now),
        )
        return not status.endswith(" 0")

    @staticmethod
    async def _held(connection: Connection, order: Accumulate) -> Amount:
        """What the row says: another release may have taken another fee."""
        sql = "SELECT currency, accumulated_eth FROM payout_accumulation WHERE unique_id = $1"
        row = await connection.fetchrow(sql, order.unique_id)
        assert row is not None
        return Amount(currency=row["currency"], units=row["accumulated_eth"])
