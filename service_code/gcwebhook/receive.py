"""The two entries of a payment: the processor's signed POST, and the signed success_url redirect (DECISIONS 1).

Only the POST moves money. The redirect's token is what the buyer sees as the notice's order_id: it says what was sold,
not that it was paid, so that it is recorded and nothing more (docs/adr/redirect-records-only.md). A recorded payment
answers 200 `already_processed`, however old its notice is; an altered or stale one a 4xx with its reason. What the
processor signed and we cannot use is kept as a dead letter besides: there may be money behind it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from service_code.gcwebhook import notice as notices
from service_code.gcwebhook.payments import Arrival, Payments
from service_code.kit import deadletters, logs, order_token
from service_code.kit.binary import TokenError
from service_code.kit.call import Call
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

#: A notice older than this is stale, one from further ahead is altered or our clocks are wrong.
OLDEST = timedelta(hours=24)
NEWEST = timedelta(minutes=5)

_log = logs.get("receive")


class Receiver:
    """Turns requests into recorded payments."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._payments = Payments(kit)
        self._ipn_key = kit.settings.secret("PROCESSOR_IPN_KEY")
        self._token_key = kit.settings.secret("SUCCESS_URL_SIGNING_KEY")

    async def notice(self, incoming: Incoming, call: Call) -> Reply:
        """POST /: the processor says that a payment is finished."""
        try:
            fields = notices.verify(incoming.body, incoming.headers.get(notices.SIGNATURE_HEADER, ""), self._ipn_key)
            notice = notices.interpret(fields, self._token_key)
            if notice is None:
                return Reply(200, {"status": "ignored", "reason": "only finished payments matter here"})
            call.about(notice.order.unique_id)
            event_key = f"ipn:{notice.payment_id}"
            reason = await self._untimely(notice.at, call.now, notice.order.unique_id, event_key)
            if reason:
                raise notices.NoticeError(400, "STALE", reason, genuine=True)
        except notices.NoticeError as error:
            if error.genuine:
                await self._keep(incoming.body, call, error.code, error.reason)
            return Reply(error.status, {"error": error.code, "reason": error.reason})
        arrival = Arrival(
            event_key=event_key,
            source="ipn",
            payment_id=notice.payment_id,
            order=notice.order,
            paid=notice.paid,
            notice_at=notice.at,
            received_at=call.now,
            trace=str(logs.current("trace") or ""),
        )
        return await self._record(arrival, incoming.body, call)

    async def redirect(self, incoming: Incoming, call: Call) -> Reply:
        """GET /?token=: the buyer comes back from the processor with our own signed order."""
        try:
            order = order_token.read(incoming.query.get("token", ""), self._token_key)
        except TokenError as error:
            return Reply(400, {"error": error.code, "reason": error.why})
        if order.amount.units == 0:
            return Reply(422, {"error": "BAD_AMOUNT", "reason": "the order is for nothing"})
        call.about(order.unique_id)
        event_key = f"redirect:{order.unique_id}"
        if await self._payments.recorded(order.unique_id):
            return Reply(200, {"status": "already_processed", "unique_id": order.unique_id})
        reason = await self._untimely(order.issued_at, call.now, order.unique_id, event_key)
        if reason:
            return Reply(400, {"error": "STALE", "reason": reason})
        arrival = Arrival(
            event_key=event_key,
            source="redirect",
            payment_id=None,
            order=order,
            paid=order.amount,
            notice_at=order.issued_at,
            received_at=call.now,
            trace=str(logs.current("trace") or ""),
        )
        await self._payments.note(arrival)
        return Reply(200, {"status": "recorded", "unique_id": order.unique_id})

    async def _untimely(self, at: datetime, now: datetime, unique_id: str, event_key: str) -> str | None:
        """Say what is wrong with the time of an event; nothing, for one that is recorded already."""
        if now - OLDEST <= at <= now + NEWEST or await self._payments.known(unique_id, event_key):
            return None
        return "it is older than 24 hours" if at < now else "it is from the future"

    async def _record(self, arrival: Arrival, body: bytes, call: Call) -> Reply:
        recorded = await self._payments.record(arrival)
        unique_id = arrival.order.unique_id
        if recorded.new:
            # Committed: the caller gets its 2xx even if no task can be made now.
            await self._kit.outbox.send(recorded.rows)
            return Reply(200, {"status": "accepted", "unique_id": unique_id})
        if recorded.difference:
            reason = f"event {arrival.event_key} tells of {arrival.paid} for a payment recorded otherwise"
            await self._keep(body, call, recorded.difference, reason)
        if recorded.difference == "PAYMENT_ID_REUSED":
            reason = "this payment_id was used for another order"
            return Reply(409, {"error": recorded.difference, "reason": reason})
        return Reply(200, {"status": "already_processed", "unique_id": unique_id})

    async def _keep(self, body: bytes, call: Call, code: str, reason: str) -> None:
        letter = deadletters.Letter(
            service=self._kit.settings.service,
            endpoint="/",
            code=code,
            why=reason,
            body=body,
            unique_id=call.unique_id,
        )
        if await deadletters.store(await call.begin(), letter, call.now):
            _log.error("dead letter", what="dead_letter", status="dead", code=code, why=reason)
