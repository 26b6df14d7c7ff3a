"""The outbox: a message is a row of the transaction that causes it, and becomes a task within the same request.

Where the hop is a route (`routes`), a payment's first message over it may go to the receiver directly instead
(`direct`); the row says so. Whatever is sent again, after a failure or as a repeat, goes by the queue.

While a release of the receiver is tried, a row keeps the pins of its payment (`releases`), by which it goes to the
canary's tag or to the base URL, whenever it is sent.

While a receiver is down a breaker (`breaker`) may keep rows back: nothing is minted then, and `withheld_at` says so.

The caller gets its 2xx even if the task cannot be made; `resend`, by the scheduler and with SKIP LOCKED, is the safety
net. A task is named by a hash of its row's id, so that a second create is refused as existing and counts as sent. Rows
hold no token: `minters` turn such a message into its wire form at the moment of the create, and `minted_at`, written
before, is never older than the token (the dead are judged by it).

What was sent and came to nothing is sent once more as a row of its own (`again`), whose name follows from the old
one's.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from service_code.kit import logs, measure
from service_code.kit.batch import Batcher
from service_code.kit.breaker import Breakers
from service_code.kit.clock import Clock, moment
from service_code.kit.db import Connection, Database
from service_code.kit.direct import Direct, DirectError
from service_code.kit.messages import Message
from service_code.kit.outcomes import FIRST, Send
from service_code.kit.releases import Pins, Releases
from service_code.kit.routes import Routes
from service_code.kit.settings import DIRECT, QUEUED
from service_code.kit.tasks import TaskError, Tasks

#: Turns the stored message into the one that travels, given the row's minted_at.
Minter = Callable[[dict[str, Any], datetime], Message]
#: A row younger than this is still in the hands of the request that wrote it.
IN_HAND = timedelta(seconds=10)
#: Rows that one sweep claims.
CLAIM = 200
#: What the name of a row ends with that sends an earlier one's message once more.
_AGAIN = re.compile(r"(.*):again-([1-9][0-9]{0,8})", re.DOTALL)

_log = logs.get("outbox")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """An outbox row as far as sending it goes."""

    id: str
    queue: str
    message: dict[str, Any]
    unique_id: str
    trace: str
    due_at: datetime | None
    minted_at: datetime
    #: The receiver is called, and no task made.
    direct: bool = False
    #: Which revision of whom it meets, where a release is tried.
    pins: Pins | None = None


class Outbox:
    """Writes, sends and re-sends the messages of one service."""

    def __init__(
        self,
        service: str,
        db: Database,
        clock: Clock,
        minters: Mapping[str, Minter],
        *,
        tasks: Tasks,
        direct: Direct,
        routes: Routes,
        releases: Releases,
        breakers: Breakers,
    ) -> None:
        self._service = service
        self._db = db
        self._tasks = tasks
        self._direct = direct
        self._routes = routes
        self._releases = releases
        self._breakers = breakers
        self._clock = clock
        self._minters = minters
        self._marks: Batcher[str, None] = Batcher(self._mark)
        self._withheld: Batcher[str, None] = Batcher(self._withhold)

    def row(self, send: Send, at: datetime) -> Row:
        """Make the row of a send; the trace is the sender's own, or else that of the request at hand."""
        return Row(
            id=send.outbox_id,
            queue=send.queue,
            message=send.message.wire(),
            unique_id=send.unique_id,
            trace=send.trace or str(logs.current("trace") or ""),
            due_at=at + send.after if send.after else None,
            minted_at=at,
        )

    async def write(
        self, connection: Connection, sends: Sequence[Send], at: datetime, *, taken_in: bool = False
    ) -> list[Row]:
        """Write sends in the caller's transaction; returns those to be sent: new ones, and old ones never sent.

        `taken_in`: their payments came in at this service's public door.
        """
        rows = [await self._routed(self.row(send, at), send) for send in sends]
        asked = [(row.queue, row.unique_id) for row in rows]
        pinned = await self._releases.pin(connection, asked, at, taken_in=taken_in)
        rows = [replace(row, pins=pins or None) for row, pins in zip(rows, pinned, strict=True)]
        written = await connection.fetch(
            """
            INSERT INTO outbox
                (id, service, queue, message, unique_id, trace, due_at, created_at, minted_at, way, held_until, pins)
            SELECT id, $1, queue, message::jsonb, unique_id, trace, due_at, $2, $2, way, held_until, pins::jsonb
            FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[],
                $10::timestamptz[], $11::text[]) AS new (id, queue, message, unique_id, trace, due_at, way, held_until,
                pins)
            ON CONFLICT (id) DO UPDATE SET minted_at = EXCLUDED.minted_at, attempts = outbox.attempts + 1,
                withheld_at = NULL
                WHERE outbox.sent_at IS NULL AND outbox.cancelled_at IS NULL
                  AND (outbox.held_until IS NULL OR outbox.held_until < EXCLUDED.minted_at)
            RETURNING id, attempts, pins
            """,
            self._service,
            at,
            [row.id for row in rows],
            [row.queue for row in rows],
            [json.dumps(row.message) for row in rows],
            [row.unique_id for row in rows],
            [row.trace for row in rows],
            [row.due_at for row in rows],
            [DIRECT if row.direct else QUEUED for row in rows],
            [self._until(row) for row in rows],
            [json.dumps(row.pins) if row.pins else None for row in rows],
        )
        found = {record["id"]: record for record in written}
        return [
            replace(row, direct=row.direct and found[row.id]["attempts"] == 1, pins=found[row.id]["pins"])
            for row in rows
            if row.id in found
        ]

    async def again(self, connection: Connection, outbox_id: str, at: datetime) -> Row | None:
        """Write a sent row's message once more, in the caller's transaction; None where that was done before.

        It goes by the queue, at once, with the pins of the first and a token of its own.
        """
        record = await connection.fetchrow(
            """
            INSERT INTO outbox (id, service, queue, message, unique_id, trace, created_at, minted_at, pins)
            SELECT $3, service, queue, message, unique_id, trace, $4, $4, pins FROM outbox
            WHERE id = $2 AND service = $1 AND sent_at IS NOT NULL AND ordering_key IS NULL
            ON CONFLICT (id) DO NOTHING RETURNING id, queue, message, unique_id, trace, due_at, minted_at, pins
            """,
            *(self._service, outbox_id, again_id(outbox_id), at),
        )
        return as_row(record) if record else None

    async def _routed(self, row: Row, send: Send) -> Row:
        """Choose the way of a payment's first message for its queue."""
        first = send.key == FIRST and send.after is None
        return replace(row, direct=True) if first and await self._routes.is_direct(row.queue, row.unique_id) else row

    def _until(self, row: Row) -> datetime | None:
        """How long a row is in the hands of the request that calls the receiver."""
        return row.minted_at + timedelta(seconds=self._direct.patience(row.queue)) + IN_HAND if row.direct else None

    async def send(self, rows: Sequence[Row]) -> int:
        """Send committed rows on their way; never raises: what fails stays for the sweeper."""
        if rows:
            measure.effected()  # where many requests' rows were written together, none of them has seen the commit
        return sum(await asyncio.gather(*(self._send(row) for row in rows)))

    async def _send(self, row: Row) -> bool:
        try:
            if not await self._breakers.let_through(row.queue):
                await self._withheld.submit(row.id)
                what = "kept back: the receiver is down"
                _log.info(what, queue=row.queue, unique_id=row.unique_id, status="withheld")
                return False
            minter = self._minters.get(str(row.message.get("message")))
            body = minter(row.message, row.minted_at).encode() if minter else json.dumps(row.message).encode()
            canary, pins = await self._side(row)
            if row.direct:
                await self._direct.deliver(row.queue, row.id, body, trace=row.trace, canary=canary, pins=pins)
                said = "delivered directly"
            else:
                made = await self._tasks.create(
                    row.queue, row.id, body, at=row.minted_at, trace=row.trace, due=row.due_at, canary=canary, pins=pins
                )
                said = "task made" if made else "task was made before"
        except (TaskError, DirectError) as error:
            _log.error(
                "not handled directly; the sweeper sends it" if row.direct else "the task could not be made",
                what="direct_failed" if row.direct else "enqueue_failed",
                queue=row.queue,
                unique_id=row.unique_id,
                error=str(error),
            )
            await self._note(row, str(error))
            return False
        except Exception as error:
            _log.error(
                "the task could not be made",
                what="enqueue_failed",
                queue=row.queue,
                unique_id=row.unique_id,
                error=error,
            )
            return False
        _log.info(said, queue=row.queue, unique_id=row.unique_id, status="sent")
        try:
            await self._marks.submit(row.id)
        except Exception as error:  # a lost mark costs one refused create in the next sweep
            _log.warning("the sent mark was lost", queue=row.queue, unique_id=row.unique_id, error=error)
        return True

    async def _side(self, row: Row) -> tuple[bool, str]:
        """Whether a row goes to the receiver's canary, and the header of the pins that are handed on."""
        if not row.pins:
            return False, ""
        return await self._releases.to_canary(row.queue, row.pins), self._releases.handed_on(row.queue, row.pins)

    async def _mark(self, ids: list[str]) -> list[None]:
        # Losing a mark in a crash only costs a create that is refused as existing: no need to wait for the disk.
        await self._db.fetch(
            """
            UPDATE outbox SET sent_at = $2, last_error = NULL
            FROM (SELECT set_config('synchronous_commit', 'off', true)) AS hurry
            WHERE id = ANY($1)
            """,
            ids,
            moment(self._clock),
        )
        return [None] * len(ids)

    async def _withhold(self, ids: list[str]) -> list[None]:
        sql = "UPDATE outbox SET withheld_at = $2, held_until = NULL WHERE id = ANY($1) AND sent_at IS NULL"
        await self._db.fetch(sql, ids, moment(self._clock))
        return [None] * len(ids)

    async def _note(self, row: Row, error: str) -> None:
        try:
            await self._db.fetch(
                "UPDATE outbox SET last_error = $2, held_until = NULL WHERE id = $1", row.id, error[:500]
            )
        except Exception as failure:
            _log.warning("the enqueue error was not noted", unique_id=row.unique_id, error=failure)

    async def resend(
        self, *, queue: str | None = None, created_after: datetime | None = None, dated: Sequence[str] = ()
    ) -> int:
        """Claim rows that no request holds any more and make their tasks; returns how many were made.

        `created_after` leaves older rows unsent: of the queues `dated`, or of all where none is named.
        """
        now = moment(self._clock)
        rows = await self._db.fetch(
            """
            UPDATE outbox SET attempts = attempts + 1, minted_at = $2, withheld_at = NULL
            WHERE id IN (
                SELECT id FROM outbox
                WHERE service = $1 AND sent_at IS NULL AND cancelled_at IS NULL AND minted_at < $3
                  AND ordering_key IS NULL AND (held_until IS NULL OR held_until < $2)
                  AND ($4::text IS NULL OR queue = $4) AND ($5::timestamptz IS NULL OR created_at > $5
                       OR (cardinality($7::text[]) > 0 AND queue <> ALL ($7)))
                ORDER BY minted_at LIMIT $6 FOR UPDATE SKIP LOCKED
            )
            RETURNING id, queue, message, unique_id, trace, due_at, minted_at, pins
            """,
            *(self._service, now, now - IN_HAND, queue, created_after, CLAIM, list(dated)),
        )
        return await self.send([as_row(row) for row in rows])


def as_row(record: asyncpg.Record) -> Row:
    """Read an outbox row of the database."""
    return Row(**{name: record[name] for name in Row.__dataclass_fields__ if name != "direct"})


def again_id(outbox_id: str) -> str:
    """Name the row that sends a row's message once more: of all who ask for it, one writes it."""
    found = _AGAIN.fullmatch(outbox_id)
    return f"{first_id(outbox_id)}:again-{int(found[2]) + 1 if found else 1}"


def first_id(outbox_id: str) -> str:
    """Name the row whose message this one sends, or sends once more."""
    found = _AGAIN.fullmatch(outbox_id)
    return found[1] if found else outbox_id
