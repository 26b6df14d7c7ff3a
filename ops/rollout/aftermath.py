"""After a rollback: waits for what is still at work on the bad revision, and counts whom it met and what follows.

What met it are payments in its log lines. A revision that has not so much as opened a message's token has named no
payment: other lines of the same trace, those of the senders before it, do. What is queued for the canary's tag is
delivered to stable from now on: tasks that were never tried, and, counted apart, those whose first attempt was the bad
revision's. Owns what can be seen: at Google instances show their requests minutes late, so nobody waits for them there.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ops.errors import OpsError
from ops.place import Local, Place
from ops.rollout.left import addressed
from ops.rollout.state import Kind, Rollout

#: Real seconds to wait for requests in flight, and between two looks.
PATIENCE, LOOK = 30.0, 0.1
#: At most so many entries and tasks are counted; what is beyond is said as "at least".
MOST = 10_000
#: Traces that one question names: a filter of Cloud Logging is of 20,000 characters at most.
TRACES = 250
#: So many payments are named on the page.
NAMED = 20


def after(place: Place, rollout: Rollout, moved: str) -> dict[str, Any]:
    """What is known of it; what cannot be read is said, and does not stop a rollback."""
    if rollout.kind is Kind.ROUTE:
        return {"moved": moved}
    found: dict[str, Any] = {"moved": moved, "in_flight": in_flight(place, rollout)}
    cut: list[str] = []
    try:
        found |= met(place, rollout, cut)
        found["queued"] = queued(place, rollout.target, cut)
    except OpsError as error:
        found["not_counted"] = str(error)
    return {**found, "at_least": cut} if cut else found


def in_flight(place: Place, rollout: Rollout) -> int | None:
    """Requests that are still at work on the bad revision when patience is over; None where that is not seen."""
    if not isinstance(place, Local):
        return None
    until = time.monotonic() + PATIENCE
    while True:
        service = place.cloud.status()["services"].get(rollout.target, {"instances": []})
        at_work = sum(
            int(one["in_flight"])
            for one in service["instances"]
            if str(one["revision"]).rpartition("/")[2] == rollout.canary
        )
        if not at_work or time.monotonic() > until:
            return at_work
        time.sleep(LOOK)


def met(place: Place, rollout: Rollout, cut: list[str]) -> dict[str, Any]:
    """Payments that have met the bad revision; `cut` gets the count's name where it is of a part alone."""
    since = f'timestamp>="{rollout.began}"'
    wanted = (
        f'resource.type="cloud_run_revision" resource.labels.revision_name="{rollout.canary}" '
        f'(jsonPayload.unique_id:* OR jsonPayload.event="handled") {since}'
    )
    named, silent = set[str](), defaultdict[str, set[str]](set)
    for entry in _some(place.logs(wanted), "payments_met", cut):
        line = entry["jsonPayload"]
        if line.get("unique_id"):
            named.add(str(line["unique_id"]))
        else:  # attempts of one task are one message
            silent[str(line.get("trace") or "")].add(str(line.get("task") or entry.get("insertId")))
    told = _told(place, since, [trace for trace in silent if trace], cut)
    several = unnamed = 0
    for trace, messages in silent.items():
        payments = told.get(trace, set())
        if len(payments) <= len(messages):
            named |= payments
            unnamed += len(messages) if not payments else 0
        elif not payments & named:  # a sweep has sent for many, and not all of it came here
            several += len(messages)
    if unnamed or several:
        cut += [] if "payments_met" in cut else ["payments_met"]
    found: dict[str, Any] = {"payments_met": len(named) + several, "payments": sorted(named)[:NAMED]}
    return {**found, "unnamed": unnamed} if unnamed else found


def _told(place: Place, since: str, traces: Sequence[str], cut: list[str]) -> Mapping[str, set[str]]:
    """The payments that lines of anybody name, by trace."""
    found = defaultdict[str, set[str]](set)
    for at in range(0, len(traces), TRACES):
        any_of = " OR ".join(f'"{trace}"' for trace in traces[at : at + TRACES])
        wanted = f'resource.type="cloud_run_revision" jsonPayload.unique_id:* jsonPayload.trace=({any_of}) {since}'
        for entry in _some(place.logs(wanted), "payments_met", cut):
            if entry["jsonPayload"].get("unique_id"):
                found[str(entry["jsonPayload"]["trace"])].add(str(entry["jsonPayload"]["unique_id"]))
    return found


def queued(place: Place, service: str, cut: list[str]) -> dict[str, int]:
    """Tasks that are addressed to the canary's tag: never tried, and tried before; `cut` as in `met`."""
    counts = {"first": 0, "retries": 0}
    for _, task in addressed(place, service, lambda found: _some(found, "queued", cut)):
        counts["retries" if int(task.get("dispatchCount", 0)) else "first"] += 1
    return counts


def _some(found: Iterator[dict[str, Any]], name: str, cut: list[str]) -> Iterator[dict[str, Any]]:
    """As many as are counted; `cut` gets the count's name where there are more."""
    yield from islice(found, MOST)
    if next(found, None) is not None and name not in cut:
        cut.append(name)
