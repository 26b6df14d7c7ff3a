"""The weather outside: how often each party refuses, cuts the line, or does what it was asked and loses its answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

#: Who can be in trouble, by the beginning of the path at which services reach it.
PARTIES = {
    "/v2/": "tasks",
    "/v1/": "pubsub",
    "/changenow/": "exchange",
    "/telegram/": "messenger",
    "/slack": "slack",
    "/rpc": "node",
}
#: What goes wrong with a call: not done and refused, not done and cut, done and answered by an error, done and cut.
TROUBLES = ("refused", "cut", "lost", "lost_cut")
#: What a party in trouble answers.
STATUSES = (429, 500, 502, 503)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Weather:
    """Chances by party; the dice are the simulation's, so that a seed brings the same weather."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.chance: dict[str, float] = dict.fromkeys(PARTIES.values(), 0.0)
        self.troubles: Counter[str] = Counter()

    def clear(self) -> None:
        """Heal everybody."""
        self.chance = dict.fromkeys(self.chance, 0.0)

    def change(self) -> None:
        """Let some party's weather turn: fine, uneasy or a storm."""
        party = self._dice.choice(list(self.chance))
        self.chance[party] = self._dice.choice((0.0, 0.0, 0.02, 0.1, 0.3, 1.0))

    def trouble(self, party: str) -> str | None:
        """What happens to the next call."""
        chance = self.chance[party]
        if not chance or self._dice.random() >= chance:
            return None
        self.troubles[party] += 1
        return self._dice.choice(TROUBLES)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Stand between services and everybody outside."""
        party = next((name for start, name in PARTIES.items() if request.path.startswith(start)), None)
        trouble = self.trouble(party) if party else None
        if trouble is None:
            return await handler(request)
        if trouble in ("lost", "lost_cut"):
            await handler(request)
        if trouble in ("cut", "lost_cut") and request.transport is not None:
            request.transport.abort()
        await asyncio.sleep(0)
        return web.json_response({"error": "trouble"}, status=self._dice.choice(STATUSES))


def with_weather(app: web.Application, weather: Weather, rpc: Any) -> web.Application:
    """Put an outer world and the node's door under one weather."""
    app.middlewares.append(weather.middleware)
    app.add_routes([web.post("/rpc", rpc)])
    return app
