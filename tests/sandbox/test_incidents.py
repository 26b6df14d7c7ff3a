"""Where alerts arrive in the sandbox: what is an incident is kept with its channel, and anything else is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.incidents import Incidents
from sandbox.store import Store


def test_a_channel_keeps_what_it_was_told(tmp_path: Path) -> None:
    (tmp_path / "clock").write_bytes(bytes(8))
    store, faults = Store(tmp_path / "sandbox.db"), Faults()
    app = web.Application()
    app.add_routes(Incidents(store, Clock((tmp_path / "clock").as_uri()), faults).routes())

    async def told() -> list[Any]:
        async with TestClient(TestServer(app)) as client:
            for path, body in (
                ("pager", {"incident": {"state": "open"}}),
                ("slack", {"incident": {"state": "closed"}}),
            ):
                assert (await client.post(f"/incidents/{path}", json=body)).status == 200
            assert (await client.post("/incidents/pager", json={"text": "x"})).status == 400
            assert (await client.post("/incidents/pager", data=b"{")).status == 400
            one = await (await client.get("/incidents?channel=pager")).json()
            every = await (await client.get("/incidents")).json()
            return [one["incidents"], every["incidents"]]

    one, every = asyncio.run(told())
    store.close()
    assert [(entry["channel"], entry["state"]) for entry in one] == [("pager", "open")]
    assert [entry["channel"] for entry in every] == ["pager", "slack"]
