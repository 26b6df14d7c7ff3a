"""The door for Alchemy: signature, the event's row, what it says of our transactions, and who is asked to look.

An event is noted once, by its id, for ever. What it says moves no money: where it could matter, gchostpay is asked to
look at the chain itself, so that a lying webhook changes nothing and news in any order end alike. What is known
already, or is final, is noted and nobody is asked. Transactions that are not ours are counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service_code.gchostpay4 import notice
from service_code.gchostpay4.notice import Event, Sighting
from service_code.kit import deadletters, logs
from service_code.kit.call import Call
from service_code.kit.db import Connection
from service_code.kit.news import ChainNews
from service_code.kit.outcomes import Send
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

NEWS_QUEUE = "gchostpay4-news-queue"

_log = logs.get("receive")


@dataclass(frozen=True, slots=True)
class Heard:
    """A sighting of one of our transactions."""

    sighting: Sighting
    unique_id: str
    generation: int
    asks: bool


class Receiver:
    """Turns webhooks into looks at the chain."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._keys = notice.keys_of(kit.settings.secret("ALCHEMY_WEBHOOK_SIGNING_KEY"))

    async def hear(self, incoming: Incoming, call: Call) -> Reply:
        """POST /."""
        try:
            notice.verify(incoming.body, incoming.headers.get(notice.SIGNATURE_HEADER, ""), self._keys)
            event = notice.read(incoming.body)
        except notice.NoticeError as error:
            if error.genuine:
                await self._keep(incoming.body, call, error)
            return Reply(error.status, {"error": error.code, "reason": error.reason})
        logs.about(event_id=event.event_id)
        if event.complaint:
            _log.error("Alchemy complains", what="webhook_complaint", status="ignored", why=event.complaint)
        if not event.sightings:
            return Reply(200, {"status": "ignored", "reason": "it tells of no transaction"})
        connection = await call.begin()
        known = "SELECT 1 FROM chain_events WHERE event_id = $1"
        if await connection.fetchval(known, event.event_id) is None and not notice.timely(event.created_at, call.now):
            return Reply(400, {"error": "STALE", "reason": "createdAt is not of the last 24 hours"})
        return await self._note(event, event.sightings, call)

    async def _note(self, event: Event, sightings: Sequence[Sighting], call: Call) -> Reply:
        connection, about = await call.begin(), {"event_id": event.event_id}
        heard = await _ours(connection, sightings)
        strangers = len({one.tx_hash for one in sightings} - {one.sighting.tx_hash for one in heard})
        if not await _record(connection, event, strangers, call.now):
            return Reply(200, {"status": "already_processed", **about})
        await _write(connection, event, heard, call.now)
        sends = [_send(event, one) for one in _by_payout(heard)]
        rows = await self._kit.outbox.write(connection, sends, call.now) if sends else []
        await call.commit()
        # Committed: Alchemy gets its 200 even if no task can be made now.
        await self._kit.outbox.send(rows)
        for one in heard:
            _log.info(
                "news of the chain", what="chain_news", status=one.sighting.said, unique_id=one.unique_id,
                tx_hash=one.sighting.tx_hash, block=one.sighting.block_number, asked=one.asks,
            )  # fmt: skip
        found = {"known": len(heard), "strangers": strangers, "asked": len(sends)}
        return Reply(200, {"status": "noted", **about, **found})

    async def _keep(self, body: bytes, call: Call, error: notice.NoticeError) -> None:
        # Its hash is enough: Alchemy's dashboard has the text, and the chain has what it was about.
        kept = {"notice_sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
        letter = deadletters.Letter(
            service=self._kit.settings.service,
            endpoint="/",
            code=error.code,
            why=error.reason,
            body=json.dumps(kept).encode(),
        )
        if await deadletters.store(await call.begin(), letter, call.now):
            _log.error("dead letter", what="dead_letter", status="dead", code=error.code, why=error.reason)


async def _ours(connection: Connection, sightings: Sequence[Sighting]) -> list[Heard]:
    """Find the payouts that these transactions are of, and what the payer knows of each transaction."""
    rows = await connection.fetch(
        """
        SELECT v.tx_hash, v.mined_block, v.mined_block_hash, n.state, n.final_at, h.unique_id, h.generation
        FROM tx_variants v JOIN wallet_nonces n USING (address, chain_id, nonce)
        JOIN split_payout_hostpay h ON h.wallet = v.address AND h.chain_id = v.chain_id AND h.nonce = v.nonce
        WHERE v.tx_hash = ANY($1)
        """,
        [one.tx_hash for one in sightings],
    )
    found = {row["tx_hash"]: row for row in rows}
    return [
        Heard(one, row["unique_id"], row["generation"], _asks(one, row))
        for one in sightings
        if (row := found.get(one.tx_hash)) is not None
    ]


def _asks(sighting: Sighting, row: Any) -> bool:
    """Whether this may be news to the payer."""
    if row["final_at"] is not None or row["state"] == "foreign":
        return False
    if row["state"] == "open":
        return True
    if sighting.said == "mined":
        return bool(row["mined_block"] is None or row["mined_block"] != sighting.block_number)
    # Dropped may be told of a variant that another one has replaced.
    return sighting.said == "removed" or row["mined_block"] is not None


def _by_payout(heard: Sequence[Heard]) -> list[Heard]:
    """One of each payout that asks for a look; one that may take something back goes before one that does not."""
    chosen: dict[tuple[str, int], Heard] = {}
    for one in sorted(heard, key=lambda one: one.sighting.said == "mined"):
        if one.asks:
            chosen.setdefault((one.unique_id, one.generation), one)
    return list(chosen.values())


def _send(event: Event, one: Heard) -> Send:
    message = ChainNews(unique_id=one.unique_id, generation=one.generation, said=one.sighting.said)
    return Send(queue=NEWS_QUEUE, message=message, unique_id=one.unique_id, key=f"{one.generation}:{event.event_id}")


async def _record(connection: Connection, event: Event, strangers: int, at: datetime) -> bool:
    """Write the event; False if it was written before."""
    done = await connection.execute(
        """
        INSERT INTO chain_events (event_id, webhook_id, kind, created_at, received_at, strangers)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (event_id) DO NOTHING
        """,
        *(event.event_id, event.webhook_id, event.kind, event.created_at, at, strangers),
    )
    return not done.endswith(" 0")


async def _write(connection: Connection, event: Event, heard: Sequence[Heard], at: datetime) -> None:
    if not heard:
        return
    await connection.execute(
        """
        INSERT INTO chain_news (event_id, tx_hash, said, unique_id, generation, block_number, asked, heard_at)
        SELECT $1, tx_hash, said, unique_id, generation, block_number, asked, $2
        FROM unnest($3::text[], $4::text[], $5::text[], $6::integer[], $7::bigint[], $8::boolean[])
            AS new (tx_hash, said, unique_id, generation, block_number, asked)
        ON CONFLICT DO NOTHING
        """,
        *(event.event_id, at),
        [one.sighting.tx_hash for one in heard],
        [one.sighting.said for one in heard],
        [one.unique_id for one in heard],
        [one.generation for one in heard],
        [one.sighting.block_number for one in heard],
        [one.asks for one in heard],
    )
