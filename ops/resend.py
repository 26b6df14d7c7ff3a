"""Sending the messages of payments that stand still once more: which may be sent, what is said of the rest, the work.

gcsplit says which payments stand where and by which message (`/reconcile/payments`), Cloud Tasks whether that message's
task is there, and the message's own service sends it once more (`/payments/{unique_id}/resend`). A payment is read
again after its task was found gone: a handler writes what follows before its task is taken out, so what stands as
before then has no message on its way. What is done is done once, whoever else does it; where nobody answers the work
ends, and the same command goes on with it. Source: docs/adr/resend.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from ops import behind, older, rest
from ops.errors import CallFailed, OpsError
from ops.place import Place
from ops.queues import pace
from ops.reconcile import helps
from ops.reconcile.payments import BATCHES, is_refused, may_be_resent
from ops.reconcile.tasks import waiting

#: Who says where payments stand, and who shows one whole.
KEEPER, VIEW = "gcsplit", "gcwebhook"
#: What a door answers that has sent something, or whose service has before.
SENT = ("resent", "written", "kept_back")
#: What is said of one that somebody else was quicker with: its sender's door, or what was read of it meanwhile.
ALREADY = "already_resent"
#: A door's codes that mean that the payment went on meanwhile.
ON_ITS_WAY = ("WENT_ON", "SIGNED", "CLOSED", "GRANTED")

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one."""

    unique_id: str
    stage: str
    status: str
    reason: str = ""
    queue: str = ""
    task: str = ""
    #: Since when its payment stands.
    since: str = ""
    #: What refused it answered; nothing where it was done or need not be.
    error: int | None = None

    @property
    def refused(self) -> bool:
        """Whether it still stands, and nothing of it is on its way."""
        return self.error is not None

    def as_json(self) -> dict[str, Any]:
        """As --json shows it."""
        said = {"unique_id": self.unique_id, "stage": self.stage, "status": self.status}
        more = {"reason": self.reason, "queue": self.queue, "task": self.task}
        said |= {name: text for name, text in more.items() if text}
        return said | ({"error": self.error} if self.refused else {})


class Resend:
    """The work of one command."""

    def __init__(self, here: Place) -> None:
        self._here = here
        self.location = here.parent
        self.helps = helps.of(here)
        self.results: list[Result] = []
        #: How many of each stage are younger than what was listed, and how old each stage must be.
        self.in_flight: dict[str, int] = {}
        self.windows: dict[str, float] = {}
        self._now = ""
        self._paused: dict[str, bool] = {}
        #: Why the work ended early.
        self.ended: OpsError | None = None

    def tasks(self, path: str) -> Any:
        """GET a resource of Cloud Tasks."""
        return self._here.call("tasks", "GET", path)

    def is_paused(self, queue: str) -> bool:
        """Whether a queue dispatches nothing; one that cannot be read is not said to."""
        if queue not in self._paused:
            try:
                state = self.tasks(f"/v2/{self.location}/queues/{queue}").get("state")
            except OpsError:
                state = None
            self._paused[queue] = state == "PAUSED"
        return self._paused[queue]

    def listed(self, older_than: float | None, stage: str) -> Iterator[Row]:
        """What stands for longer, or else for longer than its stage usually takes, and a message moves on."""
        query = f"stage={stage}" + (f"&older_than={older_than:.0f}" if older_than is not None else "")
        yield from (row for row in self._rows(query) if may_be_resent(row))

    def of(self, unique_id: str) -> list[Row]:
        """Where one payment stands: once, but twice where its buyer waits for access, too."""
        # A release before this one knows no unique_id here, and says what comes after it.
        rows = [*self._rows(f"older_than=0&unique_id={quote(unique_id, safe='')}", after=unique_id, pages=1)]
        # And where the batch stands that pays it: of others none is told.
        mine = [row for row in rows if row["unique_id"] == unique_id or row.get("payments")]
        return [row for row in mine if row["stage"] != "unsent"] or mine

    def each(self, rows: Sequence[Row], why: str, *, rate: float, told: Callable[[Result], None]) -> None:
        """Send each once more."""
        for number, row in enumerate(rows):
            if number:
                pace.pause(1 / rate)
            try:
                result = self._one(row, why)
            except OpsError as error:
                self.ended = error
                return
            self.results.append(result)
            told(result)

    def judge(self, row: Row) -> Result | None:
        """Why one is not sent; nothing where it would be."""
        if (reason := self._unfit(row)) is not None:
            return self._said(row, "refused", reason, error=409)
        last = row["last"]
        if last["direct"] or (found := waiting(self, last)) is None:
            return None
        more = {"queue": found.queue, "task": found.task}
        if self.is_paused(found.queue):
            why = f"its task waits in {found.queue}, which is PAUSED: {self.helps.resume(found.queue)}"
            return self._said(row, "waits", why, **more)
        after = f", next {found.next[:19]}" if found.next[:19] > self._now[:19] else ""
        run = self.helps.run(found.queue, found.task)
        return self._said(row, "waits", f"its task waits in {found.queue}: {found.said}{after}; now: {run}", **more)

    def unknown(self, unique_id: str) -> Result:
        """What is said of an id that stands nowhere."""
        if (resting := self._rests(unique_id)) is not None:
            return Result(unique_id=unique_id, stage="", status="refused", reason=resting, error=409)
        why = f"it stands nowhere: it is at its end, or no payment of this id came in; {self.helps.logs(unique_id)}"
        return Result(unique_id=unique_id, stage="", status="refused", reason=why, error=404)

    def _rests(self, unique_id: str) -> str | None:
        """Why a payment that stands nowhere is not at its end, and what helps."""
        if (seen := self._look(unique_id)) is None:
            return None
        access = seen.get("access") or {}
        if access.get("refused_at") and not access.get("granted_at"):
            return f"its buyer was not let in, and nobody asks again by himself: {self.helps.letters()} has its letter"
        if seen.get("status") == "accumulated":
            rows = partial(self._rows, pages=1)
            return behind.why(self._here, self.helps, seen, rows=rows, look=self._look, refused=self._asked_again)
        return None

    def _look(self, unique_id: str) -> Row | None:
        """A payment whole."""
        try:
            return dict(self._here.doors.call("GET", VIEW, f"/payments/{quote(unique_id, safe='')}"))
        except CallFailed:
            return None

    def _one(self, row: Row, why: str) -> Result:
        if (judged := self.judge(row)) is not None:
            return judged
        last, unique_id = row["last"], row["unique_id"]
        if (meanwhile := self._meanwhile(row)) is not None:
            return meanwhile
        body = {"task": last["task"], "by": self._here.who[:200], **({"why": why} if why else {})}
        path = f"/payments/{quote(unique_id, safe='')}/resend"
        try:
            answer = self._here.doors.call("POST", last["service"], path, body)
        except CallFailed as error:
            return self._refusal(row, error)
        reason = {
            "written": "the task could not be made: the schedule of its service does it within a minute",
            "kept_back": "the receiver is down: it goes on by itself after that",
        }.get(answer["status"], "")
        return self._said(row, answer["status"], reason, queue=answer["queue"], task=answer["task"])

    def _meanwhile(self, row: Row) -> Result | None:
        """What became of it since it was read; nothing where it stands as before."""
        again = [one for one in self.of(row["unique_id"]) if one["stage"] == row["stage"]]
        now = (again[0]["last"] or {}) if again else {}
        if again and now.get("task") == row["last"]["task"]:
            return None
        if now.get("queue") == row["last"]["queue"]:
            why = f"sent once more meanwhile, by somebody else or by itself: {now['queue']}"
            return self._said(row, ALREADY, why, queue=now["queue"], task=now["task"])
        return self._said(row, "went_on", "it went on meanwhile" + (f", to {now['queue']}" if now else ""))

    def _refusal(self, row: Row, error: CallFailed) -> Result:
        code, service = older.code(error.body), row["last"]["service"]
        if code == "WENT_ON" and (meanwhile := self._meanwhile(row)) is not None:
            return meanwhile
        if code in ON_ITS_WAY:
            return self._said(row, "went_on", rest.reason(error.body))
        if code == "DEAD":
            dead = [one for one in self.of(row["unique_id"]) if one["stage"] == "dead"]
            return self._said(row, "refused", self._dead((dead or [row])[0]), error=error.status)
        if error.status == 403:
            why = (
                f"{service} does not let the operator's account in (403): it has no roles/run.invoker there, which "
                "`pulumi up` with this release gives, or had it given minutes ago and it has not spread: ask again then"
            )
            return self._said(row, "refused", why, error=error.status)
        if (missing := older.no_door(service, error)) is not None:
            return self._said(row, "refused", missing, error=error.status)
        return self._said(row, "refused", rest.reason(error.body), error=error.status)

    def _unfit(self, row: Row) -> str | None:
        """Why no message is to be sent for it, as it was read, and what helps instead."""
        stage, last = row["stage"], row["last"]
        signed = f"a payout of it is signed: the chain decides; {self.helps.wallet()}"
        if is_refused(row):
            return self._asked_again(row)
        said = {
            "dead": self._dead(row),
            **{"signed": signed, "mined": signed, "batch": BATCHES, "batch_due": BATCHES},
        }
        if stage in said:
            return said[stage]
        if last is not None and last["sent_at"] is None:
            return _unsent(last)
        if not may_be_resent(row):
            return f"no message moves it on: it waits for others, or was refused ({row['code'] or stage})"
        return "no message of it is in the outbox" if last is None else None

    def _dead(self, row: Row) -> str:
        """What helps with a dead one: one that somebody looks into is not replayed before it is marked dead again."""
        replay = self.helps.replay(row["unique_id"])
        if row.get("death") != "investigating":
            return f"it is dead: {replay}"
        note = f" ({row['note']})" if row.get("note") else ""
        return f"it is dead, and somebody looks into it{note}: {self.helps.mark(row['unique_id'])}, and then {replay}"

    def _asked_again(self, row: Row) -> str:
        """What helps with what the exchange has refused."""
        look = row.get("retryable") is False
        helps = self.helps.show(row["unique_id"]) if look else self.helps.replay(row["unique_id"])
        again = ", and does again as things are" if look else ""
        return f"the exchange has refused it ({row['code']}){again}: {helps}"

    def _rows(self, query: str, *, after: str = "", pages: int | None = None) -> Iterator[Row]:
        asked = 0
        while pages is None or asked < pages:
            path = f"/reconcile/payments?{query}&after={quote(after, safe='')}"
            page = self._here.doors.call("GET", KEEPER, path)
            self._now = page.get("now", "")
            if "in_flight" in page:  # a release before this one tells no windows
                self.in_flight, self.windows = page["in_flight"], page.get("windows", {})
            yield from page["payments"]
            asked += 1
            if page["next"] is None:
                return
            after = page["next"]

    @staticmethod
    def _said(row: Row, status: str, reason: str = "", **more: Any) -> Result:
        about = {"unique_id": row["unique_id"], "stage": row["stage"], "since": row["since"]}
        return Result(**about, status=status, reason=reason, **more)


def _unsent(last: Row) -> str:
    """Why a message that was not sent is not sent once more."""
    if last.get("withheld"):
        return f"kept back: the receiver of {last['queue']} is down; it goes on by itself after that"
    if last["cancelled_at"]:
        return "another message was sent in its place"
    return "not queued yet: the schedule of its service does it each minute"
