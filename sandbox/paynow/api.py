"""Asking PayNow for events: POST /paynow/events; they are sent to the webhook one after the other.

The next event is sent once the one before was answered 2xx, as a buyer's own events follow one another. Faults on
demand: target `paynow`, kinds drop, error, lost_answer, delay and hold. Whoever asked holds the connection until all is
answered; the sending goes on where he goes away. GET /paynow/sent has what was sent, and whether it was taken.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.clock import Clock
from sandbox.config import Config
from sandbox.faults import Faults
from sandbox.paynow import notice
from sandbox.store import Store

#: Most events of one request, and copies of each.
MOST, MOST_COPIES = 10_000, 10
#: Attempts of one copy, the pause between two, and the receiver's time to answer.
ATTEMPTS, PAUSE, ANSWER_SECONDS = 40, 0.5, 30.0

DEFAULTS: dict[str, Any] = {
    "kind": "order", "product": "points-100", "count": 1, "copies": 1, "customer": None, "user": None,
    "subject": None, "late": 0,
}  # fmt: skip


class BadRequestError(Exception):
    """The request cannot be served; the message names the key."""


def read(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Check a request for events."""
    for key in raw:
        if key not in DEFAULTS:
            raise BadRequestError(f"unknown key '{key}'; known are {', '.join(DEFAULTS)}")
    given = DEFAULTS | dict(raw)
    if given["kind"] not in notice.KINDS:
        raise BadRequestError(f"'kind' must be one of {', '.join(notice.KINDS)}, not {given['kind']!r}")
    for key, most in (("count", MOST), ("copies", MOST_COPIES)):
        if type(given[key]) is not int or not 1 <= given[key] <= most:
            raise BadRequestError(f"'{key}' must be a whole number from 1 to {most}, not {given[key]!r}")
    for key in ("customer", "user", "subject", "product"):
        if given[key] is not None and (not isinstance(given[key], str) or not given[key].isprintable()):
            raise BadRequestError(f"'{key}' must be a text, not {given[key]!r}")
    if not isinstance(given["late"], int | float):
        raise BadRequestError(f"'late' must be seconds, not {given['late']!r}")
    return given


class PayNowApi:
    """PayNow's handlers."""

    def __init__(self, config: Config, store: Store, clock: Clock, faults: Faults) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """PayNow's paths."""
        return [web.post("/paynow/events", self._events), web.get("/paynow/sent", self._sent)]

    async def _events(self, request: web.Request) -> web.Response:
        try:
            raw = await request.json()
            given = read(raw if isinstance(raw, dict) else {"": raw})
        except (BadRequestError, ValueError) as error:
            return web.json_response({"error": f"refused: {error}"}, status=400)
        events = []
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for _ in range(given["count"]):
                event_id, subject = secrets.token_hex(10), given["subject"] or secrets.token_hex(8)
                customer = given["customer"] or f"customer-{subject}"
                text = notice.body(
                    given["kind"], event_id=event_id, subject=subject, customer=customer, user=given["user"],
                    product=given["product"], at=self._clock.iso(),
                )  # fmt: skip
                self._store.run("INSERT INTO paynow VALUES (?, ?, 0)", event_id, text)
                copies = [self._deliver(session, text, given["late"]) for _ in range(given["copies"])]
                answers = await asyncio.gather(*copies)
                if any(200 <= (one["status"] or 0) < 300 for copy in answers for one in copy):
                    self._store.run("UPDATE paynow SET acknowledged = 1 WHERE event_id = ?", event_id)
                events.append({"event_id": event_id, "subject": subject, "customer": customer, "answers": answers})
        return web.json_response({"events": events})

    async def _sent(self, _: web.Request) -> web.Response:
        rows = self._store.rows("SELECT event_id, body, acknowledged FROM paynow ORDER BY rowid")
        return web.json_response({"events": [row | {"acknowledged": bool(row["acknowledged"])} for row in rows]})

    async def _deliver(self, session: aiohttp.ClientSession, text: str, late: float) -> list[dict[str, Any]]:
        """Send one copy until it is taken or refused; what was answered each time."""
        answers: list[dict[str, Any]] = []
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(PAUSE)
            answers.append(await self._attempt(session, text, late))
            if 200 <= (answers[-1]["status"] or 0) < 500:  # a 4xx says the same every time
                break
        return answers

    async def _attempt(self, session: aiohttp.ClientSession, text: str, late: float) -> dict[str, Any]:
        fault = self._faults.take("paynow", "webhook")
        if fault and fault.kind in ("delay", "hold"):
            await (fault.hold() if fault.kind == "hold" else asyncio.sleep(fault.seconds))
        if fault and fault.kind in ("drop", "error"):
            return {"status": None, "body": f"not sent: {fault.message}"}
        headers = notice.headers(text, now=self._clock.now() - late, secret=self._config.paynow_webhook_secret)
        try:
            async with session.post(self._config.paynow_url, data=text.encode(), headers=headers) as response:
                answer = {"status": response.status, "body": (await response.text(errors="replace"))[:500]}
        except (aiohttp.ClientError, TimeoutError) as error:
            return {"status": None, "body": f"{type(error).__name__}: {error}"[:500]}
        if fault and fault.kind == "lost_answer":
            return {"status": None, "body": f"answer {answer['status']} lost: {fault.message}"}
        return answer
