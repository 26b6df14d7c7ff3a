"""Where alerts arrive: a webhook for each channel of the local stack, and the record of what it was told.

Owns: POST of a notification, as Cloud Monitoring's webhooks send it, and the list of all. Leaves alone: who is woken.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from sandbox.clock import Clock
from sandbox.faults import Fault, Faults, bitten
from sandbox.store import Store


class Incidents:
    """The receivers of notifications: any path below /incidents/ is a channel of that name."""

    def __init__(self, store: Store, clock: Clock, faults: Faults) -> None:
        self._store = store
        self._clock = clock
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """The channels and the record."""
        return [web.get("/incidents", self._told), web.post("/incidents/{channel}", self._entry)]

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        def fail(fault: Fault) -> web.Response:
            return web.Response(text=fault.message, status=fault.status)

        fault = self._faults.take("incidents", request.match_info["channel"])
        return await bitten(request, fault, lambda: self._take(request), fail)

    async def _take(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
        except ValueError:
            return web.Response(text="this is not JSON", status=400)
        if not isinstance(body, dict) or not isinstance(body.get("incident"), dict):
            return web.Response(text="there is no incident in it", status=400)
        row = (self._clock.now(), request.match_info["channel"], json.dumps(body["incident"]))
        self._store.run("INSERT INTO incidents (at, channel, body) VALUES (?, ?, ?)", *row)
        return web.Response(text="ok")

    async def _told(self, request: web.Request) -> web.Response:
        """What each channel was told, oldest first; ?channel=pager shows one."""
        wanted = request.query.get("channel")
        rows = self._store.rows("SELECT * FROM incidents ORDER BY id")
        told = [self._shown(row) for row in rows if wanted in (None, row["channel"])]
        return web.json_response({"incidents": told})

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"at": self._clock.iso(row["at"]), "channel": row["channel"], **json.loads(row["body"])}
