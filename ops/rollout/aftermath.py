"""After a rollback: waits for what is still at work on the bad revision, and counts whom it met and what follows.

What met it are payments in its log lines. What is queued for the canary's tag is delivered to stable from now on: tasks
that were never tried, and, counted apart, those whose first attempt was the bad revision's. Owns what can be seen: at
Google instances show their requests minutes late, so nobody waits for them there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
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
    return len({str(entry["jsonPayload"]["unique_id"]) for entry in _some(place.logs(wanted), "payments_met", cut)})


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
