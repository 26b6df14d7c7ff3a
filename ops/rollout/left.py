"""What an earlier release has left behind: tasks that are addressed to the service's canary tag.

Senders go by the record for five seconds, and a task that fails is tried again for hours. As long as nothing is tried
the tag leads to the stable revision. A new release turns it, and would get those tasks whatever its percent: their
payments would meet a second revision. Probes are none of them, they effect nothing. Owns the count and how it is said.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops.place import Place, option
from ops.queues.calls import Calls
from ops.queues.probe import HEADER
from spec.names import CANARY_TAG


def left(place: Place, service: str) -> dict[str, int]:
    """How many there are, by queue."""
    url, calls, found = place.url(service, CANARY_TAG), Calls(place), dict[str, int]()
    for queue in calls.queues():
        for task in calls.tasks(queue):
            request = task.get("httpRequest", {})
            probes = HEADER in {str(name).lower() for name in request.get("headers", {})}
            if str(request.get("url", "")).startswith(url) and not probes:
                found[queue] = found.get(queue, 0) + 1
    return found


def still(service: str, found: Mapping[str, int]) -> str:
    """What waits."""
    said = ", ".join(f"{count} in {queue}" for queue, count in sorted(found.items()))
    return f"{sum(found.values())} tasks still wait for the release of {service} before this one: {said}"


def moves(place: Place, found: Mapping[str, int]) -> str:
    """The commands that take them off the tag."""
    stack = option(place.stack)
    return "; ".join(f"./sluice queues move {queue} --to-side stable{stack}" for queue in sorted(found))
