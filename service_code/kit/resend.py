"""The operators' door that sends a payment's message once more: POST /payments/{unique_id}/resend with {"task"}.

For a payment that stands still: its task was acknowledged without effect, given up by its queue, or purged. `task`
names the message by the task that carried it last, as `/reconcile/payments` says it. A new row of the outbox sends the
same message with a fresh token, written together with who asked for it; what receives it takes a message once, so one
that was on its way all the same changes nothing. Of several who ask for the same message one sends it.

What has ended or gone on is refused, and what the sweeper still has to send. Whether the task waits in its queue no
service may see: whoever asks looks first (`ops.resend`). Source: docs/adr/resend.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from service_code.kit import actions, logs
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.db import Connection
from service_code.kit.outbox import Row, again_id, first_id
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Operator, Reply
from service_code.kit.stations import is_further
from service_code.kit.tasks import task_id

PATH = "/payments/{unique_id}/resend"
#: What `payment_ended` says, for people.
ENDED = {
    "dead": "it is dead: a replay pays it after all",
    "signed": "a payout of it is signed: the chain decides",
    "closed": "its payout is closed",
    "granted": "the buyer was let in",
    "given_up": "the grant was given up: its dead letter asks once more, or a person lets the buyer in",
}

#: Messages beside a payment's way to its payout.
ASIDE = "channel-access-queue"

#: A payment's messages of all services.
MESSAGES = """
    SELECT id, service, queue, unique_id, message, created_at, sent_at, cancelled_at, withheld_at,
        payment_ended(unique_id, queue) AS ended
    FROM outbox WHERE unique_id = $1 AND ordering_key IS NULL
    """

_log = logs.get("resend")

#: Writes down, in the transaction of what is sent, that this row is sent for whoever asked.
Note = Callable[[Connection, str], Awaitable[None]]
#: Sends messages of a queue anew that the same message would not help: given the old row, the new one, or an answer
#: where nothing was sent.
Instead = Callable[[Any, Note, Call], Awaitable[Reply | Row]]


class Resending:
    """Answers operators."""

    def __init__(self, kit: Kit, instead: Mapping[str, Instead] | None = None) -> None:
        self._kit = kit
        self._instead = instead or {}

    @property
    def door(self) -> Operator:
        """The door, for a service's list."""
        return Operator("POST", PATH, self.resend)

    async def resend(self, incoming: Incoming, call: Call) -> Reply:
        """POST /payments/{unique_id}/resend."""
        unique_id, wish = incoming.path["unique_id"], actions.texts(incoming.body, ("task",))
        call.about(unique_id)
        rows = await self._kit.db.fetch(MESSAGES, unique_id)
        own = [row for row in rows if row["service"] == self._kit.settings.service]
        old = next((row for row in own if task_id(row["id"]) == wish.get("task")), None)
        if old is None:
            return Reply(404, {"error": "NO_SUCH_MESSAGE", "reason": "no message of this payment had this task here"})
        if (refused := _refused(old, rows) or self._too_late(old, rows, call)) is not None:
            return refused

        async def note(connection: Connection, new: str) -> None:
            done = Action(
                verb="resend", kind="payment", subject=unique_id, before=_shown(old["queue"], old["id"]),
                after=_shown(old["queue"], new), why=wish.get("why"),
            )  # fmt: skip
            await actions.note(incoming, call, done, by=wish.get("by"), connection=connection)

        instead = self._instead.get(old["queue"])
        sent = await (instead(old, note, call) if instead else self._copy(old, note, call))
        if isinstance(sent, Reply):
            return sent
        return await self._answer(sent)

    def _too_late(self, old: Any, rows: Iterable[Any], call: Call) -> Reply | None:
        """Answer for a message whose tokens have had their window: copies would put a death off for ever."""
        edge = self._kit.settings.queues.get(old["queue"])
        window = edge.token_window if edge is not None and old["queue"] not in self._instead else None
        began = min(row["created_at"] for row in rows if row["id"] == first_id(old["id"]))
        if window is None or call.now < began + window:
            return None
        why = f"it was first sent more than {window} ago: once its last token is over it is dead, and can be replayed"
        return Reply(409, {"error": "TOO_LATE", "reason": why})

    async def _copy(self, old: Any, note: Note, call: Call) -> Reply | Row:
        connection = await call.begin()
        row = await self._kit.outbox.again(connection, old["id"], call.now)
        if row is None:
            return already(old["queue"], again_id(old["id"]))
        await note(connection, row.id)
        await call.commit()
        await self._kit.outbox.send([row])
        return row

    async def _answer(self, row: Row) -> Reply:
        """Say what became of a row that was written: what could not be sent is the sweeper's."""
        found = await self._kit.db.row("SELECT sent_at, withheld_at FROM outbox WHERE id = $1", row.id)
        waits = found is not None and found["sent_at"] is None
        status = "resent" if not waits else "kept_back" if found and found["withheld_at"] else "written"
        _log.warning("sent once more", what="message_resent", status=status, queue=row.queue)
        return Reply(200, {"status": status, "queue": row.queue, "task": task_id(row.id)})


def _shown(queue: str, outbox_id: str) -> str:
    return f"{queue} {task_id(outbox_id)}"


def already(queue: str, outbox_id: str) -> Reply:
    """Answer whoever comes second: this is the message that was sent in place of the one that he knows."""
    return Reply(200, {"status": "already_resent", "queue": queue, "task": task_id(outbox_id)})


def _refused(old: Any, rows: Iterable[Any]) -> Reply | None:
    """Answer for a message that is not to be sent once more; None for one that may."""
    if old["ended"] is not None:
        return Reply(409, {"error": str(old["ended"]).upper(), "reason": ENDED[old["ended"]]})
    if any(_is_later(row, old) for row in rows):
        return Reply(409, {"error": "WENT_ON", "reason": "a later message of this payment was sent"})
    if old["sent_at"] is not None:
        return None
    if old["cancelled_at"] is not None:
        return Reply(409, {"error": "CANCELLED", "reason": "another message was sent in its place"})
    if old["withheld_at"] is not None:
        return Reply(409, {"error": "KEPT_BACK", "reason": "its receiver is down: it goes on by itself after that"})
    return Reply(409, {"error": "NOT_SENT", "reason": "it was not queued yet: the sweeper does it each minute"})


def _is_later(row: Any, old: Any) -> bool:
    """Whether a message follows another on the same way; the same one, sent once more, does not."""
    same_way = (row["queue"] == ASIDE) == (old["queue"] == ASIDE)
    return same_way and is_further(row, old) and first_id(row["id"]) != first_id(old["id"])
