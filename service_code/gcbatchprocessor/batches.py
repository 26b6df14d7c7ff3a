"""A batch in three steps, each done once: assembled, ordered at the exchange, sent.

assemble  under the client's lock: if the threshold is met, the batch's row is written and its members name it, so that
          what follows is for these payments and no other. An index allows a client one batch that is not sent
order     the exchange is asked outside of any transaction; an order that a crash leaves behind is never paid
send      under the batch's lock: the row of split_payout_que, the posting, and the trigger for gchostpay1

From there a batch is a staged payout whose unique_id is the batch's: deaths, replays and sweeps are those of every one.
"""

from __future__ import annotations

import secrets
from typing import Any

from service_code.kit import deadletters, ledger, logs
from service_code.kit.call import Call
from service_code.kit.changenow import ChangeNow, ExchangeAwayError, ExchangeOrder, ExchangeRefusedError, Route
from service_code.kit.money import Amount
from service_code.kit.outbox import Row
from service_code.kit.outcomes import Done, Outcome, Retry, Send
from service_code.kit.runtime import Kit
from service_code.kit.staged import PendingTrigger
from service_code.kit.threshold import (
    COLUMNS,
    HELD_NETWORK,
    OF_CLIENT,
    PAYABLE,
    BatchDue,
    Client,
    hold_client,
    unpaid,
)

TRIGGER_QUEUE = "gcsplit-hostpay-trigger-queue"
#: A client's batch that is not sent.
UNSENT = f"SELECT * FROM payout_batches WHERE {OF_CLIENT} AND status IN ('assembled', 'refused')"
#: How a batch stands, until the transaction ends.
STATUS = "SELECT status FROM payout_batches WHERE batch_id = $1 FOR UPDATE"

_log = logs.get("batches")


class Batches:
    """Handles POST /process, and works for the sweeper and operators."""

    def __init__(self, kit: Kit, exchange: ChangeNow) -> None:
        self._kit = kit
        self._exchange = exchange
        self._refund_address = kit.settings.config("REFUND_ADDRESS", "") or None

    async def process(self, due: BatchDue, call: Call) -> Outcome:
        """Bring a client's batch as far as it goes."""
        try:
            return Done(await self.advance(due.client, call))
        except ExchangeAwayError as error:
            return Retry(str(error))

    async def advance(self, client: Client, call: Call) -> str:
        """Assemble what is due, order and send what is assembled; says what was done."""
        batch = await self._assemble(client, call)
        if batch is None:
            return "below_threshold"
        if batch["status"] == "refused":
            return "refused"
        logs.about(unique_id=batch["batch_id"])
        route = Route(
            amount=Amount(currency=batch["currency"], units=batch["amount"]),
            from_network=HELD_NETWORK,
            to_currency=batch["payout_currency"],
            to_network=batch["payout_network"],
            address=batch["client_wallet"],
        )
        try:
            # A staged payout may wait for a day, a fixed rate lives for minutes.
            made = await self._exchange.order(route, self._refund_address, fixed=False)
        except ExchangeRefusedError as error:
            return await self._refused(batch["batch_id"], error, call)
        return await self._send(batch["batch_id"], route, made, call)

    async def _assemble(self, client: Client, call: Call) -> Any:
        """Return the client's unsent batch, made now if the threshold is met; None below it."""
        async with self._kit.db.transaction() as connection:
            await hold_client(connection, client)
            standing = await connection.fetchrow(UNSENT, *client.key)
            if standing is not None:
                return standing
            waiting = await unpaid(connection, client)
            if not waiting.due:
                return None
            batch_id = new_id()
            batch = await connection.fetchrow(
                f"""
                INSERT INTO payout_batches
                    ({COLUMNS}, batch_id, amount, amount_usdt, threshold_usdt, members, status, assembled_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'assembled', $11) RETURNING *
                """,
                *(*client.key, batch_id, waiting.held, waiting.usdt, waiting.threshold, waiting.members, call.now),
            )
            joined = await connection.execute(
                f"UPDATE payout_accumulation SET batch_id = $6 WHERE {OF_CLIENT} AND {PAYABLE}", *client.key, batch_id
            )
            if joined != f"UPDATE {waiting.members}":
                raise RuntimeError("the client's payments changed under the client's lock")
        _log.info(
            "batch assembled", what="batch_assembled", status="assembled", unique_id=batch_id, members=waiting.members
        )
        return batch

    async def _send(self, batch_id: str, route: Route, made: ExchangeOrder, call: Call) -> str:
        async with self._kit.db.transaction() as connection:
            if (status := await connection.fetchval(STATUS, batch_id)) != "assembled":
                return _meanwhile(status)
            await connection.execute(
                "UPDATE payout_batches SET status = 'sent', sent_at = $2, error_code = NULL, error_message = NULL "
                "WHERE batch_id = $1",
                *(batch_id, call.now),
            )
            await connection.execute(
                """
                INSERT INTO split_payout_que
                    (unique_id, cn_api_id, from_currency, from_network, from_amount, platform_amount, client_percent,
                     payin_address, to_currency, to_network, to_amount, payout_address, valid_until, status, created_at,
                     pending_since, way)
                VALUES ($1, $2, $3, $4, $5, 0, 100, $6, $7, $8, $9, $10, $11, 'pending_hostpay', $12, $12, 'staged')
                """,
                *(batch_id, made.id, route.amount.currency, route.from_network, route.amount.units),
                *(made.payin_address, route.to_currency, route.to_network, made.to_amount, route.address),
                *(made.valid_until, call.now),
            )
            await ledger.post(connection, [ledger.batch(batch_id, route.amount, made.id)], call.now)
            pending = PendingTrigger(
                unique_id=batch_id,
                generation=1,
                cn_api_id=made.id,
                amount=route.amount,
                network=route.from_network,
                payin_address=made.payin_address,
            )
            send = Send(queue=TRIGGER_QUEUE, message=pending, unique_id=batch_id)
            rows: list[Row] = await self._kit.outbox.write(connection, [send], call.now)
        # Committed: what cannot be sent now is the sweeper's.
        await self._kit.outbox.send(rows)
        _log.info("batch sent", what="batch_sent", status="sent", cn_api_id=made.id)
        return "sent"

    async def _refused(self, batch_id: str, error: ExchangeRefusedError, call: Call) -> str:
        """Stop here until an operator asks again: the members stay in the batch, the money in accumulated_funds."""
        letter = deadletters.Letter(
            service=self._kit.settings.service,
            endpoint="/process",
            code=error.code,
            why=error.why,
            body=f'{{"batch_id":"{batch_id}","at":"{call.now.isoformat()}"}}'.encode(),
            unique_id=batch_id,
        )
        async with self._kit.db.transaction() as connection:
            if (status := await connection.fetchval(STATUS, batch_id)) != "assembled":
                return _meanwhile(status)
            members = await connection.fetchval(
                """
                UPDATE payout_batches SET status = 'refused', error_code = $2, error_message = $3
                WHERE batch_id = $1 RETURNING members
                """,
                *(batch_id, error.code, error.why[:1000]),
            )
            await deadletters.store(connection, letter, call.now)
            # Before the commit: a crash may repeat the alert, not lose it.
            _log.error(
                "the exchange refuses a batch", what="batch_refused", status="refused", code=error.code,
                why=error.why, members=members,
            )  # fmt: skip
        return "refused"


def new_id() -> str:
    """Return the id of a new batch, which is its payout's."""
    return "b" + secrets.token_hex(7)


def _meanwhile(status: str) -> str:
    """What became of a batch while the exchange was asked for it: refused, settled, or sent by another."""
    return status if status == "refused" else f"already_{status}"
