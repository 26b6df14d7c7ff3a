"""Which of two ways a payment takes: a share of them, chosen by the payment's id, the same one whoever asks.

A hash of the id with the route's salt gives each payment a place from 0 to 9,999; the new way takes those below the
percent. So raising the number only moves payments towards the new way. The choice is stored with what it is made for
(a payout's row, an outbox row, an event) and never made again for it. The rollout's record says the share, and before
there is one the service's environment. Source: DESIGN section 5, DECISIONS 15.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from service_code.kit import measure
from service_code.kit.record import RolloutRecord, Share
from service_code.kit.settings import DIRECT, RouteEdge, SettingsError

#: Places: a hundredth of a per cent each.
PLACES = 10_000


class Routes:
    """The routes on which this service chooses."""

    def __init__(self, declared: Mapping[str, RouteEdge], record: RolloutRecord) -> None:
        self._declared = declared
        self._record = record
        self._hops = {route.queue: name for name, route in declared.items() if route.queue is not None}

    def need(self, name: str, choice: str) -> None:
        """Refuse to start without a route that this service chooses on, between the ways (`old/new`) that it knows."""
        route = self._declared.get(name)
        if route is None or f"{route.old}/{route.new}" != choice:
            raise SettingsError(f"ROUTES has no {name} of {choice}: declare it in queue_configs/routes.yaml")

    async def share(self, name: str) -> Share:
        """Read a route's share: the only place that knows where it stands."""
        route, record = self._declared[name], await self._record.latest()
        return record.routes.get(name) or Share(route.percent, route.salt)

    async def way(self, name: str, key: str) -> str:
        """Choose the way of a payment (or of whatever the route goes by); for one that has none yet."""
        route, share = self._declared[name], await self.share(name)
        way = route.new if takes_new_way(share.salt, key, share.percent) else route.old
        measure.chose(name, way)
        return way

    async def is_direct(self, queue: str, unique_id: str) -> bool:
        """Tell whether a payment's first message for a queue goes to the receiver's door by ourselves."""
        name = self._hops.get(queue)
        return name is not None and await self.way(name, unique_id) == DIRECT


def place(salt: str, key: str) -> int:
    """Return the place of a key, from 0 to 9,999."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * PLACES >> 64


def takes_new_way(salt: str, key: str, percent: int) -> bool:
    """Tell whether a key is within the share of the new way, given in per cent."""
    return place(salt, key) < percent * PLACES // 100
