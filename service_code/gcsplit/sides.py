"""How the payments of both sides of a rollout stand, said each minute for its gates: begun, due, and due but unpaid.

A revision may answer every request well and pay nothing; only the payments themselves show it. Each payment is counted
twice: in the minute after the one in which it was begun, and once more when it is due, so that sums over a step are
those of the step's own payments. Sides are those of a release that is tried (by `release_pins`), and of the routes that
payments take (by what was stored with the choice). Writes nothing but which minutes are said: sweeps may meet in one.
What is not at its end is `standing`'s.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from service_code.gcsplit.rules import PAYOUT
from service_code.gcsplit.standing import STANDING
from service_code.kit import logs
from service_code.kit.estimates import ASK_QUEUE, ESTIMATE
from service_code.kit.runtime import Kit

#: A payment that was begun so long ago is due: most are paid within a minute.
DUE_AFTER = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
#: What is not paid then stands in one of these stages, for so long at least: a signed one may wait for its block.
UNPAID = {"split": "0", "gather": "0", "single": "0", "staged": "0", "dead": "0", "signed": "180"}
#: The hops that payments take, by route.
HOPS = {"split-hop": "split-payment-queue", "hostpay-hop": "hostpay-execution-queue"}
#: The old side and the new one.
OLD, NEW = "stable", "canary"

#: $1 now, $2 seconds by stage.
LATE = f"""
    SELECT DISTINCT unique_id FROM ({STANDING}) AS standing
    WHERE $2::jsonb ? stage AND since <= $1::timestamptz - ($2::jsonb ->> stage || ' seconds')::interval
"""
#: $3 the revision that is tried, by service; $4 since when, $5 until when they were begun.
RELEASES = """
    SELECT service AS subject, revision = $3::jsonb ->> service AS new, unique_id
    FROM release_pins WHERE $3::jsonb ? service AND pinned_at >= $4 AND pinned_at < $5
"""
#: $3 the queues of hops and of the question for a rate, by route.
ROUTES = f"""
    SELECT '{PAYOUT}' AS subject, q.way = 'staged' AS new, unique_id
    FROM split_payout_request AS r JOIN split_payout_que AS q USING (unique_id)
    WHERE r.received_at >= $4 AND r.received_at < $5
    UNION ALL
    SELECT hop.key, CASE WHEN hop.key = '{ESTIMATE}' THEN o.id IS NOT NULL ELSE o.way = 'queue' END, r.unique_id
    FROM jsonb_each_text($3::jsonb) AS hop
    JOIN split_payout_request AS r ON r.received_at >= $4 AND r.received_at < $5
    LEFT JOIN outbox AS o ON o.id = hop.value || ':' || r.unique_id || ':1'
    WHERE o.id IS NOT NULL OR hop.key = '{ESTIMATE}'
"""
COUNTED = """
    WITH late AS ({late}), begun AS ({begun})
    SELECT subject, new, count(*) AS of, count(late.unique_id) AS unpaid
    FROM begun LEFT JOIN late USING (unique_id) GROUP BY subject, new
"""
#: One of all that ask gets the minute $1.
TAKEN = """
    WITH forgotten AS (DELETE FROM sides_said WHERE minute < $1::timestamptz - interval '1 day')
    INSERT INTO sides_said (minute) VALUES ($1) ON CONFLICT DO NOTHING RETURNING minute
"""
Counts = dict[tuple[str, bool], tuple[int, int]]

_log = logs.get("sides")


class Sides:
    """Says how both sides stand."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._said: datetime | None = None

    async def say(self, now: datetime) -> None:
        """Log a line for each side of whatever is tried, also of one that has nothing; once a minute."""
        minute = now.replace(second=0, microsecond=0)
        if minute == self._said:
            return
        self._said = minute
        record = await self._kit.record.latest()
        tried = {name: release.canary for name, release in record.releases.items()}
        queues = {**HOPS, ESTIMATE: ASK_QUEUE}
        routes = [name for name, share in record.routes.items() if share.percent and name in (*queues, PAYOUT)]
        hops = {name: queue for name, queue in queues.items() if name in routes}
        new: Counts = {}
        due: Counts = {}
        for wanted, sql, given in ((bool(tried), RELEASES, tried), (bool(routes), ROUTES, hops)):
            if wanted:
                new |= await self._counted(sql, now, given, minute - MINUTE)
                due |= await self._counted(sql, now, given, minute - DUE_AFTER - MINUTE)
        if not (tried or routes) or not await self._kit.db.fetch(TAKEN, minute):
            return
        for subject in (*tried, *routes):
            for side in (False, True):
                of, unpaid = due.get((subject, side), (0, 0))
                _log.info(
                    "how a side of a rollout stands", what="side_stands", status="waiting" if unpaid else "well",
                    subject=subject, side=NEW if side else OLD, begun=new.get((subject, side), (0, 0))[0],
                    due=of, unpaid=unpaid,
                )  # fmt: skip

    async def _counted(self, begun: str, now: datetime, given: dict[str, str], since: datetime) -> Counts:
        """Count those that were begun in one minute, and those of them that are not paid."""
        sql = COUNTED.format(late=LATE, begun=begun)
        rows = await self._kit.db.fetch(sql, now, UNPAID, given, since, since + MINUTE)
        return {(row["subject"], row["new"]): (row["of"], row["unpaid"]) for row in rows}
