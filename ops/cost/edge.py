"""What a load balancer with Cloud Armor costs: its rule by the hour, policies and their rules by the month, requests.

Bytes that come in are a few kilobytes a payment and are left out. Where no `sluice:edge` is set nothing is paid.
Sources: https://cloud.google.com/armor/pricing and https://cloud.google.com/load-balancing/pricing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import spec
from ops.cost.month import HOURS

#: Kind, name, item of the price table, units.
Used = tuple[str, str, str, float]
#: Rules that every policy has: other names, and the limit of the rate or the refusal of all others.
RULES = 2


def used(system: spec.System, outside: Mapping[str, float]) -> Iterator[Used]:
    """Of a month with so many calls from outside, by service."""
    edge = system.stack.edge if system.stack else None
    if edge is None:
        return
    doors = [name for name, service in system.services.items() if service.public]
    yield "edge", "load balancer", "edge.rule", HOURS
    for name in doors:
        ready, partners = edge.armor.ready_made(name), edge.armor.partners(name)
        yield "edge", name, "armor.policy", 1
        yield "edge", name, "armor.rule", RULES + len(ready) + len(partners)
        yield "edge", name, "armor.request", outside.get(name, 0.0)
