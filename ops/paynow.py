"""PayNow's flow from outside: register buyers, have the sandbox send events, follow each to its wallet's posting.

Owns what `sluice pay --flow paynow` needs of it. All of it goes over HTTP: the sandbox's PayNow and the operator's
doors of the entry service.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from ops import rest
from ops.errors import CallFailed, Unreachable
from ops.operator import Operator
from ops.output import Output

#: The name of the flow.
FLOW = "paynow"

#: The service that takes events, and shows and replays them.
ENTRY = "paynowwebhook"

#: An event changes no more, or not by itself.
ENDS = {"processed", "failed", "dead"}

#: Seconds between two rounds of looks, and events looked at in a round: looking costs what processing does.
LOOK_EVERY, LOOKS = 0.2, 8

#: What buyers buy, and up to how many events are shown one by one.
PRODUCT, SHOWN = "points-100", 5


def send(operator: Operator, out: Output, *, count: int, timeout: float) -> dict[str, Any]:
    """Have one buyer order so many times, and follow the orders; what became of each."""
    user = f"buyer-{secrets.token_hex(4)}"
    operator.call("POST", ENTRY, f"/users/{user}", {"customer_id": f"customer-of-{user}"})
    wanted = {"count": count, "product": PRODUCT, "customer": f"customer-of-{user}"}
    url = f"http://127.0.0.1:{operator.cloud.ports.sandbox}/paynow"
    try:
        sent = rest.call("POST", f"{url}/events", wanted, timeout=count + timeout)["events"]
    except Unreachable:
        sent, timeout = _told(out, url, wanted), 0.0
    events = follow(operator, [event["event_id"] for event in sent], seconds=timeout)
    for event in events[:SHOWN]:
        _show(out, event)
    if count > SHOWN:
        out.say(f"and {count - SHOWN} more")
    paid = sum(event["status"] == "processed" for event in events)
    out.say(f"{paid} of {count} processed; {user} has {_balance(events)} points")
    return {"count": count, "paid": paid, "user": user, "points": _balance(events), "events": events}


def _told(out: Output, url: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """The buyer's events as PayNow has them, where it was not done in time; what was not taken it sends anew."""
    kept = rest.call("GET", f"{url}/sent")["events"]
    found = [one for one in kept if json.loads(one["body"])["body"]["customer"]["id"] == wanted["customer"]]
    taken = sum(one["acknowledged"] for one in found)
    out.warn(
        f"the time was over before PayNow was done: {len(found)} of {wanted['count']} events are made, {taken} of them "
        "taken; it goes on by itself"
    )
    return [dict(one) for one in found]


def follow(operator: Operator, events: list[str], *, seconds: float) -> list[dict[str, Any]]:
    """Look at the events until all are at their end or the time is over; each as it was seen last."""
    seen: dict[str, dict[str, Any]] = {event: {"event_id": event, "status": "unrecorded"} for event in events}
    deadline = time.monotonic() + seconds
    while open_ := [event for event in events if seen[event]["status"] not in ENDS]:
        last = time.monotonic() >= deadline  # said before the look: whoever stood behind others is asked, too
        for event in open_ if last else open_[:LOOKS]:
            seen[event] = _look(operator, event) or seen[event]
        if last:
            break
        if seen[open_[0]]["status"] not in ENDS:
            time.sleep(LOOK_EVERY)
    return [seen[event] for event in events]


def _look(operator: Operator, event: str) -> dict[str, Any] | None:
    try:
        return dict(operator.call("GET", ENTRY, f"/events/{event}"))
    except CallFailed as error:
        if error.status in (404, 500, 502, 503, 504):  # not there yet, or its service is being restarted
            return None
        raise


def _show(out: Output, event: dict[str, Any]) -> None:
    colour = {"processed": "green", "dead": "red", "failed": "red"}.get(event["status"], "yellow")
    why = f"  {event['code']}: {event['why']}" if event.get("code") else ""
    out.say(f"[bold]{event['event_id']}[/bold] is [{colour}]{event['status']}[/{colour}]{why}")
    for line in event.get("ledger", []):
        out.plain(f"  {line['entry_key']:<32} {line['account']:<16} {int(line['amount']):>+12} points")


def _balance(events: list[dict[str, Any]]) -> int:
    """The wallet after the last credit."""
    return max((int(one["balance"]) for event in events for one in event.get("credits", [])), default=0)
