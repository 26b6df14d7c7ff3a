"""Payments and events past their window: where each stands, what became of its last message, and what helps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from ops.errors import OpsError
from ops.reconcile.found import Finding, Found
from ops.reconcile.helps import Helps
from ops.reconcile.reach import Reach
from ops.reconcile.tasks import GONE, told

#: Pages of one listing: 100,000 payments.
MOST_PAGES = 200
#: Tasks that Cloud Tasks is asked for, one by one.
MOST_TASKS = 200
#: What each stage of gcsplit's /reconcile/payments waits for.
STAGES = {
    "split": "received, not split",
    "gather": "received, not accumulated",
    "single": "asked for, no payout is signed",
    "staged": "asked for in stages, no payout is signed",
    "signed": "signed, not mined",
    "mined": "mined, not final",
    "convert": "accumulated, not converted",
    "small": "accumulated, too small to be converted alone",
    "batch": "batch assembled, not ordered",
    "batch_due": "threshold met, no batch",
    "access": "paid, not let into the channel",
    "dead": "dead",
    "refused": "the exchange has refused it",
    "unsent": "a message was never queued",
}
#: A sweep a minute should have done what was due for longer.
SWEEPER = timedelta(minutes=5)
#: Stages whose lost tasks nobody makes anew.
NOT_SWEPT = ("staged", "convert")
#: Stages in which a payment waits for what a message asks for.
RESENT = ("split", "gather", "single", "staged", "convert", "access")
NO_TASK = ("dead", "refused", "mined", "signed", "batch", "batch_due")
#: What goes on with a batch that is not sent.
BATCHES = "the schedule gcbatchprocessor-sweep goes on with it each minute"
#: Payments of a batch that are named.
NAMED = 5
#: How a message that was handed over without a task is told of.
DIRECTLY = "delivered directly"
#: Queues of first messages, which gcwebhook's sweeper puts anew: at doubling intervals, an hour at most.
PUT_ANEW, AT_MOST = ("split-payment-queue", "gcaccumulator-queue", "channel-access-queue"), timedelta(hours=1)
SWEEP = "the schedule gcwebhook-sweep"


def pages(
    reach: Reach, service: str, path: str, field: str, found: Found, *, most: int = MOST_PAGES, option: str = ""
) -> list[dict[str, Any]]:
    """All pages of a listing, up to a number, which an option may have chosen; the first page's head is `found`'s."""
    rows: list[dict[str, Any]] = []
    after: str | None = ""
    for _ in range(most):
        answer = reach.call(service, f"{path}&after={quote(after or '')}")
        found.now = answer["now"]
        for stage, count in _flights(answer.get("in_flight"), field).items():
            found.in_flight[stage] = found.in_flight.get(stage, 0) + count
        rows += answer[field]
        after = answer["next"]
        if after is None:
            return rows
    where = f"{service}{path.partition('?')[0]}"
    if option:
        found.bounded.append(f"{where}: {len(rows)} {field} were looked at, and there are more; {option} N looks at N")
    else:
        found.not_compared.append(f"{where}: there is more after {len(rows)} {field}")
    return rows


def _flights(told: Any, field: str) -> dict[str, int]:
    return told if isinstance(told, dict) else {field: told} if told else {}


def look_at_payments(reach: Reach, found: Found, older_than: str) -> None:
    """Name every payment that is past its stage's window."""
    rows = pages(reach, "gcsplit", f"/reconcile/payments?{older_than}", "payments", found)
    kept = {row["unique_id"] for row in rows if row["stage"] != "unsent" and _is_kept_back(row)}
    rows = [row for row in rows if row["stage"] != "unsent" or row["unique_id"] not in kept or not _is_kept_back(row)]
    for number, row in enumerate(rows):
        what = "" if row["stage"] == "unsent" and _is_kept_back(row) else STAGES.get(row["stage"], row["stage"])
        asked = number < MOST_TASKS and row["stage"] not in NO_TASK
        message = _message(reach, row, asked=asked)
        why = [what, row["code"] or "", _decision(row), _company(row), message, _by_itself(row, found.now)]
        found.say(
            Finding(
                kind="stuck",
                about=row["unique_id"],
                flow=row["flow"],
                stage=row["stage"],
                since=row["since"],
                why="; ".join(one for one in why if one),
                help=_help(reach.helps, row, message, found.now),
            )
        )


def look_for_lost_tasks(reach: Reach, found: Found) -> None:
    """Name payments whose task is gone where no sweeper makes another, however young they are; a page of each stage.

    A handler writes the next message before its task is taken out: the same task gone at both looks is a lost one.
    """
    named = {(one.about, one.stage) for one in found.findings}
    for stage in NOT_SWEPT:
        rows = reach.call("gcsplit", f"/reconcile/payments?older_than=0&stage={stage}&after=")["payments"]
        for row in [row for row in rows if _may_be_lost(row) and (row["unique_id"], stage) not in named][:MOST_TASKS]:
            last = row["last"]
            if (said := told(reach, last)).startswith(GONE):
                why = f"{STAGES[stage]}; {said}; {_by_itself(row, found.now)}"
                help_ = reach.helps.resend(row["unique_id"])
                about = {"about": row["unique_id"], "flow": row["flow"], "stage": stage, "since": row["since"]}
                found.say(Finding(kind="stuck", **about, why=why, help=help_, figure=last["task"]))


def _may_be_lost(row: dict[str, Any]) -> bool:
    """Whether a task should be there."""
    last = row["last"]
    return bool(last and last["sent_at"] and not last["direct"] and may_be_resent(row))


def may_be_resent(row: dict[str, Any]) -> bool:
    """Whether a message moves it on: none does where one too small waits for others, or the exchange has refused."""
    return row["stage"] in RESENT and (row["stage"] != "convert" or row["code"] == "pending")


def _decision(row: dict[str, Any]) -> str:
    """What a death waits for, where that is no replay."""
    if row.get("death") == "investigating":
        note = f" ({row['note']})" if row.get("note") else ""
        return f"somebody looks into it{note}: not replayed until it is marked dead again"
    again = "it is refused again" if is_refused(row) else "a replay dies again"
    return f"as things are {again}: look first" if row.get("retryable") is False else ""


def is_refused(row: dict[str, Any]) -> bool:
    """Whether the exchange has refused it, and somebody has to ask again, as older releases say by a code."""
    return row["stage"] == "refused" or (row["stage"] == "batch" and row["code"] not in (None, "assembled"))


def _company(row: dict[str, Any]) -> str:
    """Who waits with a batch that is not ordered."""
    paid = row.get("payments") or []
    if row["stage"] not in ("refused", "batch") or not paid:
        return ""
    after = f"; behind it {row['behind']} more of the same client" if row.get("behind") else ""
    return f"with it wait {', '.join(paid[:NAMED])}" + (" and more" if len(paid) > NAMED else "") + after


def _is_kept_back(row: dict[str, Any]) -> bool:
    """Whether a breaker keeps its message back: the same row that is unsent, and no loss."""
    return bool(row["last"] and row["last"].get("withheld"))


def _is_overdue(row: dict[str, Any], now: str) -> bool:
    """Whether what should have happened by itself has not: the sweeper gets a few minutes, a conversion its company."""
    at = _put_anew(row) or row.get("by_itself_at")
    return (
        at is not None
        and row["stage"] != "convert"
        and datetime.fromisoformat(now) - datetime.fromisoformat(at) > SWEEPER
    )


def _put_anew(row: dict[str, Any]) -> str:
    """By when gcwebhook's sweeper has put it anew, whatever became of its task; nothing where it puts nothing anew."""
    last = row["last"] if row["stage"] in RESENT else None
    sent = last["sent_at"] if last and last["queue"] in PUT_ANEW else None
    return (datetime.fromisoformat(sent) + AT_MOST).isoformat().replace("+00:00", "Z") if sent else ""


def _by_itself(row: dict[str, Any], now: str) -> str:
    """What happens without anybody, and when."""
    if row["stage"] in ("batch", "batch_due") and not is_refused(row):
        return BATCHES
    what, at, anew = row.get("by_itself"), row.get("by_itself_at"), _put_anew(row)
    if anew and _is_overdue(row, now):
        return f"{SWEEP} should have put it anew at {anew[:16]}: does that schedule run?"
    said = f"{SWEEP} puts it anew at {anew[:16]} at the latest; " if anew else ""
    if not what or not at:
        return f"{said}by itself: {what}" if what else said.removesuffix("; ")
    if _is_overdue(row, now):
        return f"by itself it should have ended at {at[:16]}: do the schedules run?"
    return f"{said}by itself, after {at[:16]}: {what}"


def _help(helps: Helps, row: dict[str, Any], message: str, now: str) -> str:
    stage, payment = row["stage"], row["unique_id"]
    if stage == "dead" and _decision(row):
        return helps.dead(row["death"], row["code"])
    if stage == "dead" or is_refused(row):
        return helps.show(payment) if _decision(row) else helps.replay(payment)
    if _is_kept_back(row):
        return helps.queue(row["last"]["queue"])
    if _is_overdue(row, now) or stage in ("batch", "batch_due"):
        return helps.schedules()
    if message.startswith((GONE, DIRECTLY)) and may_be_resent(row):
        return helps.resend(payment)
    return helps.wallet() if stage in ("signed", "mined") else helps.logs(payment)


def _message(reach: Reach, row: dict[str, Any], *, asked: bool) -> str:
    """What became of the last message of a payment."""
    last = row["last"]
    if row["stage"] in NO_TASK:
        return ""
    if last is None:
        return "no message of it is in the outbox"
    if last["sent_at"] is None:
        return _unsent(row)
    if last.get("direct"):
        return f"{DIRECTLY} in place of {last['queue']} at {last['sent_at'][:19]}"
    return told(reach, last) if asked else f"last on {last['queue']}"


def _unsent(row: dict[str, Any]) -> str:
    last = row["last"]
    queue = last["queue"]
    if _is_kept_back(row):
        return f"kept back: the receiver of {queue} is down or degraded; it goes on by itself once that is well"
    state = "cancelled" if last["cancelled_at"] else "not queued"
    return f"its message for {queue} is {state}" + (f": {last['error']}" if last["error"] else "")


def look_at_events(reach: Reach, found: Found, older_than: str) -> None:
    """Name every event of PayNow's without an end, and what its books say otherwise than the ledger."""
    for row in pages(reach, "paynowwebhook", f"/reconcile/events?{older_than}", "events", found):
        if row["status"] == "queued":
            why = (
                "published, not processed"
                if row["published"]
                else "not published"
                if row["has_row"]
                else "no message of it is in the outbox"
            )
            help_ = reach.helps.logs(row["event_id"])
        else:
            why, help_ = f"{row['status']}; {row['code']}", reach.helps.replay_event(row["event_id"])
        found.say(
            Finding(
                kind="stuck",
                about=row["event_id"],
                flow="paynow",
                stage=row["status"],
                since=row["since"],
                why=why,
                help=help_,
            )
        )


def look_at_queues(reach: Reach, found: Found, late: str) -> None:
    """Name queues that dispatch nothing: paused ones, even empty, and those with tasks due before the time `late`."""
    token = ""
    while True:
        answer = reach.tasks(f"/v2/{reach.location}/queues?pageSize=100{token}")
        for queue in answer.get("queues", []):
            _queue(reach, found, queue, late)
        if not answer.get("nextPageToken"):
            return
        token = f"&pageToken={quote(answer['nextPageToken'])}"


def _queue(reach: Reach, found: Found, queue: dict[str, Any], late: str) -> None:
    # The first page tells whether anything moves: tasks are not listed in any order of time.
    tasks = reach.tasks(f"/v2/{queue['name']}/tasks?pageSize=1000").get("tasks", [])
    due = sorted(task["scheduleTime"] for task in tasks if task["scheduleTime"][:19] < late[:19])
    paused = queue.get("state") == "PAUSED"
    if not due and not paused:
        return
    name = queue["name"].rpartition("/")[2]
    found.say(
        Finding(
            kind="queue",
            about=name,
            stage="paused" if paused else "overdue",
            since=due[0] if due else None,
            why=f"the queue is {queue['state'].lower()} with {len(tasks)} tasks, {len(due)} of them long due"
            + ("" if tasks else "; whatever comes will wait"),
            help=reach.helps.resume(name) if paused else reach.helps.queue(name),
        )
    )


def tried(name: str, found: Found, work: Any) -> None:
    """Do one part of a look; a part that cannot be done is said, and the others go on."""
    try:
        work()
    except OpsError as error:
        found.not_compared.append(f"{name}: {error.what}")
