"""The doors for clients: POST /register by an invitation, and GET /registrations?id= for what became of it.

The route `registration` says who is registered before the answer (sync, 201) and who after it (queue, 202): both ways
leave the same rows. The invitation is verified before anything else is read, so that a stranger costs no query.
"""

from __future__ import annotations

from datetime import UTC, datetime

from service_code.gcregister import clients, invitation
from service_code.gcregister.form import FormError, RegisterClient, client_of, fields_of
from service_code.kit.binary import TokenError
from service_code.kit.call import Call
from service_code.kit.clock import to_millis
from service_code.kit.outcomes import Dead, Done, Outcome, Send
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

QUEUE = "registration-processing-queue"
#: The route of registrations; it goes by the channel.
ROUTE = "registration"
SUBMITTED = "Registration submitted, processing..."
#: How each ending but a refusal is answered.
STATUS = {"registered": 201, "updated": 200, "already_registered": 200}


class Registering:
    """Takes registrations, and carries them out."""

    def __init__(self, kit: Kit) -> None:
        kit.routes.need(ROUTE, "sync/queue")
        self._kit = kit
        self._key = kit.settings.secret("REGISTRATION_KEY")

    async def register(self, incoming: Incoming, call: Call) -> Reply:
        """POST /register."""
        try:
            fields = fields_of(incoming.body, incoming.headers.get("content-type", ""))
            invited = invitation.read(fields.get("invitation", ""), self._key)
            if call.now > invited.expires_at:
                return Reply(401, {"error": "INVITATION_EXPIRED", "reason": "ask the operator for a new invitation"})
            wish = client_of(fields, to_millis(invited.issued_at), invited.key)
        except TokenError as error:
            return Reply(401, {"error": error.code, "reason": f"{error.why}: an operator issues invitations"})
        except FormError as error:
            return Reply(422, {"error": "INVALID", "reason": str(error), "problems": list(error.problems)})
        if wish.channel_id != invited.channel_id:
            return Reply(403, {"error": "OTHER_CHANNEL", "reason": "the invitation is for another channel"})
        call.about(wish.unique_id)
        way = await self._kit.routes.way(ROUTE, str(wish.channel_id))
        return await (self._later if way == "queue" else self._now)(wish, call)

    async def status(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /registrations?id=: only who was told the id knows it."""
        sql = "SELECT status, code, why, received_at, closed_at FROM registrations WHERE registration_id = $1"
        registration_id = incoming.query.get("id", "")
        printable = registration_id.isascii() and registration_id.isalnum()
        row = await self._kit.db.row(sql, registration_id) if printable else None
        if row is None:
            return Reply(404, {"error": "NOT_FOUND", "reason": "there is no registration of this id"})
        times = {name: stamp(row[name]) for name in ("received_at", "closed_at")}
        said = {name: row[name] for name in ("status", "code", "why")}
        return Reply(200, {"registration_id": registration_id, **said, **times})

    async def process(self, wish: RegisterClient, call: Call) -> Outcome:
        """POST /process_registration, behind the queue."""
        ending = await clients.settle(await call.begin(), wish, call.now)
        if ending is None:
            return Dead("UNKNOWN_REGISTRATION", "nobody submitted this registration here")
        return Done(ending.status)

    async def _now(self, wish: RegisterClient, call: Call) -> Reply:
        connection = await call.begin()
        await clients.submit(connection, wish, "sync", call.now)
        ending = await clients.settle(connection, wish, call.now)
        assert ending is not None, "it was submitted in this transaction"
        about = {"registration_id": wish.unique_id}
        if ending.refused:
            return Reply(409, {"error": clients.REFUSED, "reason": clients.WHY, **about})
        return Reply(STATUS[ending.status], {"status": ending.status, **about})

    async def _later(self, wish: RegisterClient, call: Call) -> Reply:
        connection = await call.begin()
        known = await clients.submit(connection, wish, "queue", call.now)
        if known not in (None, "submitted"):
            return await self._now(wish, call)
        send = Send(queue=QUEUE, message=wish, unique_id=wish.unique_id)
        rows = await self._kit.outbox.write(connection, [send], call.now, taken_in=True)
        await call.commit()
        # Committed: the client gets his 202 even if no task can be made now.
        await self._kit.outbox.send(rows)
        where = f"/registrations?id={wish.unique_id}"
        said = {"status": "submitted", "message": SUBMITTED, "status_url": where}
        return Reply(202, {**said, "registration_id": wish.unique_id})


def stamp(at: datetime | None) -> str | None:
    """Return a time as people and programs read it."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
