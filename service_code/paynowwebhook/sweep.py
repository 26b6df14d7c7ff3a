"""The entry's sweeper: publishes what is unpublished, and notices what Pub/Sub has given up.

Nobody is told when a message goes to the dead-letter topic. An event that was published and has no end after the time
that all deliveries may take is `failed`: it is alerted, and waits for an operator's replay. A delivery that comes after
all still processes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.paynow.event import TOPIC
from service_code.kit.runtime import Kit

#: Five deliveries of at most ten minutes, with at most ten minutes between two, take less.
GIVEN_UP = timedelta(hours=2)
CODE, WHY = "DELIVERIES_USED_UP", "published, but not processed within the time that all deliveries take"
#: Events that one sweep gives up.
AT_ONCE = 200

_log = logs.get("sweep")


class Sweeper:
    """Works through what was left behind."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def sweep(self, call: Call) -> Mapping[str, Any]:
        """POST /sweep."""
        published = await self._kit.publications.sweep()
        failed = await self._give_up(call)
        if published or failed:
            _log.warning("left behind and taken up", status="swept", published=published, failed=failed)
        return {"status": "swept", "published": published, "failed": failed}

    async def _give_up(self, call: Call) -> int:
        """Mark events whose last publication is too long ago; one that still waits for it is not among them."""
        async with self._kit.db.transaction() as connection:
            rows = await connection.fetch(
                """
                UPDATE paynow_events SET status = 'failed', code = $2, why = $3, closed_at = $1
                WHERE event_id IN (
                    SELECT e.event_id FROM paynow_events e
                    WHERE e.status = 'queued' AND e.queued_at < $4
                      AND NOT EXISTS (
                          SELECT 1 FROM outbox o WHERE o.queue = $5 AND o.unique_id = e.event_id
                            AND (o.sent_at IS NULL OR o.sent_at >= $4)
                      )
                    ORDER BY e.queued_at LIMIT $6 FOR UPDATE SKIP LOCKED
                )
                RETURNING event_id
                """,
                *(call.now, CODE, WHY, call.now - GIVEN_UP, TOPIC, AT_ONCE),
            )
            for row in rows:  # before the commit: a crash may repeat the alert, not lose it
                _log.error(
                    "dead event", what="dead_letter", status="dead", code=CODE, why=WHY, unique_id=row["event_id"]
                )
        return len(rows)
