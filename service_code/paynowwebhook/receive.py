"""The door for PayNow: signature, replay window, the event's row, and one of two ways on: the route `paynow`, which
goes by the ordering key.

queue: the event and its publication are one transaction, then it is published; 200 even if that fails, since the
sweeper publishes what waits. sync: it is processed before the answer. While events of the same user are queued, sync
queues too, so that none overtakes them (DECISIONS 15). Both ways leave the same rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from service_code.kit import deadletters, logs
from service_code.kit.call import Call
from service_code.kit.paynow import book, notice
from service_code.kit.paynow.event import TOPIC, PayNowEvent
from service_code.kit.publications import Publish
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

PATH = "/api/paynow/webhook"
#: The route of PayNow's events.
ROUTE = "paynow"

_log = logs.get("receive")


class Receiver:
    """Turns webhooks into events."""

    def __init__(self, kit: Kit, catalogue: Mapping[str, int]) -> None:
        self._kit = kit
        self._catalogue = catalogue
        self._secret = kit.settings.secret("PAYNOW_WEBHOOK_SECRET")
        kit.routes.need(ROUTE, "sync/queue")

    async def webhook(self, incoming: Incoming, call: Call) -> Reply:
        """POST /api/paynow/webhook."""
        headers = incoming.headers
        try:
            signature, timestamp = headers.get(notice.SIGNATURE_HEADER, ""), headers.get(notice.TIMESTAMP_HEADER, "")
            at = notice.verify(incoming.body, signature, timestamp, self._secret)
            event_id, fields = notice.event_id(incoming.body)
            call.about(event_id)
            connection = await call.begin()
            if await connection.fetchval("SELECT 1 FROM paynow_events WHERE event_id = $1", event_id):
                return Reply(200, {"status": "already_processed", "event_id": event_id})
            if not notice.timely(at, call.now):
                return Reply(401, {"error": "STALE", "reason": "the timestamp is more than 5 minutes from now"})
            event = notice.interpret(fields)
        except notice.NoticeError as error:
            if error.genuine:
                await self._keep(incoming.body, call, error)
            return Reply(error.status, {"error": error.code, "reason": error.reason})
        if event is None:
            return Reply(200, {"status": "ignored", "reason": "this kind of event credits nothing"})
        return await self._take(event, call)

    async def _take(self, event: PayNowEvent, call: Call) -> Reply:
        connection, about = await call.begin(), {"event_id": event.unique_id}
        key = await book.ordering_key(connection, event)
        queued = await self._kit.routes.way(ROUTE, key) == "queue" or await connection.fetchval(
            "SELECT 1 FROM paynow_events WHERE ordering_key = $1 AND status = 'queued' LIMIT 1", key
        )
        if not await book.record(connection, event, key, "queue" if queued else "sync", call.now):
            return Reply(200, {"status": "already_processed", **about})
        if not queued:
            found = await book.process(connection, event, self._catalogue, call.now)
            if isinstance(found, book.Terminal):
                _log.error("dead event", what="dead_letter", status="dead", code=found.code, why=found.why)
                return Reply(200, {"status": "dead", "code": found.code, **about})
            return Reply(200, {"status": "processed", **about})
        publish = Publish(topic=TOPIC, message=event, unique_id=event.unique_id, ordering_key=key)
        await self._kit.publications.write(connection, publish, call.now)
        await call.commit()
        # Committed: PayNow gets its 200 even if nothing can be published now.
        await self._kit.publications.send(TOPIC, publish.line)
        return Reply(200, {"status": "queued", **about})

    async def _keep(self, body: bytes, call: Call, error: notice.NoticeError) -> None:
        # It may name a person, so its hash is kept, by which PayNow's own copy is known.
        kept = {"notice_sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
        letter = deadletters.Letter(
            service=self._kit.settings.service,
            endpoint=PATH,
            code=error.code,
            why=error.reason,
            body=json.dumps(kept).encode(),
            unique_id=call.unique_id,
        )
        if await deadletters.store(await call.begin(), letter, call.now):
            _log.error("dead letter", what="dead_letter", status="dead", code=error.code, why=error.reason)
