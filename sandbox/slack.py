"""The part of Slack that alerts are sent to: an incoming webhook, with the real one's answers, and a record.

Owns: POST to the webhook's path ("ok", or the real refusals in plain text) and what was said. Leaves alone: channels.
"""

from __future__ import annotations

import json

from aiohttp import web

from sandbox.clock import Clock
from sandbox.faults import Fault, Faults, bitten
from sandbox.store import Store


class Slack:
    """The webhook. Any path below /slack/services/ is a known one: its token is whoever's who made it."""

    def __init__(self, store: Store, clock: Clock, faults: Faults) -> None:
        self._store = store
        self._clock = clock
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """The webhook's path and the record."""
        return [web.get("/slack/sent", self._sent), web.post("/slack/services/{path:.+}", self._entry)]

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        def fail(fault: Fault) -> web.Response:
            return web.Response(text=fault.message, status=fault.status)

        fault = self._faults.take("slack", "webhook")
        return await bitten(request, fault, lambda: self._take(request), fail)

    async def _take(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
        except ValueError:
            return web.Response(text="invalid_payload", status=400)
        if not isinstance(body, dict) or not (body.get("text") or body.get("blocks")):
            return web.Response(text="no_text", status=400)
        self._store.run("INSERT INTO slack (at, body) VALUES (?, ?)", self._clock.now(), json.dumps(body))
        return web.Response(text="ok")

    async def _sent(self, _: web.Request) -> web.Response:
        rows = self._store.rows("SELECT * FROM slack ORDER BY id")
        said = [{"at": self._clock.iso(row["at"]), **json.loads(row["body"])} for row in rows]
        return web.json_response({"messages": said})
