"""Payments and events past their window: where each stands, what became of its last message, and what helps."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ops.errors import CallFailed, OpsError
from ops.reconcile.found import Finding, Found
from ops.reconcile.helps import Helps
from ops.reconcile.reach import Reach

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
    "batch": "batch assembled, not ordered",
    "batch_due": "threshold met, no batch",
    "access": "paid, not let into the channel",
    "dead": "dead",
    "unsent": "a message was never queued",
}
NO_TASK = ("dead", "mined", "signed", "batch_due")


def pages(
    reach: Reach, service: str, path: str, field: str, found: Found, *, most: int = MOST_PAGES
) -> list[dict[str, Any]]:
    """All pages of a listing, up to a number; the first page's head goes into `found`."""
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
    found.not_compared.append(f"{service}{path.partition('?')[0]}: there is more after {len(rows)} {field}")
    return rows


def _flights(told: Any, field: str) -> dict[str, int]:
    return told if isinstance(told, dict) else {field: told} if told else {}


def look_at_payments(reach: Reach, found: Found, older_than: str) -> None:
    """Name every payment that is past its stage's window."""
    rows = pages(reach, "gcsplit", f"/reconcile/payments?{older_than}", "payments", found)
    for number, row in enumerate(rows):
        what = STAGES.get(row["stage"], row["stage"])
        asked = number < MOST_TASKS and row["stage"] not in NO_TASK
        why = [what, row["code"] or "", _decision(row), _message(reach, row, asked=asked)]
        found.say(
            Finding(
                kind="stuck",
                about=row["unique_id"],
                flow=row["flow"],
                stage=row["stage"],
                since=row["since"],
                why="; ".join(one for one in why if one),
                help=_help(reach.helps, row),
            )
        )


def _decision(row: dict[str, Any]) -> str:
    """What a death waits for, where that is no replay."""
    if row.get("death") == "investigating":
        note = f" ({row['note']})" if row.get("note") else ""
        return f"somebody looks into it{note}: not replayed until it is marked dead again"
    return "as things are a replay dies again: look first" if row.get("retryable") is False else ""


def _help(helps: Helps, row: dict[str, Any]) -> str:
    stage, payment = row["stage"], row["unique_id"]
    if stage == "dead" and _decision(row):
        return helps.dead(row["death"], row["code"])
    if stage == "dead":
        return helps.replay(payment)
    return helps.wallet() if stage in ("signed", "mined") else helps.logs(payment)


def _message(reach: Reach, row: dict[str, Any], *, asked: bool) -> str:
    """What became of the last message of a payment."""
    last = row["last"]
    if row["stage"] in NO_TASK:
        return ""
    if last is None:
        return "no message of it is in the outbox"
    queue = last["queue"]
    if last["sent_at"] is None:
        state = "cancelled" if last["cancelled_at"] else "not queued"
        return f"its message for {queue} is {state}" + (f": {last['error']}" if last["error"] else "")
    if not asked:
        return f"last on {queue}"
    try:
        task = reach.tasks(f"/v2/{reach.location}/queues/{queue}/tasks/{last['task']}")
    except CallFailed as error:
        if error.status == 404:
            return f"its task is gone from {queue}, queued {last['sent_at'][:19]}"
        raise
    answered = (task.get("lastAttempt") or {}).get("responseStatus") or {}
    said = f", last answer {answered.get('message') or answered.get('code')}" if answered else ""
    return f"its task waits in {queue}: {task.get('dispatchCount', 0)} attempts{said}, next {task['scheduleTime'][:19]}"


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
    """Name queues that dispatch nothing: paused ones, and such with tasks that are long due. `late` is a time."""
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
    if not due and not (paused and tasks):
        return
    name = queue["name"].rpartition("/")[2]
    found.say(
        Finding(
            kind="queue",
            about=name,
            stage="paused" if paused else "overdue",
            since=due[0] if due else None,
            why=f"the queue is {queue['state'].lower()} with {len(tasks)} tasks, {len(due)} of them long due",
            help=reach.helps.resume(name) if paused else reach.helps.queue(name),
        )
    )


def tried(name: str, found: Found, work: Any) -> None:
    """Do one part of a look; a part that cannot be done is said, and the others go on."""
    try:
        work()
    except OpsError as error:
        found.not_compared.append(f"{name}: {error.what}")
