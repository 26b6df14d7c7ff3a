"""Sending notices: at a rate, in copies, again until somebody answers 2xx.

Owns: the open loop (a notice leaves at its time whatever became of the one before), retries with growing
pauses until the attempts are used up, and the record of every answer. A notice that had no 2xx when the
sandbox stopped goes on at the next start. Leaves alone: what is in a notice.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.store import Store

#: Attempts per copy; with the pauses below about five minutes of a target that is down.
ATTEMPTS = 40

#: Pauses between attempts: doubled from the first to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0

#: The target's time to answer.
ANSWER_SECONDS = 30.0

#: How much of an answer's body is kept.
_BODY_KEPT = 500


class Sender:
    """Delivers notices to the webhook."""

    def __init__(self, store: Store, clock: Clock, faults: Faults, url: str) -> None:
        self._store = store
        self._clock = clock
        self._faults = faults
        self._url = url + "/"
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Go on with what was not delivered before."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
        )
        for row in self._store.rows("SELECT * FROM notices WHERE state = 'open'"):
            self.send(row["unique_id"], row["copy"], 0.0)

    def send(self, unique_id: str, copy: int, after: float) -> asyncio.Task[None]:
        """Begin the delivery of one copy after some seconds."""
        task = asyncio.create_task(self._deliver(unique_id, copy, after))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _deliver(self, unique_id: str, copy: int, after: float) -> None:
        if after > 0:
            await asyncio.sleep(after)
        payment = self._store.row("SELECT * FROM payments WHERE unique_id = ?", unique_id)
        assert payment is not None
        known = self._store.row("SELECT count(*) AS n FROM answers WHERE unique_id = ? AND copy = ?", unique_id, copy)
        attempt, pause = int(known["n"]) if known else 0, FIRST_PAUSE
        while attempt < payment["attempts"]:
            attempt += 1
            status = await self._attempt(payment, copy, attempt)
            if status is not None and 200 <= status < 300:
                self._close(unique_id, copy, "delivered")
                return
            if attempt < payment["attempts"]:
                await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
        self._close(unique_id, copy, "given up")

    def _close(self, unique_id: str, copy: int, state: str) -> None:
        self._store.run("UPDATE notices SET state = ? WHERE unique_id = ? AND copy = ?", state, unique_id, copy)

    async def _attempt(self, payment: dict[str, Any], copy: int, attempt: int) -> int | None:
        fault = self._faults.take("processor", "ipn")
        started, at = time.perf_counter(), self._clock.now()
        status: int | None = None
        if fault and fault.kind in ("delay", "hold"):
            await (fault.hold() if fault.kind == "hold" else asyncio.sleep(fault.seconds))
        if fault and fault.kind in ("drop", "error"):
            body = f"not sent: {fault.message}"
        else:
            status, body = await self._post(payment)
            if fault and fault.kind == "lost_answer":
                status, body = None, f"answer {status} lost: {fault.message}"
        taken = (time.perf_counter() - started) * 1000
        self._store.run(
            "INSERT INTO answers (unique_id, copy, attempt, status, body, milliseconds, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            payment["unique_id"], copy, attempt, status, body, round(taken, 3), at,
        )  # fmt: skip
        return status

    async def _post(self, payment: dict[str, Any]) -> tuple[int | None, str]:
        assert self._session is not None
        headers = {"content-type": "application/json", "x-nowpayments-sig": payment["signature"]}
        try:
            async with self._session.post(self._url, data=payment["body"].encode(), headers=headers) as response:
                return response.status, (await response.text(errors="replace"))[:_BODY_KEPT]
        except (aiohttp.ClientError, TimeoutError) as error:
            return None, f"{type(error).__name__}: {error}"[:_BODY_KEPT]

    async def stop(self) -> None:
        """Stop; what is open stays open on disk."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
