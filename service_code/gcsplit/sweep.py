"""The splitter's sweeper, the one who notices: nobody is told when a queue drops a task (DECISIONS 12).

It sends what is unsent and still in its window; closes what the chain has settled; records as dead what is past its
window without a payout and waits for no fallback, what the chain has settled as never paid, and what could not be split
in a day; takes a death back where a payout turns up after all; and lets go what a breaker kept back. A token minted at
m is good until m + window; the rule waits a grace longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service_code.gcsplit.fallback import REFUSED, WAY, Fallback
from service_code.gcsplit.rules import GRACE, HOSTPAY_QUEUES, SPLIT_WINDOW, Rules
from service_code.gcsplit.sides import Sides
from service_code.gcsplit.standing import Standing
from service_code.kit import deadletters, ledger, logs
from service_code.kit.call import Call
from service_code.kit.db import Connection
from service_code.kit.deaths import Death, bury, hold_payout, revive
from service_code.kit.estimates import ASK_QUEUE
from service_code.kit.money import Amount
from service_code.kit.runtime import Kit

#: Payments that one sweep settles of each kind.
AT_ONCE = 200

_log = logs.get("sweep")


class BuriedBeforeError(RuntimeError):
    """A death of this generation stands already: what was written for another is taken back."""


class Sweeper:
    """Handles POST /sweep."""

    def __init__(self, kit: Kit, rules: Rules, fallback: Fallback) -> None:
        self._kit = kit
        self._rules = rules
        self._fallback = fallback
        self._standing = Standing(kit, rules)
        self._sides = Sides(kit)

    async def sweep(self, call: Call) -> Mapping[str, Any]:
        """Do one round; each payment in a transaction of its own, so that one cannot hold up the rest."""
        now = call.now
        oldest = {way: now - window - GRACE for way, window in self._rules.windows.items()}
        resent = 0
        for way, queue in HOSTPAY_QUEUES.items():
            resent += await self._kit.outbox.resend(queue=queue, created_after=oldest[way])
        # gcwebhook's sweeper has such a payment split anew, which sends the question itself, but not a copy of it.
        resent += await self._kit.outbox.resend(queue=ASK_QUEUE, created_after=now - SPLIT_WINDOW)
        completed = await self._complete(now)
        dead = await self._bury_unpaid(now, oldest) + await self._bury_unsplit(now)
        late = await self._revive_paid(now)
        await self._standing.say(now)
        await self._sides.say(now)
        let_go = await self._fallback.let_go(now)  # last: it asks the exchange, which may take all the time there is
        done = {"resent": resent, "let_go": let_go, "dead": dead, "late": late}
        if any(done.values()):
            _log.warning("left behind and taken up", status="swept", **done)
        return {"status": "swept", "completed": completed, "waiting_for": self._kit.breakers.open, **done}

    async def _complete(self, now: datetime) -> int:
        rows = await self._kit.db.fetch(
            """
            UPDATE split_payout_que AS que SET status = 'completed', closed_at = $1
            WHERE status = 'pending_hostpay' AND EXISTS (
                SELECT 1 FROM split_payout_hostpay h
                WHERE h.unique_id = que.unique_id AND h.status = 'completed' AND h.final_at IS NOT NULL
            )
            RETURNING unique_id, way, cn_api_id,
                (SELECT max(mined_at) FROM split_payout_hostpay h
                 WHERE h.unique_id = que.unique_id AND h.status = 'completed') AS paid_at,
                coalesce((SELECT received_at FROM split_payout_request r WHERE r.unique_id = que.unique_id), created_at)
                    AS since
            """,
            now,
        )
        for row in rows:
            _log.info(
                "payment completed", what="payment_completed", status="completed", unique_id=row["unique_id"],
                cn_api_id=row["cn_api_id"], way=row["way"],
                paid_seconds=round((row["paid_at"] - row["since"]).total_seconds(), 3),
            )  # fmt: skip
        return len(rows)

    async def _bury_unpaid(self, now: datetime, oldest: Mapping[str, datetime]) -> int:
        candidates = await self._kit.db.fetch(
            f"SELECT unique_id FROM ({UNPAID}) AS unpaid ORDER BY pending_since LIMIT $6",
            *(*self._limits(now, oldest), AT_ONCE),
        )
        dead = 0
        for candidate in candidates:
            logs.about(unique_id=candidate["unique_id"])
            try:
                dead += await self._look_again(candidate["unique_id"], now, oldest)
            except BuriedBeforeError as error:
                _log.error("a payment would die twice", what="died_before", status="pending", why=str(error))
        logs.about(unique_id=None)
        return dead

    def _limits(self, now: datetime, oldest: Mapping[str, datetime]) -> tuple[Any, ...]:
        """What UNPAID asks for."""
        policy = self._rules.tokens[WAY]
        windows = (oldest["single"], oldest["staged"], self._rules.windows["staged"])
        return *windows, now - policy.give_up_after, policy.fallback

    async def _look_again(self, unique_id: str, now: datetime, oldest: Mapping[str, datetime]) -> bool:
        async with self._kit.db.transaction() as connection:
            # The payout first, as whoever signs or buries does.
            if not await hold_payout(connection, unique_id, patient=False):
                return False
            lock = "SELECT 1 FROM split_payout_que WHERE unique_id = $1 FOR UPDATE SKIP LOCKED"
            if await connection.fetchrow(lock, unique_id) is None:
                return False
            row = await connection.fetchrow(
                f"{UNPAID} AND que.unique_id = $6", *(*self._limits(now, oldest), unique_id)
            )
            if row is None:
                return False
            await self._bury_one(connection, row, now)
        return True

    async def _bury_one(self, connection: Connection, row: Any, now: datetime) -> None:
        unique_id, generation = row["unique_id"], row["generation"]
        code, why = await self._cause(connection, row)
        # A payout that was found paid late, and then was not: it dies once more, as of the next generation.
        late = "SELECT 1 FROM failed_transactions WHERE unique_id = $1 AND generation = $2 AND status = 'paid_late'"
        if await connection.fetchrow(late, unique_id, generation) is not None:
            generation += 1
        await connection.execute(
            "UPDATE split_payout_que SET status = 'dead', closed_at = $2, generation = $3 WHERE unique_id = $1",
            *(unique_id, now, generation),
        )
        await connection.execute(CANCEL, unique_id, HOSTPAY_QUEUES[row["way"]], now)
        letter = deadletters.Letter(
            service=self._kit.settings.service,
            endpoint="/sweep",
            code=code,
            why=why,
            body=f'{{"unique_id":"{unique_id}","generation":{generation},"cn_api_id":"{row["cn_api_id"]}"}}'.encode(),
            unique_id=unique_id,
            generation=generation,
        )
        await deadletters.store(connection, letter, now)
        death = Death(
            unique_id=unique_id,
            generation=generation,
            stage="hostpay",
            account=ledger.EXCHANGE_CLEARING,
            held=Amount(currency=row["from_currency"], units=row["from_amount"]),
            code=code,
            why=why,
            service=self._kit.settings.service,
            cn_api_id=row["cn_api_id"],
            network=row["from_network"],
            payin_address=row["payin_address"],
        )
        if not await bury(connection, death, now):
            raise BuriedBeforeError(f"generation {generation} has died before")

    async def _cause(self, connection: Connection, row: Any) -> tuple[str, str]:
        """Name the death by what the payer said of this generation, or else by the window."""
        if row["error_code"]:
            return row["error_code"], row["error_why"] or "the chain has settled that this payout never happens"
        said = await connection.fetchrow(
            """
            SELECT code, why FROM dead_letters
            WHERE unique_id = $1 AND generation = $2 AND service LIKE 'gchostpay%' ORDER BY id DESC LIMIT 1
            """,
            *(row["unique_id"], row["generation"]),
        )
        if said is not None:
            return said["code"], said["why"]
        if row["sent_at"] is None:
            return "NEVER_QUEUED", "the host payment could not be queued within its window"
        return "WINDOW_PASSED", "no payout was signed within the token's window"

    async def _bury_unsplit(self, now: datetime) -> int:
        rows = await self._kit.db.fetch(
            """
            SELECT unique_id, currency, amount FROM split_payout_request AS request
            WHERE NOT split_done AND received_at < $1 AND threshold_usdt IS NULL
              AND NOT EXISTS (SELECT 1 FROM split_payout_que q WHERE q.unique_id = request.unique_id)
              AND NOT EXISTS (SELECT 1 FROM failed_transactions f WHERE f.unique_id = request.unique_id)
            ORDER BY received_at LIMIT $2
            """,
            *(now - SPLIT_WINDOW, AT_ONCE),
        )
        dead = 0
        for row in rows:
            async with self._kit.db.transaction() as connection:
                death = Death(
                    unique_id=row["unique_id"],
                    generation=0,
                    stage="split",
                    account=ledger.UNSPLIT_FUNDS,
                    held=Amount(currency=row["currency"], units=row["amount"]),
                    code="SPLIT_WINDOW_PASSED",
                    why="the payment could not be split within 24 hours",
                    service=self._kit.settings.service,
                )
                dead += await bury(connection, death, now)
                await connection.execute(CANCEL, row["unique_id"], ASK_QUEUE, now)
        return dead

    async def _revive_paid(self, now: datetime) -> int:
        """Find dead payments that have a payout on its way or done: signed in time, seen late."""
        rows = await self._kit.db.fetch(
            """
            SELECT que.unique_id, que.generation FROM split_payout_que que JOIN split_payout_hostpay h USING (unique_id)
            WHERE que.status = 'dead' AND h.status <> 'failed' LIMIT $1
            """,
            AT_ONCE,
        )
        revived = 0
        for row in rows:
            async with self._kit.db.transaction() as connection:
                await hold_payout(connection, row["unique_id"])
                back = "UPDATE split_payout_que SET status = 'pending_hostpay', closed_at = NULL WHERE unique_id = $1"
                if (await connection.execute(f"{back} AND status = 'dead'", row["unique_id"])).endswith(" 0"):
                    continue
                if await revive(connection, row["unique_id"], row["generation"], status="paid_late", at=now):
                    revived += 1
                    _log.warning(
                        "a dead payment was paid", what="payment_paid_late", status="late", unique_id=row["unique_id"]
                    )
                else:
                    _log.error(
                        "a payment whose death was settled otherwise is paid as well",
                        what="payment_paid_twice", status="late", unique_id=row["unique_id"],
                    )  # fmt: skip
        return revived


#: A dead payment's messages that were never sent need not be.
CANCEL = """
    UPDATE outbox SET cancelled_at = $3
    WHERE unique_id = $1 AND queue = $2 AND sent_at IS NULL AND cancelled_at IS NULL
    """
#: Pending host payments that will not happen: $1, and $2 for staged ones, is the oldest moment whose token could still
#: be good. A row without a sent mark may have been sent all the same, its mark lost: its last attempt counts, which at
#: first is its creation. Of a staged payout the last token of all stages counts, though a message that cannot be sent,
#: or is sent again and again (`resend`, which refuses from then on), counts only for its window ($3) after it was first
#: written; what a stage has closed is certain. What became pending after $4 waits instead where a breaker kept it back,
#: or where the edge has a fallback ($5) and the payer has not refused it.
UNPAID = f"""
    SELECT que.*, coalesce(failed.error_code, stage.error_code) AS error_code, stage.error_why,
        o.sent_at
    FROM split_payout_que AS que
    LEFT JOIN split_payout_hostpay AS failed
        ON failed.unique_id = que.unique_id AND failed.generation = que.generation AND failed.status = 'failed'
    LEFT JOIN hostpay_stages AS stage
        ON stage.unique_id = que.unique_id AND stage.generation = que.generation
        AND stage.state IN ('refused', 'failed')
    LEFT JOIN LATERAL (
        SELECT min(sent_at) AS sent_at,
            bool_or(withheld_at IS NOT NULL AND outbox.sent_at IS NULL AND cancelled_at IS NULL) AS withheld, max(
            CASE que.way WHEN 'staged' THEN least(minted_at, first_at + $3::interval) ELSE minted_at END
        ) AS since FROM (
            SELECT *, min(created_at) OVER (PARTITION BY regexp_replace(id, ':again-[0-9]+$', '')) AS first_at
            FROM outbox WHERE outbox.unique_id = que.unique_id AND CASE que.way
                WHEN 'staged' THEN outbox.queue = 'gcsplit-hostpay-trigger-queue' OR outbox.queue LIKE 'gchostpay%'
                ELSE outbox.id = 'hostpay-execution-queue:' || que.unique_id || ':' || que.generation
            END
        ) AS outbox
    ) AS o ON true
    WHERE que.status = 'pending_hostpay'
      AND NOT EXISTS (
          SELECT 1 FROM split_payout_hostpay h WHERE h.unique_id = que.unique_id AND h.status <> 'failed'
      )
      AND (failed.id IS NOT NULL OR stage.error_code IS NOT NULL
           OR (coalesce(o.since, que.pending_since) < CASE que.way WHEN 'staged' THEN $2::timestamptz ELSE $1 END
               AND NOT (que.way = '{WAY}' AND que.pending_since > $4
                        AND (o.withheld IS TRUE OR ($5::boolean AND NOT {REFUSED})))))
"""
