"""How many instances each revision of a service may and must have now: the revision's own numbers and the service's.

Pure arithmetic over a service and its traffic; engines/revisions.py starts and stops.
Sources: https://cloud.google.com/run/docs/configuring/min-instances, .../max-instances, .../services/manual-scaling.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from local_cloud.descriptors import Message
from local_cloud.run.rules import MANUAL


class Scale(NamedTuple):
    """The bounds of one revision."""

    minimum: int
    maximum: int


def scales(service: Message, shares: Mapping[str, float], own: Mapping[str, Scale]) -> dict[str, Scale]:
    """The bounds that hold now, by revision: `shares` are percents of traffic, 0 for one that only a tag reaches."""
    if service.scaling.scaling_mode == MANUAL:
        counts = divide(service.scaling.manual_instance_count, {n: s for n, s in shares.items() if s})
        return {name: _by_hand(counts.get(name), own[name]) for name in own}
    found = {}
    for name, scale in own.items():
        most = min(scale.maximum, service.scaling.max_instance_count or scale.maximum)
        least = math.ceil(service.scaling.min_instance_count * shares.get(name, 0) / 100)
        found[name] = Scale(min(max(scale.minimum, least), most), most)
    return found


def _by_hand(count: int | None, own: Scale) -> Scale:
    # A revision that only a tag reaches has its own minimum beside the service's number, or one instance when asked.
    if count is None:
        return Scale(own.minimum, max(own.minimum, 1))
    return Scale(count, count)


def divide(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole instances by percent: what is left over goes to the largest remainders, by name where they are equal."""
    exact = {name: count * share / 100 for name, share in shares.items()}
    found = {name: math.floor(number) for name, number in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (found[name] - exact[name], name))
    for name in by_remainder[: count - sum(found.values())]:
        found[name] += 1
    return found
