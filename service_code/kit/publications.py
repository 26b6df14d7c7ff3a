"""The outbox's rows for topics: written with what causes them, published in the same request, in order of their key.

A key's rows are numbered under a lock that is held until their transaction ends, so that their numbers are in the order
of the commits. One publisher at a time holds a key: it takes all that is unsent, in order, and looks again when it is
done, so that a row that comes meanwhile is left to it. What could not be published stays, and with it everything later
of its key, until the next event of the key or the sweeper takes them up together. A crash lets go of the key by time.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from service_code.kit import logs
from service_code.kit.clock import Clock, moment
from service_code.kit.messages import Message
from service_code.kit.outbox import CLAIM, IN_HAND
from service_code.kit.topics import Published, TopicError, Topics

if TYPE_CHECKING:
    from datetime import datetime

    from service_code.kit.db import Connection, Database

#: How long a publisher that says nothing holds its key: longer than one call with its repetition takes.
HOLD = timedelta(seconds=30)
#: Rows that are published in one call, and keys that one sweep works on at once.
AT_ONCE = 100
KEYS_AT_ONCE = 16

UNSENT = "sent_at IS NULL AND cancelled_at IS NULL"

_log = logs.get("publications")


@dataclass(frozen=True, kw_only=True, slots=True)
class Publish:
    """A message for a topic; `key` tells apart the publications of one thing to one topic and is kept for ever."""

    topic: str
    message: Message
    unique_id: str
    ordering_key: str = ""
    key: str = "1"

    @property
    def outbox_id(self) -> str:
        """The idempotency key of this publication."""
        return f"{self.topic}:{self.unique_id}:{self.key}"

    @property
    def line(self) -> str:
        """What the row waits in line with: its ordering key, or itself alone."""
        return self.ordering_key or self.outbox_id


class Publications:
    """Writes, publishes and re-publishes the rows of one service."""

    def __init__(self, service: str, db: Database, topics: Topics, clock: Clock) -> None:
        self._service = service
        self._db = db
        self._topics = topics
        self._clock = clock

    async def write(self, connection: Connection, publish: Publish, at: datetime) -> bool:
        """Write a publication in the caller's transaction; False if it was written before."""
        await _hold(connection, publish.topic, publish.line)
        status = await connection.execute(
            """
            INSERT INTO outbox
                (id, service, queue, message, unique_id, trace, created_at, minted_at, ordering_key, place)
            VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $7, $8, nextval('outbox_places'))
            ON CONFLICT (id) DO NOTHING
            """,
            *(publish.outbox_id, self._service, publish.topic, json.dumps(publish.message.wire()), publish.unique_id),
            *(str(logs.current("trace") or ""), at, publish.line),
        )
        return not str(status).endswith(" 0")

    async def send(self, topic: str, line: str) -> int:
        """Publish what waits in a line, in order; never raises: what fails stays for the sweeper."""
        sent = 0
        try:
            while rows := await self._claim(topic, line):
                ordering_key = line if self._topics.ordered(topic) else ""
                try:
                    await self._topics.publish(topic, [_published(row, ordering_key) for row in rows])
                except TopicError as error:
                    await self._let_go(rows, str(error))
                    _log.error("not published", what="publish_failed", queue=topic, status="queued", error=str(error))
                    return sent
                await self._mark(rows)
                sent += len(rows)
                for row in rows:
                    _log.info(
                        "published", what="published", queue=topic, unique_id=row["unique_id"], status="published"
                    )
        except Exception as error:  # the database is away: the key is let go of by time
            _log.error("not published", what="publish_failed", queue=topic, status="queued", error=error)
        return sent

    async def sweep(self) -> int:
        """Publish what no request holds any more, a key's rows in order; returns how many were published."""
        now = moment(self._clock)
        lines = await self._db.fetch(
            f"""
            SELECT queue, ordering_key FROM outbox
            WHERE service = $1 AND ordering_key IS NOT NULL AND {UNSENT} AND created_at < $2
            GROUP BY queue, ordering_key ORDER BY min(place) LIMIT $3
            """,
            *(self._service, now - IN_HAND, CLAIM),
        )
        few = asyncio.Semaphore(KEYS_AT_ONCE)

        async def one(topic: str, line: str) -> int:
            async with few:
                return await self.send(topic, line)

        return sum(await asyncio.gather(*(one(row["queue"], row["ordering_key"]) for row in lines)))

    async def _claim(self, topic: str, line: str) -> list[Any]:
        now = moment(self._clock)
        mine = f"service = $1 AND queue = $2 AND ordering_key = $3 AND {UNSENT}"
        async with self._db.transaction() as connection:
            await _hold(connection, topic, line)
            rows = await connection.fetch(
                f"""
                UPDATE outbox SET held_until = $5, minted_at = $4, attempts = attempts + 1
                WHERE id IN (SELECT id FROM outbox WHERE {mine} ORDER BY place LIMIT $6)
                  AND NOT EXISTS (SELECT 1 FROM outbox WHERE {mine} AND held_until > $4)
                RETURNING id, message, unique_id, place
                """,
                *(self._service, topic, line, now, now + HOLD, AT_ONCE),
            )
        return sorted(rows, key=lambda row: int(row["place"]))

    async def _mark(self, rows: list[Any]) -> None:
        await self._db.fetch(
            "UPDATE outbox SET sent_at = $2, held_until = NULL, last_error = NULL WHERE id = ANY($1)",
            *([row["id"] for row in rows], moment(self._clock)),
        )

    async def _let_go(self, rows: list[Any], error: str) -> None:
        await self._db.fetch(
            "UPDATE outbox SET held_until = NULL, last_error = $2 WHERE id = ANY($1)",
            *([row["id"] for row in rows], error[:500]),
        )


def _published(row: Any, ordering_key: str) -> Published:
    return Published(
        data=json.dumps(row["message"], separators=(",", ":")).encode(),
        ordering_key=ordering_key,
        attributes={"message": str(row["message"].get("message", "")), "unique_id": row["unique_id"]},
    )


async def _hold(connection: Connection, topic: str, line: str) -> None:
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1::text || ':' || $2::text, 1))", topic, line
    )
