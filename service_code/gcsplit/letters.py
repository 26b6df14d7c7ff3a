"""The dead letters of all services, listed for operators: what died where and why, without the bodies."""

from __future__ import annotations

from service_code.kit.call import Call
from service_code.kit.clock import stamp
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

#: Letters that one listing shows.
LISTED = 500
SHOWN = ("id", "service", "endpoint", "unique_id", "code", "why", "task_name", "attempt_number", "created_at")


class Letters:
    """Answers operators about dead letters."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def listed(self, _incoming: Incoming, _call: Call) -> Reply:
        """GET /dead-letters: the newest first."""
        rows = await self._kit.db.fetch(
            f"SELECT {', '.join(SHOWN)} FROM dead_letters ORDER BY id DESC LIMIT $1", LISTED
        )
        letters = [{**dict(row), "created_at": stamp(row["created_at"])} for row in rows]
        return Reply(200, {"dead_letters": letters})
