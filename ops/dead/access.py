"""Buyers who were not let in: whose letters a replay of all takes, and what was done for them.

Asking sends a new link, even to somebody who was let in by hand meanwhile, and nobody says that he was. So a replay of
all takes their letters only where letters are named, and never of one whose time in the channel would be over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from ops.dead.things import LETTER, Thing

#: How a service shows a payment's way; None where it knows none.
Way = Callable[[str], dict[str, Any] | None]
#: How an action of a payment that asked for its buyer ended, as gcwebhook writes it.
ASKED_FOR = "access asked for"
#: Why letters are left where nothing is said of them.
BY_NAME = "a buyer who was not let in is asked for by --kind letter, or by the letter's id"


def chosen(things: Iterable[Thing], kind: str, way: Way, now: datetime) -> tuple[list[Thing], list[tuple[Thing, str]]]:
    """Those of them that a replay of all takes, and the others, with why they are left."""
    taken: list[Thing] = []
    left: list[tuple[Thing, str]] = []
    for thing in things:
        why = "" if not thing.is_grant else BY_NAME if kind != LETTER else over(thing, way, now)
        if why:
            left.append((thing, why))
        else:
            taken.append(thing)
    return taken, left


def over(thing: Thing, way: Way, now: datetime) -> str:
    """Why it is late to let its buyer in; nothing where it is not, or where the payment's time is not known."""
    about = str(thing.raw.get("unique_id") or "")
    request = ((way(about) if about else None) or {}).get("request") or {}
    if not (request.get("received_at") and request.get("subscription_days")):
        return ""
    until = datetime.fromisoformat(request["received_at"]) + timedelta(days=request["subscription_days"])
    if until > now:
        return ""
    return f"the {request['subscription_days']} days that {about} has paid for were over on {until:%Y-%m-%d}"
