"""Messages that stand in the dead-letter topic alone, for operators: recorded, published anew, or put aside.

Whoever pulls a message (the command line does) hands it in here whole, and acknowledges it only after the answer. What
the worker has told of, or an event of ours stands for, is known here; what is not was put there by somebody else. That
may be published to the topic of the events again, as it was. The row of the action is committed after that: a crash
between the two publishes twice, and the worker is idempotent by what is in the message.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service_code.kit import actions, deadletters, logs, strict_json
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.db import Connection
from service_code.kit.deadletters import Letter
from service_code.kit.messages import UnreadableError
from service_code.kit.paynow.event import TOPIC, PayNowEvent
from service_code.kit.push import DeadLetter
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply
from service_code.kit.topics import Published, TopicError

#: Where such a message was found, as its letter says.
DOOR = "paynow-events-dlq"
CODE = "ONLY_IN_THE_DEAD_LETTER_TOPIC"
#: Messages of one question, and characters of an id, a key or an attribute (Pub/Sub takes 1024 bytes of a key).
MOST, LONGEST = 100, 1024
#: What Pub/Sub adds when it forwards a message.
FORWARDED = "CloudPubSubDeadLetterSource"
HANDLED = "SELECT after, id FROM operator_actions WHERE kind = 'message' AND subject = $1 ORDER BY id DESC LIMIT 1"

_log = logs.get("messages")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A message as it was pulled."""

    id: str
    data: bytes
    ordering_key: str
    attributes: Mapping[str, str]

    @property
    def content(self) -> dict[str, Any]:
        """What is in it, where that is a JSON object."""
        try:
            value = strict_json.loads(self.data)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Messages:
    """Answers operators."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def known(self, incoming: Incoming, _call: Call) -> Reply:
        """POST /dead-messages/known with {"messages": [...]}: what stands for each here, an event or a letter."""
        body = _whole(incoming.body)
        given = body.get("messages")
        if not isinstance(given, list) or len(given) > MOST:
            return Reply(400, {"error": "BAD_BODY", "reason": f"messages is a list of at most {MOST}"})
        async with self._kit.db.connection() as connection:
            known = {found.id: await _stands_for(connection, found) for found in map(_read, given)}
        return Reply(200, {"known": known})

    async def replay(self, incoming: Incoming, call: Call) -> Reply:
        """POST /dead-messages/replay with {"message", "by", "why"}: publish it to the events' topic, as it was."""
        found, said = _wish(incoming.body)
        connection = await call.begin()
        if (refused := await self._refused(connection, found)) is not None:
            return refused
        handled = await connection.fetchrow(HANDLED, found.id)
        if handled is not None:
            return Reply(200, {"status": f"already_{handled['after']}", "message_id": found.id})
        kept = {name: text for name, text in found.attributes.items() if not name.startswith(FORWARDED)}
        published = Published(data=found.data, ordering_key=found.ordering_key, attributes=kept)
        done = Action(
            verb="replay", kind="message", subject=found.id, before="dead letter", after="replayed", why=said.get("why")
        )
        await actions.note(incoming, call, done, by=said.get("by"))
        try:
            await self._kit.topics.publish(TOPIC, [published])
        except TopicError as error:
            return Reply(502, {"error": "NOT_PUBLISHED", "reason": str(error)})
        _log.info("a dead letter was published again", what="message_replayed", status="replayed")
        return Reply(200, {"status": "replayed", "message_id": found.id})

    async def archive(self, incoming: Incoming, call: Call) -> Reply:
        """POST /dead-messages/archive with {"message", "by", "why"}: a letter that is put aside from the beginning."""
        found, said = _wish(incoming.body)
        if not (why := said.get("why")):
            return Reply(400, {"error": "NO_REASON", "reason": "say why: {'why': ...}"})
        connection = await call.begin()
        if (refused := await self._refused(connection, found)) is not None:
            return refused
        number = await self._store(connection, found, call)
        handled = await connection.fetchrow(HANDLED, found.id)
        if handled is not None:
            return Reply(200, {"status": f"already_{handled['after']}", "message_id": found.id, "letter": number})
        after = "archived"
        done = Action(verb="archive", kind="message", subject=found.id, before="dead letter", after=after, why=why)
        await actions.note(incoming, call, done, by=said.get("by"))
        _log.info("a dead letter was put aside", what="message_archived", status=after)
        return Reply(200, {"status": after, "message_id": found.id, "letter": number})

    async def _refused(self, connection: Connection, found: Found) -> Reply | None:
        """Hold the message, and refuse what a row stands for: that is what is replayed or put aside."""
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('message:' || $1::text, 0))", found.id)
        about = await _stands_for(connection, found)
        if about is None:
            return None
        reason = f"{about['kind']} {about['id']} stands for it: replay or drop that"
        return Reply(409, {"error": "KNOWN", "reason": reason, **about})

    async def _store(self, connection: Connection, found: Found, call: Call) -> int:
        service = self._kit.settings.service
        said = {"orderingKey": found.ordering_key, "attributes": dict(found.attributes)}
        letter = Letter(
            service=service, endpoint=DOOR, code=CODE, why=f"message {found.id}: {json.dumps(said)}", body=found.data,
            task=found.id,
        )  # fmt: skip
        await deadletters.store(connection, letter, call.now)
        # The same body under another message's id is the same letter.
        return int(
            await connection.fetchval(
                "UPDATE dead_letters SET archived_at = coalesce(archived_at, $2) WHERE fingerprint = $1 RETURNING id",
                *(deadletters.fingerprint(service, DOOR, found.data), call.now),
            )
        )


async def _stands_for(connection: Connection, found: Found) -> dict[str, Any] | None:
    """The event or the letter that a message of the dead-letter topic is about, and whether that still waits for
    somebody; nothing for a stranger's message.
    """
    content = found.content
    subject = content.get("unique_id")
    ours = content.get("message") in (PayNowEvent.__name__, DeadLetter.__name__)
    if ours and isinstance(subject, str) and "\0" not in subject:
        sql = "SELECT status <> 'processed' AND archived_at IS NULL FROM paynow_events WHERE event_id = $1"
        waits = await connection.fetchval(sql, subject)
        if waits is not None:
            return {"kind": "event", "id": subject, "open": waits}
    if content.get("message") != DeadLetter.__name__:
        return None
    texts = [content.get(name) for name in ("service", "code", "body")]
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        return None
    row = await connection.fetchrow(
        "SELECT id, archived_at FROM dead_letters WHERE service = $1 AND code = $2 AND body = $3 ORDER BY id LIMIT 1",
        *texts,
    )
    return None if row is None else {"kind": "letter", "id": f"letter-{row['id']}", "open": row["archived_at"] is None}


def _wish(body: bytes) -> tuple[Found, Mapping[str, str]]:
    wish = _whole(body)
    if not set(wish) <= {"message", *actions.ALWAYS}:
        raise UnreadableError("BAD_BODY", "the body is a JSON object of message, by and why")
    said = {name: wish[name] for name in actions.ALWAYS if name in wish}
    return _read(wish.get("message")), actions.texts(json.dumps(said).encode())


def _whole(body: bytes) -> dict[str, Any]:
    """Read a body that holds messages of strangers, which may be longer than ours."""
    try:
        value = strict_json.loads(body or b"{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UnreadableError("BAD_BODY", "the body is a JSON object")
    return value


def _read(value: Any) -> Found:
    """Read a message of Pub/Sub's REST form, as it was pulled."""
    try:
        attributes = value.get("attributes") or {}
        texts = [value["messageId"], value.get("orderingKey", ""), *attributes, *attributes.values()]
        if not all(isinstance(one, str) and len(one) <= LONGEST and "\0" not in one for one in texts) or not texts[0]:
            raise ValueError
        data = base64.b64decode(value.get("data") or "", validate=True)
        return Found(id=texts[0], data=data, ordering_key=texts[1], attributes=attributes)
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error):
        raise UnreadableError("BAD_MESSAGE", "a message has messageId, data, attributes and orderingKey") from None
