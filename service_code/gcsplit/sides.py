"""How the payments of both sides of a rollout stand, said each minute for its gates: begun, due, and due but unpaid.

A revision may answer every request well and pay nothing; only the payments themselves show it. Sides are those of a
release that is tried (by `release_pins`), and of the routes that payments take (by what was stored with the choice).
Reads and never writes. What is not at its end, and since when, is `standing`'s.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from service_code.gcsplit.rules import PAYOUT
from service_code.gcsplit.standing import STANDING, WINDOWS
from service_code.kit import logs
from service_code.kit.estimates import ASK_QUEUE, ESTIMATE
from service_code.kit.runtime import Kit

#: A payment that was begun so long ago is due: no stage before its payout has a shorter window.
DUE_AFTER = timedelta(minutes=5)
#: Payments that were begun within this time count: the first step's. Of a route that all payments take, for ever
#: perhaps, those of the last hours.
LATELY, WHOLE_LATELY = timedelta(days=2), timedelta(hours=6)
#: The hops that payments take, by route.
HOPS = {"split-hop": "split-payment-queue", "hostpay-hop": "hostpay-execution-queue"}
#: The old side and the new one.
OLD, NEW = "stable", "canary"

#: $1 now, $2 the windows by stage.
LATE = f"""
    SELECT DISTINCT unique_id FROM ({STANDING}) AS standing
    WHERE stage <> 'access' AND since <= $1::timestamptz - ($2::jsonb ->> stage)::interval
"""
#: $3 the revision that is tried, by service; $4 since when.
RELEASES = """
    SELECT service AS subject, revision = $3::jsonb ->> service AS new, unique_id, pinned_at AS begun_at
    FROM release_pins WHERE $3::jsonb ? service AND pinned_at > $4
"""
#: $3 the queues of hops and of the question for a rate, by route; $4 since when, by route.
ROUTES = f"""
    SELECT '{PAYOUT}' AS subject, q.way = 'staged' AS new, unique_id, received_at AS begun_at
    FROM split_payout_request AS r JOIN split_payout_que AS q USING (unique_id)
    WHERE r.received_at > ($4::jsonb ->> '{PAYOUT}')::timestamptz
    UNION ALL
    SELECT hop.key, CASE WHEN hop.key = '{ESTIMATE}' THEN o.id IS NOT NULL ELSE o.way = 'queue' END, r.unique_id,
        r.received_at
    FROM jsonb_each_text($3::jsonb) AS hop
    JOIN split_payout_request AS r ON r.received_at > ($4::jsonb ->> hop.key)::timestamptz
    LEFT JOIN outbox AS o ON o.id = hop.value || ':' || r.unique_id || ':1'
    WHERE o.id IS NOT NULL OR hop.key = '{ESTIMATE}'
"""
COUNTED = """
    WITH late AS ({late}), begun AS ({begun})
    SELECT subject, new, count(*) AS begun, count(*) FILTER (WHERE begun_at <= $5) AS due,
        count(*) FILTER (WHERE begun_at <= $5 AND late.unique_id IS NOT NULL) AS unpaid
    FROM begun LEFT JOIN late USING (unique_id) GROUP BY subject, new
"""

_log = logs.get("sides")


class Sides:
    """Says how both sides stand."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._windows = {stage: f"{window.total_seconds()} seconds" for stage, window in WINDOWS.items()}

    async def say(self, now: datetime) -> None:
        """Log a line for each side of whatever is tried, also of one that has nothing."""
        record = await self._kit.record.latest()
        tried = {name: release.canary for name, release in record.releases.items()}
        queues = {**HOPS, ESTIMATE: ASK_QUEUE}
        since = {
            name: (now - (LATELY if share.percent < 100 else WHOLE_LATELY)).isoformat()
            for name, share in record.routes.items()
            if share.percent and name in (*queues, PAYOUT)
        }
        found: dict[tuple[str, bool], tuple[int, int, int]] = {}
        if tried:
            found |= await self._counted(RELEASES, now, tried, now - LATELY)
        if since:
            hops = {name: queue for name, queue in queues.items() if name in since}
            found |= await self._counted(ROUTES, now, hops, since)
        for subject in (*tried, *since):
            for new in (False, True):
                begun, due, unpaid = found.get((subject, new), (0, 0, 0))
                _log.info(
                    "how a side of a rollout stands", what="side_stands", status="waiting" if unpaid else "well",
                    subject=subject, side=NEW if new else OLD, begun=begun, due=due, unpaid=unpaid,
                )  # fmt: skip

    async def _counted(self, begun: str, now: datetime, *given: object) -> dict[tuple[str, bool], tuple[int, int, int]]:
        sql = COUNTED.format(late=LATE, begun=begun)
        rows = await self._kit.db.fetch(sql, now, self._windows, *given, now - DUE_AFTER)
        return {(row["subject"], row["new"]): (row["begun"], row["due"], row["unpaid"]) for row in rows}
