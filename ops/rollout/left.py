"""What an earlier release has left behind: tasks that are addressed to the service's canary tag.

Senders go by a record that may be some seconds old, and a task that fails is tried again for hours. As long as nothing
is tried the tag leads to the stable revision. A new release turns it, and would get those tasks whatever its percent:
their payments would meet a second revision. Probes are none of them, they effect nothing. Owns the count, how it is
said, and how long after a change of the record it is whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ops.place import Place, option
from ops.queues.calls import Calls
from ops.queues.tasks import is_probe
from spec.names import CANARY_TAG

#: Real seconds for which a record counts, that a read of it takes at most, after which one that failed is tried again
#: (`service_code/kit/record.py`), and that the create of a task takes at most (`service_code/kit/tasks.py`).
LIVES, READ, AGAIN, CREATE = 5.0, 2.0, 1.0, 5.0
#: Real seconds after a change of the record when every service has read it, one failed read of each included, and what
#: was sent by the record before it is in its queue. Of more failed reads in a row nobody could say how many there are.
READ_BY_ALL = LIVES + READ + AGAIN + CREATE

Tasks = Iterator[dict[str, Any]]


def left(place: Place, service: str) -> dict[str, int]:
    """How many there are, by queue."""
    return dict(Counter(queue for queue, _ in addressed(place, service)))


def addressed(
    place: Place, service: str, bound: Callable[[Tasks], Tasks] = lambda found: found
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each of them with its queue; of a queue's tasks those are looked at that `bound` lets through."""
    url, calls = place.url(service, CANARY_TAG), Calls(place)
    for queue in calls.queues():
        for task in bound(calls.tasks(queue)):
            if str(task.get("httpRequest", {}).get("url", "")).startswith(url) and not is_probe(task):
                yield queue, task


def still(service: str, found: Mapping[str, int]) -> str:
    """What waits."""
    said = ", ".join(f"{count} in {queue}" for queue, count in sorted(found.items()))
    return f"{sum(found.values())} tasks still wait for the release of {service} before this one: {said}"


def moves(place: Place, found: Mapping[str, int]) -> str:
    """The commands that take them off the tag."""
    stack = option(place.stack)
    return "; ".join(f"./sluice queues move {queue} --to-side stable{stack}" for queue in sorted(found))
