"""A payment that is not converted, recorded as paid by other means: it becomes a batch of its own that is settled.

So it has an end where the exchange has closed its pair for good, or where its client leaves with less than is converted
alone. The batch was never assembled for a payout and is worth nothing in USDT: its payment counts for no threshold.
"""

from __future__ import annotations

from typing import Any

from service_code.gcbatchprocessor.batches import new_id
from service_code.kit import actions, ledger, logs
from service_code.kit.actions import Action, Settlement
from service_code.kit.call import Call
from service_code.kit.db import Connection
from service_code.kit.money import Amount
from service_code.kit.service import Incoming, Reply
from service_code.kit.threshold import COLUMNS, client_of

#: The payment, until the transaction ends: whoever converts it writes to it while it is pending alone.
HELD = f"""
    SELECT unique_id, {COLUMNS}, accumulated_eth, threshold_usdt, batch_id, conversion_status AS status,
        conversion_error AS error
    FROM payout_accumulation WHERE unique_id = $1 FOR UPDATE
"""

_log = logs.get("operate")


async def settle(incoming: Incoming, call: Call) -> Reply:
    """POST /conversions/{unique_id}/settle {"tx_hash": ..., "note": ...}: what is not converted was paid otherwise."""
    unique_id, wish = incoming.path["unique_id"], actions.texts(incoming.body, ("tx_hash", "note"))
    call.about(unique_id)
    if (how := actions.how_settled(wish)) is None:
        return Reply(400, {"error": "BAD_REQUEST", "reason": actions.NOT_HOW})
    connection = await call.begin()
    row = await connection.fetchrow(HELD, unique_id)
    if row is None:
        return Reply(404, {"error": "NO_SUCH_PAYMENT", "reason": "no payment of this id was accumulated"})
    if row["status"] == "completed":
        return await _completed(connection, row)
    batch_id = await _settled(connection, row, how, call)
    before = f"refused: {row['error'].partition(':')[0]}" if row["status"] == "failed" else row["status"]
    done = Action(
        verb="settle", kind="conversion", subject=unique_id, before=before, after="settled", why=how.told
    )  # fmt: skip
    await actions.note(incoming, call, done, by=wish.get("by"))
    _log.warning("an unconverted payment was settled outside", what="conversion_settled", status="settled")
    return Reply(200, {"status": "settled", "unique_id": unique_id, "batch_id": batch_id})


async def _settled(connection: Connection, row: Any, how: Settlement, call: Call) -> str:
    batch_id = new_id()
    await connection.execute(
        f"""
        INSERT INTO payout_batches ({COLUMNS}, batch_id, amount, amount_usdt, threshold_usdt, members, status,
            assembled_at, closed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, 1, 'settled', $9, $9)
        """,
        *(*client_of(row).key, batch_id, row["accumulated_eth"], row["threshold_usdt"] or 0, call.now),
    )
    await connection.execute(
        "UPDATE payout_accumulation SET conversion_status = 'completed', accumulated_usdt = 0, batch_id = $2 "
        "WHERE unique_id = $1",
        *(row["unique_id"], batch_id),
    )
    held = Amount(currency=row["currency"], units=row["accumulated_eth"])
    await ledger.post(connection, [ledger.settled(batch_id, held, how.reference)], call.now)
    return batch_id


async def _completed(connection: Connection, row: Any) -> Reply:
    """Say of what is converted, or was settled before, how it stands."""
    batch = await connection.fetchval("SELECT status FROM payout_batches WHERE batch_id = $1", row["batch_id"])
    if batch == "settled":
        found = {"status": "settled", "already": "settled"}
        return Reply(200, {**found, "unique_id": row["unique_id"], "batch_id": row["batch_id"]})
    waits = f"is in batch {row['batch_id']}" if row["batch_id"] else "waits for its client's threshold"
    return Reply(409, {"error": "NOT_REFUSED", "reason": f"it is converted, and {waits}"})
