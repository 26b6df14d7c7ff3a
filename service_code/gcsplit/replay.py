"""Dead payments, listed and replayed by operators. A replay happens once, however often it is asked for.

A replayed host payment gets a fresh exchange order if the old one no longer waits, the next generation, and a new
token; its money leaves the liability in the same transaction. The payer pays a payment once whatever is replayed here.
"""

from __future__ import annotations

from collections.abc import Sequence

from service_code.gcsplit.anew import Anew
from service_code.gcsplit.split import Splitter
from service_code.kit import actions, logs
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.changenow import ExchangeAwayError, ExchangeRefusedError
from service_code.kit.clock import stamp, to_millis
from service_code.kit.db import Connection
from service_code.kit.deaths import SIGNED, hold_payout, hold_split, revive
from service_code.kit.money import Amount
from service_code.kit.orders import PendingHostPay, SplitOrder
from service_code.kit.outbox import Row
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

#: Deaths by which coins left the wallet for elsewhere, or may have, though no event of the token's own tells of it (a
#: deprecated one has another contract move them): paying once more could pay twice.
COINS_LEFT = frozenset(("STRAY_TRANSFER", "NO_TRANSFER"))
#: Dead payments that one listing shows.
LISTED = 500
#: Why a payment that is signed for is not replayed.
BEING_PAID = "a payout of it is signed: the next sweep takes it back"

_log = logs.get("replay")


class Replayer:
    """Answers operators about the dead."""

    def __init__(self, kit: Kit, splitter: Splitter, anew: Anew) -> None:
        self._kit = kit
        self._splitter = splitter
        self._anew = anew

    async def dead(self, _incoming: Incoming, _call: Call) -> Reply:
        """GET /dead."""
        rows = await self._kit.db.fetch(
            """
            SELECT unique_id, generation, stage, error_code, error_message, cn_api_id, currency, amount, failed_at
            FROM failed_transactions WHERE status IN ('dead', 'investigating') ORDER BY failed_at LIMIT $1
            """,
            LISTED,
        )
        shown = [
            {
                **{key: row[key] for key in ("unique_id", "generation", "stage", "cn_api_id", "currency")},
                "code": row["error_code"],
                "why": row["error_message"],
                "amount": str(row["amount"]),
                "since": stamp(row["failed_at"]),
            }
            for row in rows
        ]
        return Reply(200, {"dead": shown})

    async def replay(self, incoming: Incoming, call: Call) -> Reply:
        """POST /dead/{unique_id}/replay."""
        unique_id = incoming.path["unique_id"]
        call.about(unique_id)
        actions.texts(incoming.body)
        dead = await self._kit.db.row(
            "SELECT generation, status, stage, error_code FROM failed_transactions WHERE unique_id = $1 "
            "ORDER BY generation DESC LIMIT 1",
            unique_id,
        )
        if dead is None:
            return Reply(404, {"error": "NOT_DEAD", "reason": "no death of this payment is recorded"})
        if (refused := not_dead(unique_id, dead["status"], dead["error_code"])) is not None:
            return refused
        try:
            if dead["stage"] == "split":
                return await self._replay_split(incoming, call)
            return await self._replay_hostpay(incoming, dead["generation"], dead["error_code"], call)
        except ExchangeAwayError as error:
            return Reply(502, {"error": "EXCHANGE_AWAY", "reason": str(error)})
        except ExchangeRefusedError as error:
            return Reply(409, {"error": error.code, "reason": error.why})

    async def _replay_split(self, incoming: Incoming, call: Call) -> Reply:
        unique_id = incoming.path["unique_id"]
        row = await self._kit.db.row("SELECT * FROM split_payout_request WHERE unique_id = $1", unique_id)
        if row is None:
            return Reply(404, {"error": "NOT_FOUND", "reason": "no payment of this id is recorded"})
        order = SplitOrder(
            unique_id=unique_id,
            channel_id=row["channel_id"],
            amount=Amount(currency=row["currency"], units=row["amount"]),
            client_wallet=row["client_wallet"],
            payout_currency=row["payout_currency"],
            payout_network=row["payout_network"],
            received_at=to_millis(row["received_at"]),
        )
        ordered = await self._splitter.order_exchange(order, None, call.now)
        connection = await call.begin()
        await hold_split(connection, unique_id)
        if (refused := await self._revive(incoming, connection, 0, call)) is not None:
            return refused
        pending = await self._splitter.write(connection, order, ordered, call.now)
        if pending is None:
            return Reply(409, {"error": "NOT_DEAD", "reason": "it was split"})
        rows = await self._anew.write(connection, pending, ordered.way, call.now)
        return await self._send(pending, rows, call)

    async def _replay_hostpay(self, incoming: Incoming, generation: int, code: str, call: Call) -> Reply:
        unique_id = incoming.path["unique_id"]
        row = await self._kit.db.row("SELECT * FROM split_payout_que WHERE unique_id = $1", unique_id)
        if row is None or row["status"] != "dead" or row["generation"] != generation:
            return Reply(200, {"status": "already_replayed", "unique_id": unique_id})
        made = await self._anew.order(row, call.now, died_of=code)
        connection = await call.begin()
        await hold_payout(connection, unique_id)
        row = await connection.fetchrow("SELECT * FROM split_payout_que WHERE unique_id = $1 FOR UPDATE", unique_id)
        if row is None or row["status"] != "dead" or row["generation"] != generation:
            return Reply(200, {"status": "already_replayed", "unique_id": unique_id})
        if await connection.fetchrow(SIGNED, unique_id) is not None:
            return Reply(409, {"error": "BEING_PAID", "reason": BEING_PAID})
        if (refused := await self._revive(incoming, connection, generation, call)) is not None:
            return refused
        pending, rows = await self._anew.ask(connection, row, made, since=call.now, at=call.now)
        return await self._send(pending, rows, call)

    async def _revive(self, incoming: Incoming, connection: Connection, generation: int, call: Call) -> Reply | None:
        """Take the death back for a replay; the answer where it no longer is one that may be replayed."""
        unique_id = incoming.path["unique_id"]
        lock = "SELECT status, error_code FROM failed_transactions WHERE unique_id = $1 AND generation = $2 FOR UPDATE"
        dead = await connection.fetchrow(lock, unique_id, generation)
        assert dead is not None  # a death is never taken out
        if (refused := not_dead(unique_id, dead["status"])) is not None:
            return refused
        await revive(connection, unique_id, generation, status="replayed", at=call.now)
        wish = actions.texts(incoming.body)
        done = Action(
            verb="replay", kind="payment", subject=unique_id, before=f"dead: {dead['error_code']}", after="replayed",
            why=wish.get("why"),
        )  # fmt: skip
        await actions.note(incoming, call, done, by=wish.get("by"))
        return None

    async def _send(self, pending: PendingHostPay, rows: Sequence[Row], call: Call) -> Reply:
        await call.commit()
        await self._kit.outbox.send(rows)
        _log.warning(
            "a dead payment was replayed", what="payment_replayed", status="replayed", cn_api_id=pending.cn_api_id
        )
        body = {"status": "replayed", "unique_id": pending.unique_id, "generation": pending.generation}
        return Reply(200, {**body, "cn_api_id": pending.cn_api_id})


def not_dead(unique_id: str, status: str, code: str = "") -> Reply | None:
    """Answer for a death that is not to be replayed, or not now; None for one that is."""
    if status == "dead" and code in COINS_LEFT:
        reason = "its coins left the wallet, or may have: settle it with the exchange, then mark it recovered"
        return Reply(409, {"error": code, "reason": reason})
    if status == "dead":
        return None
    if status == "investigating":
        reason = "somebody looks into it: mark it dead again before it is replayed"
        return Reply(409, {"error": "INVESTIGATING", "reason": reason})
    return Reply(200, {"status": f"already_{status}", "unique_id": unique_id})
