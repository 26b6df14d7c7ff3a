"""Sending host payments anew that were neither paid nor refused in time (seeds/000 section 9, adr/token-window.md).

Two kinds wait: what a breaker kept back, which goes as soon as the receiver is up; and, where the edge has a fallback,
whatever is past its token's window with nothing signed and nothing said against it that time does not mend. Each gets
the next generation, a fresh token and an exchange order that still waits; the payer signs no generation but the newest.
Both are given up a while (`give_up_after`) after they became pending, and are then the sweeper's dead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service_code.gcsplit.anew import Anew
from service_code.gcsplit.rules import GRACE, HOSTPAY_QUEUES, Rules
from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.changenow import ExchangeAwayError, ExchangeOrder, ExchangeRefusedError
from service_code.kit.deaths import hold_payout
from service_code.kit.outbox import Row
from service_code.kit.resend import ENDED, Note, already
from service_code.kit.runtime import Kit
from service_code.kit.service import Reply

#: The way whose token lives so briefly that it may be sent anew; the other has its day.
WAY = "single"
QUEUE = HOSTPAY_QUEUES[WAY]
#: Payments that are read at once, and how many of them are sent at once.
AT_ONCE, TOGETHER = 200, 8
#: Seconds after which one call sends no more: the next goes on.
LONGEST = 20.0
#: So many orders in a row that the exchange did not answer end a call: it is away, and each would wait its time out.
AWAY = 8

_log = logs.get("fallback")

#: Whether the payer has refused this generation for a reason that no other token or exchange order mends.
REFUSED = """
    EXISTS (
        SELECT 1 FROM dead_letters AS said
        WHERE said.unique_id = que.unique_id AND said.generation = que.generation AND said.service = 'gchostpay'
          AND said.code NOT IN ('TOKEN_EXPIRED', 'TOKEN_FROM_FUTURE', 'EXCHANGE_EXPIRED', 'EXCHANGE_UNKNOWN')
    )
"""
#: Host payments to be sent anew: $1 when they must have become pending at the earliest; $2 before when their token was
#: minted, where $3 says that this is enough, or their row written, where it was kept back and not tried since.
WAITING = f"""
    SELECT que.* FROM split_payout_que AS que
    LEFT JOIN outbox AS o ON o.id = '{QUEUE}:' || que.unique_id || ':' || que.generation
    WHERE que.status = 'pending_hostpay' AND que.way = '{WAY}' AND que.pending_since > $1
      AND (($3::boolean AND coalesce(o.minted_at, que.pending_since) < $2)
           OR (o.withheld_at IS NOT NULL AND o.sent_at IS NULL AND o.cancelled_at IS NULL AND o.created_at <= $2))
      AND NOT EXISTS (
          SELECT 1 FROM split_payout_hostpay AS h
          WHERE h.unique_id = que.unique_id AND (h.status <> 'failed' OR h.generation >= que.generation)
      )
      AND NOT {REFUSED}
"""


@dataclass(kw_only=True, slots=True)
class Round:
    """One call's work: what WAITING asks for, until when, and how often in a row the exchange was away."""

    now: datetime
    limits: tuple[datetime, datetime, bool]
    until: float
    away: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.away >= AWAY or time.monotonic() >= self.until


class Fallback:
    """Handles POST /fallback, and lets go what a breaker kept back."""

    def __init__(self, kit: Kit, rules: Rules, anew: Anew) -> None:
        self._kit = kit
        self._anew = anew
        self._policy = rules.tokens[WAY]
        self._window: timedelta = rules.windows[WAY] + GRACE

    async def fall_back(self, call: Call) -> Mapping[str, Any]:
        """Send anew what is past its window; for the scheduler, every five minutes."""
        sent = await self._send_anew(call.now, past_window=self._policy.fallback)
        return {"status": "fallen_back", "sent": sent, "waiting_for": self._kit.breakers.open}

    async def let_go(self, now: datetime) -> int:
        """Send anew what was kept back for longer than its window; how many."""
        return await self._send_anew(now, past_window=False)

    async def resend(self, old: Any, note: Note, call: Call) -> Reply | Row:
        """Send one anew at once, for an operator: the old message's token and exchange order may be over."""
        now, generation = call.now, int(old["message"]["generation"])
        if not await self._kit.breakers.let_through(QUEUE):
            return Reply(409, {"error": "KEPT_BACK", "reason": "its receiver is down: it goes on by itself after that"})
        limits = (now - self._policy.give_up_after, now + self._window, True)  # however young its token is
        one = f"{WAITING} AND que.unique_id = $4"
        row = await self._kit.db.row(one, *limits, old["unique_id"])
        if row is None or row["generation"] > generation:
            return await self._not_waiting(old)
        round_ = Round(now=now, limits=limits, until=float("inf"))
        if (made := await self._order(row, round_)) is None:
            why = "the exchange gives no order now: it is tried by itself, too"
            return Reply(409, {"error": "NO_ORDER", "reason": why})
        if (written := await self._write(row, made, round_, note)) is not None:
            return written
        if await self._kit.db.row(f"{one} AND que.generation = $5", *limits, old["unique_id"], generation) is not None:
            return Reply(409, {"error": "NOT_NOW", "reason": "somebody works on it at this moment: ask again"})
        return await self._not_waiting(old)

    async def _not_waiting(self, old: Any) -> Reply:
        """Say why one is not sent: another was, by whoever was quicker, or it is over."""
        row = await self._kit.db.row(
            """
            SELECT generation, payment_ended(unique_id, $2) AS ended FROM split_payout_que
            WHERE unique_id = $1 AND way = $3
            """,
            *(old["unique_id"], QUEUE, WAY),
        )
        if row is not None and row["ended"] is not None:
            return Reply(409, {"error": str(row["ended"]).upper(), "reason": ENDED[row["ended"]]})
        if row is not None and row["generation"] > int(old["message"]["generation"]):
            return already(QUEUE, f"{QUEUE}:{old['unique_id']}:{row['generation']}")
        why = "its day is over, or the payer has refused it for good: it is dead within a minute"
        return Reply(409, {"error": "NOT_WAITING", "reason": why})

    async def _send_anew(self, now: datetime, *, past_window: bool) -> int:
        if not await self._kit.breakers.let_through(QUEUE):
            return 0
        limits = (now - self._policy.give_up_after, now - self._window, past_window)
        round_ = Round(now=now, limits=limits, until=time.monotonic() + LONGEST)
        sent, last = 0, (limits[0], "")
        order = "(que.pending_since, que.unique_id)"
        page = f"{WAITING} AND {order} > ($4, $5) ORDER BY {order} LIMIT $6"
        while not round_.is_over:
            rows = await self._kit.db.fetch(page, *limits, *last, AT_ONCE)
            sent += await self._together(rows, round_)
            if len(rows) < AT_ONCE:
                break
            last = (rows[-1]["pending_since"], rows[-1]["unique_id"])  # one that stays does not hold up the rest
        return sent

    async def _together(self, rows: Sequence[Any], round_: Round) -> int:
        room = asyncio.Semaphore(TOGETHER)

        async def one(row: Any) -> bool:
            async with room:
                if round_.is_over:
                    return False
                logs.about(unique_id=row["unique_id"])
                return await self._one(row, round_) is not None

        # Each in a task, so in a context, of its own.
        return sum(await asyncio.gather(*(asyncio.create_task(one(row)) for row in rows)))

    async def _one(self, row: Any, round_: Round) -> Row | None:
        """Send one anew; the row that was written."""
        made = await self._order(row, round_)
        return await self._write(row, made, round_) if made is not None else None

    async def _order(self, row: Any, round_: Round) -> ExchangeOrder | None:
        """The exchange order that it pays; None where none is to be had."""
        try:
            made = await self._anew.order(row, round_.now)
            round_.away = 0
        except (ExchangeAwayError, ExchangeRefusedError) as error:
            round_.away = round_.away + 1 if isinstance(error, ExchangeAwayError) else 0
            _log.warning("no exchange order to pay: it goes on waiting", status="pending", why=str(error))
            return None
        return made

    async def _write(self, row: Any, made: ExchangeOrder, round_: Round, note: Note | None = None) -> Row | None:
        """Write and send it; None where somebody was quicker.

        `note` says in the same transaction who asked for it, and whoever asks waits for what somebody else does.
        """
        unique_id, now = row["unique_id"], round_.now
        async with self._kit.db.transaction() as connection:
            if not await hold_payout(connection, unique_id, patient=note is not None):
                return None
            again = f"{WAITING} AND que.unique_id = $4 AND que.generation = $5 FOR UPDATE OF que SKIP LOCKED"
            if await connection.fetchrow(again, *round_.limits, unique_id, row["generation"]) is None:
                return None
            await connection.execute(
                "UPDATE outbox SET cancelled_at = $2 WHERE id = $1 AND sent_at IS NULL AND cancelled_at IS NULL",
                *(f"{QUEUE}:{unique_id}:{row['generation']}", now),
            )
            pending, rows = await self._anew.ask(connection, row, made, since=row["pending_since"], at=now)
            if note is not None:
                await note(connection, rows[0].id)
        await self._kit.outbox.send(rows)
        _log.warning(
            "sent anew with a fresh token", what="payment_sent_anew", status="pending",
            generation=pending.generation, cn_api_id=pending.cn_api_id,
        )  # fmt: skip
        return rows[0]
