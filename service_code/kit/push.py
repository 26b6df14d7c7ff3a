"""Doors that a topic is pushed to: the envelope around a message, and what becomes of one that can never be handled.

Next, Done and Dead answer 200, which acknowledges; Retry and errors 500, after which Pub/Sub delivers again and, when
its deliveries are used up, gives the message to the dead-letter topic. A Dead is recorded and published there by us, in
the transaction that records it. Source of the envelope: https://cloud.google.com/pubsub/docs/push (wrapped form).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import JSONResponse

from service_code.kit import deadletters, logs
from service_code.kit.call import Call
from service_code.kit.messages import Message, UnreadableError, parse_json
from service_code.kit.outcomes import Dead
from service_code.kit.publications import Publish
from service_code.kit.runtime import Kit
from service_code.kit.service import Handler, Subscription
from service_code.kit.worker import Worker

#: How a message came that a topic pushed.
PUSHED = "push"
#: Deliveries are counted up to here.
MOST_DELIVERIES = 1_000


class DeadLetter(Message):
    """What is published to a dead-letter topic: the message, tokens struck out, and why nobody can handle it."""

    unique_id: str | None
    service: str
    code: str
    why: str
    body: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What the envelope says."""

    data: bytes
    message_id: str
    ordering_key: str
    attempt: int
    subscription: str
    published_at: float | None


def read(body: bytes) -> Delivery:
    """Open the envelope, or refuse what is none."""
    envelope = parse_json(body)
    message = envelope.get("message") if isinstance(envelope, dict) else None
    if not isinstance(message, dict):
        raise UnreadableError("NOT_AN_ENVELOPE", "the body is not what Pub/Sub pushes")
    try:
        data = base64.b64decode(str(message.get("data") or ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableError("NOT_AN_ENVELOPE", "the message's data is not base64") from error
    attempt = envelope.get("deliveryAttempt")
    return Delivery(
        data=data,
        message_id=str(message.get("messageId") or ""),
        ordering_key=str(message.get("orderingKey") or ""),
        attempt=attempt if type(attempt) is int and 1 <= attempt <= MOST_DELIVERIES else 1,
        subscription=str(envelope.get("subscription") or "").rpartition("/")[2],
        published_at=_seconds(message.get("publishTime")),
    )


def _seconds(text: object) -> float | None:
    """Read a time of Pub/Sub's; what is none says nothing."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


class PushWorker(Worker):
    """Runs one handler for each push at its door."""

    def __init__(self, kit: Kit, subscription: Subscription) -> None:
        super().__init__(kit, Handler(subscription.path, subscription.message, subscription.run))
        self._dead_letters = subscription.dead_letters

    async def answer(self, _request: Request, body: bytes, /) -> JSONResponse:
        """Handle one delivery whose caller has been verified."""
        try:
            delivery = read(body)
        except UnreadableError as error:
            return await self.handle(body, Call(self._kit), way=PUSHED, refused=Dead(error.code, error.why))
        call = Call(self._kit, attempt=delivery.attempt, task=delivery.message_id or None)
        at = delivery.published_at
        age = None if at is None else max(0.0, round(self._kit.clock.seconds() - at, 3))
        logs.about(attempt_number=call.attempt, task=call.task, queue=delivery.subscription, task_age=age)
        return await self.handle(delivery.data, call, way=PUSHED)

    async def _bury(self, outcome: Dead, body: bytes, call: Call) -> None:
        letter = DeadLetter(
            unique_id=call.unique_id,
            service=self._kit.settings.service,
            code=outcome.code,
            why=outcome.why,
            body=deadletters.strike(body),
        )
        publish = Publish(
            topic=self._dead_letters,
            message=letter,
            unique_id=call.unique_id or "unreadable",
            key=deadletters.fingerprint(self._kit.settings.service, self._handler.path, body),
        )
        await self._kit.publications.write(await call.begin(), publish, call.now)
        await super()._bury(outcome, body, call)
        await self._kit.publications.send(publish.topic, publish.line)
