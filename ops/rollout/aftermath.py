"""After a rollback: waits for what is still at work on the bad revision, and counts whom it met and what follows.

What met it are payments in its log lines. What is queued for the canary's tag is delivered to stable from now on: tasks
that were never tried, and, counted apart, those whose first attempt was the bad revision's. Owns what can be seen: at
Google instances show their requests minutes late, so nobody waits for them there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ops.errors import OpsError
from ops.place import Local, Place
from ops.rollout.state import Kind, Rollout
from spec.names import CANARY_TAG

#: Real seconds to wait for requests in flight, and between two looks.
PATIENCE, LOOK = 30.0, 0.1
#: At most so many entries and tasks are counted; what is beyond is said as "at least".
MOST, PAGE = 10_000, 1000


def after(place: Place, rollout: Rollout, moved: str) -> dict[str, Any]:
    """What is known of it; what cannot be read is said, and does not stop a rollback."""
    if rollout.kind is Kind.ROUTE:
        return {"moved": moved}
    found: dict[str, Any] = {"moved": moved, "in_flight": in_flight(place, rollout)}
    cut: list[str] = []
    try:
        found["payments_met"] = met(place, rollout, cut)
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


def met(place: Place, rollout: Rollout, cut: list[str]) -> int:
    """Payments that the bad revision has written of; `cut` gets the count's name where it is of a part alone."""
    wanted = (
        f'resource.type="cloud_run_revision" resource.labels.revision_name="{rollout.canary}" '
        f'jsonPayload.unique_id:* timestamp>="{rollout.began}"'
    )
    return len({str(entry["jsonPayload"]["unique_id"]) for entry in _entries(place, wanted, cut)})


def queued(place: Place, service: str, cut: list[str]) -> dict[str, int]:
    """Tasks that are addressed to the canary's tag: never tried, and tried before; `cut` as in `met`."""
    url = place.url(service, CANARY_TAG)
    counts = {"first": 0, "retries": 0}
    queues = [queue["name"] for queue in _pages(place, f"{place.parent}/queues", "queues", cut)]
    for queue in queues:
        for task in _pages(place, f"{queue}/tasks", "tasks", cut):
            request = task.get("httpRequest", {})
            if str(request.get("url", "")).startswith(url):
                counts["retries" if int(task.get("dispatchCount", 0)) else "first"] += 1
    return counts


def _pages(place: Place, path: str, key: str, cut: list[str]) -> Iterator[dict[str, Any]]:
    token, given = "", 0
    while True:
        query = {"pageSize": PAGE, **({"pageToken": token} if token else {})}
        answer = place.call("tasks", "GET", path, query=query)
        found = answer.get(key, [])
        yield from found
        given += len(found)
        token = str(answer.get("nextPageToken", ""))
        if not token:
            return
        if given >= MOST:
            cut.extend({"queued"} - set(cut))
            return


def _entries(place: Place, wanted: str, cut: list[str]) -> Iterator[dict[str, Any]]:
    body: dict[str, Any] = {"resourceNames": [f"projects/{place.project}"], "filter": wanted, "pageSize": PAGE}
    given = 0
    while True:
        answer = place.call("logging", "POST", "entries:list", body)
        found = answer.get("entries", [])
        yield from found
        given += len(found)
        if not answer.get("nextPageToken"):
            return
        if given >= MOST:
            cut.append("payments_met")
            return
        body["pageToken"] = answer["nextPageToken"]
