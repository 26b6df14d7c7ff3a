"""Small batches (DECISIONS 6): what waits and nobody else converts is converted in one, and the result divided.

Taken are payments that the exchange finds too small alone, and those that its queue gave up after a day. When the total
is worth it (MICRO_BATCH_MINIMUM_ETH), one estimate makes its worth, and each payment gets its exact share of that: by
largest remainder, so that the shares sum to the whole and no residue is left. What changed meanwhile waits for the next
round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from service_code.kit import logs, money
from service_code.kit.call import Call
from service_code.kit.changenow import ChangeNow, Estimate, ExchangeAwayError, ExchangeRefusedError
from service_code.kit.money import Amount, MoneyError
from service_code.kit.outbox import Row
from service_code.kit.outcomes import Send
from service_code.kit.runtime import Kit
from service_code.kit.settings import SettingsError
from service_code.kit.threshold import (
    BATCH_QUEUE,
    COLUMNS,
    HELD_NETWORK,
    UNIT,
    UNIT_NETWORK,
    BatchDue,
    Client,
    client_of,
    hold_client,
    unpaid,
)

#: The queue's day, and an hour for its last attempt.
GIVEN_UP = timedelta(hours=25)
#: Payments of one round.
AT_ONCE = 500
CURRENCY = "eth"
#: Why they wait: `reconcile` tells of those that wait for anything but company.
REFUSED = """
    UPDATE payout_accumulation SET conversion_error = $2
    WHERE unique_id = ANY($1) AND conversion_status = 'pending' AND too_small
"""

_log = logs.get("microbatch")


class ChangedMeanwhileError(RuntimeError):
    """A payment of the round was converted by somebody else."""


class MicroBatches:
    """Handles POST /convert-pending."""

    def __init__(self, kit: Kit, exchange: ChangeNow) -> None:
        self._kit = kit
        self._exchange = exchange
        try:
            self._least = money.read(kit.settings.config("MICRO_BATCH_MINIMUM_ETH", "0.01"), CURRENCY)
        except MoneyError as error:
            raise SettingsError(f"MICRO_BATCH_MINIMUM_ETH must be an amount of ether such as 0.01: {error}") from error

    async def convert(self, call: Call) -> Mapping[str, Any]:
        """Do one round."""
        rows = await self._take(call.now)
        total = sum(row["accumulated_eth"] for row in rows)
        if total < max(self._least.units, 1):
            return {"status": "not_worth_it", "payments": len(rows), "pending": str(total)}
        await self._kit.db.fetch(
            """
            UPDATE payout_accumulation
            SET conversion_attempts = conversion_attempts + 1, last_conversion_attempt = $2
            WHERE unique_id = ANY($1) AND conversion_status = 'pending'
            """,
            *([row["unique_id"] for row in rows], call.now),
        )
        whole = Amount(currency=CURRENCY, units=total)
        try:
            estimate = await self._exchange.estimate(whole, HELD_NETWORK, UNIT, UNIT_NETWORK)
        except (ExchangeAwayError, ExchangeRefusedError) as error:
            if isinstance(error, ExchangeRefusedError):
                await self._kit.db.fetch(
                    REFUSED, [row["unique_id"] for row in rows], f"{error.code}: {error.why}"[:1000]
                )
            _log.warning("small payments wait", what="microbatch_waits", status="retry", why=str(error))
            return {"status": "exchange_away", "payments": len(rows), "pending": str(total)}
        try:
            sent = await self._divide(rows, estimate, call)
        except ChangedMeanwhileError:
            return {"status": "changed_meanwhile", "payments": len(rows), "pending": str(total)}
        await self._kit.outbox.send(sent)
        _log.info("converted together", what="microbatch", status="completed", payments=len(rows))
        worth = str(estimate.to_amount.units)
        return {"status": "converted", "payments": len(rows), "usdt": worth, "due": len(sent)}

    async def _take(self, now: datetime) -> list[Any]:
        return await self._kit.db.fetch(
            f"""
            SELECT unique_id, accumulated_eth, {COLUMNS} FROM payout_accumulation
            WHERE conversion_status = 'pending' AND currency = $1 AND (too_small OR created_at < $2)
            ORDER BY created_at, unique_id LIMIT $3
            """,
            *(CURRENCY, now - GIVEN_UP, AT_ONCE),
        )

    async def _divide(self, rows: Sequence[Any], estimate: Estimate, call: Call) -> list[Row]:
        """Write each payment's share, all or none."""
        shares = money.shares(estimate.to_amount.units, [row["accumulated_eth"] for row in rows])
        last: dict[tuple[Any, ...], tuple[Client, str]] = {}
        for row in rows:
            client = client_of(row)
            last[client.key] = (client, row["unique_id"])
        async with self._kit.db.transaction() as connection:
            for key in sorted(last):
                await hold_client(connection, last[key][0])
            written = await connection.execute(
                """
                UPDATE payout_accumulation AS one SET conversion_status = 'completed', accumulated_usdt = share.usdt,
                    eth_to_usdt_rate = $3::text::numeric, converted_at = $4, conversion_error = NULL
                FROM unnest($1::text[], $2::numeric[]) AS share (unique_id, usdt)
                WHERE one.unique_id = share.unique_id AND one.conversion_status = 'pending'
                """,
                *([row["unique_id"] for row in rows], shares, f"{estimate.rate:f}", call.now),
            )
            if written != f"UPDATE {len(rows)}":
                raise ChangedMeanwhileError
            due = [one for one in last.values() if (await unpaid(connection, one[0])).due]
            sends = [
                Send(queue=BATCH_QUEUE, message=BatchDue(unique_id=unique_id, client=client), unique_id=unique_id)
                for client, unique_id in due
            ]
            return await self._kit.outbox.write(connection, sends, call.now)
