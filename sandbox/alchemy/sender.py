"""Sending Alchemy's events: each at once and by itself, again until somebody answers 2xx or the attempts are used up.

Owns: the record of every event and of its last answer, and the pauses between attempts, which go by the moved clock. An
event that is open when the sandbox stops goes on at the next start. No order is promised, as Alchemy promises none.

Faults on demand, target `alchemy`, method the event's kind: those of every target, and `duplicate` (sent twice at
once), `reorder` (sent after the event that follows it) and `bad_signature`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.alchemy import body
from sandbox.clock import Clock
from sandbox.config import Config
from sandbox.faults import Fault, Faults
from sandbox.store import Store

#: Seconds after which an event that nobody took is sent again, one pause after the other.
PAUSES = (15.0, 60.0, 600.0, 3600.0)

#: How often the clock is looked at while an event waits for its next attempt.
LOOK_SECONDS = 0.1

#: The target's time to answer, and how much of its answer is kept.
ANSWER_SECONDS, BODY_KEPT = 30.0, 500


class Sender:
    """Delivers events to one URL."""

    def __init__(self, config: Config, store: Store, clock: Clock, faults: Faults) -> None:
        self._key = config.alchemy_signing_key.splitlines()[0].strip() if config.alchemy_signing_key.strip() else ""
        self._url = config.alchemy_url
        self._store = store
        self._clock = clock
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[int, asyncio.Event] = {}
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        """The record of what was sent."""
        return [web.get("/alchemy/sent", self._sent)]

    def start(self) -> None:
        """Go on with what was not delivered before."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        for row in self._store.rows("SELECT id FROM alchemy WHERE state = 'open'"):
            self._begin(row["id"])

    def send(self, kind: str, about: str, event_id: str, text: str) -> None:
        """Store an event and begin its delivery; `about` is a transaction in it."""
        self._store.run(
            "INSERT INTO alchemy (id, kind, about, body, state, attempts, due) VALUES (?, ?, ?, ?, 'open', 0, ?)",
            event_id, kind, about, text, self._clock.now(),
        )  # fmt: skip
        self._begin(event_id)

    def _begin(self, event_id: str) -> None:
        task = asyncio.create_task(self._deliver(event_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, event_id: str) -> None:
        while True:
            row = self._store.row("SELECT rowid AS number, * FROM alchemy WHERE id = ?", event_id)
            assert row is not None
            await self._until(row["due"])
            status, answer = await self._attempt(row)
            taken, attempts = status is not None and 200 <= status < 300, row["attempts"] + 1
            over = attempts > len(PAUSES)
            state = "delivered" if taken else "given up" if over else "open"
            due = self._clock.now() + (0 if taken or over else PAUSES[attempts - 1])
            self._store.run(
                "UPDATE alchemy SET state = ?, attempts = ?, due = ?, status = ?, answer = ? WHERE id = ?",
                state, attempts, due, status, answer, event_id,
            )  # fmt: skip
            if state != "open":
                return

    async def _until(self, due: float) -> None:
        while True:
            left = due - self._clock.now()
            if left <= 0:
                return
            await asyncio.sleep(min(left, LOOK_SECONDS))

    async def _attempt(self, row: dict[str, Any]) -> tuple[int | None, str]:
        fault = self._faults.take("alchemy", row["kind"])
        if fault is None:
            return await self._post(row, self._key)
        if fault.kind in ("drop", "error"):
            return None, f"not sent: {fault.message}"
        await self._wait(fault, row["number"])
        key = "another key" if fault.kind == "bad_signature" else self._key
        copies = 2 if fault.kind == "duplicate" else 1
        (status, answer), *_ = await asyncio.gather(*(self._post(row, key) for _ in range(copies)))
        return (None, f"answer {status} lost: {fault.message}") if fault.kind == "lost_answer" else (status, answer)

    async def _wait(self, fault: Fault, number: int) -> None:
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        elif fault.kind == "hold":
            await fault.hold()
        elif fault.kind == "reorder":
            await self._held.setdefault(number, asyncio.Event()).wait()

    async def _post(self, row: dict[str, Any], key: str) -> tuple[int | None, str]:
        assert self._session is not None
        text = row["body"]
        headers = {"content-type": "application/json", "x-alchemy-signature": body.signature(text, key)}
        try:
            async with self._session.post(self._url, data=text.encode(), headers=headers) as response:
                return response.status, (await response.text(errors="replace"))[:BODY_KEPT]
        except (aiohttp.ClientError, TimeoutError) as error:
            return None, f"{type(error).__name__}: {error}"[:BODY_KEPT]
        finally:
            for number in [one for one in self._held if one < row["number"]]:
                self._held.pop(number).set()

    def totals(self) -> dict[str, int]:
        """How many events stand where."""
        rows = self._store.rows("SELECT state, count(*) AS n FROM alchemy GROUP BY state")
        return {row["state"]: row["n"] for row in rows}

    async def _sent(self, _: web.Request) -> web.Response:
        rows = self._store.rows("SELECT * FROM alchemy ORDER BY rowid")
        return web.json_response({"events": [row | {"body": json.loads(row["body"])} for row in rows]})

    async def stop(self) -> None:
        """Stop; what is open stays open on disk."""
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
