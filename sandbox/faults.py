"""Faults on demand: what fails, how, and how often.

Owns: the board of active faults and its HTTP API (POST, GET, DELETE /faults; POST /faults/ID/release).
Leaves alone: where a fault bites; each part asks the board before and after it does its work.

Kinds: `delay` waits, `drop` cuts the connection before anything happens, `error` answers an error,
`lost_answer` does the work and cuts the connection before the answer, `hold` waits until it is released
(before the work, or after it with "after": true). `method` is a call's name, of changenow also an order's id, of
incidents a channel's name; without it every call of the target is meant.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sandbox.config import WEBHOOKS

#: What can fail, by target; None where any name may be one.
METHODS: Mapping[str, tuple[str, ...] | None] = {
    "chain": (
        "mine", "eth_blockNumber", "eth_call", "eth_chainId", "eth_estimateGas", "eth_feeHistory", "eth_gasPrice",
        "eth_getBalance", "eth_getBlockByHash", "eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getCode",
        "eth_getLogs", "eth_getTransactionByHash", "eth_getTransactionCount", "eth_getTransactionReceipt",
        "eth_maxPriorityFeePerGas", "eth_sendRawTransaction", "net_version", "web3_clientVersion",
    ),
    "changenow": ("exchange", "estimated-amount", "by-id", "range", "min-amount"),
    "telegram": ("getMe", "createChatInviteLink", "sendMessage"),
    "processor": ("ipn",),
    "slack": ("webhook",),
    "incidents": None,
    "paynow": ("webhook",),
    "alchemy": WEBHOOKS,
}  # fmt: skip
TARGETS = tuple(METHODS)
#: An order of the exchange.
ORDER = re.compile(r"[0-9a-f]{14}")
KINDS = ("delay", "drop", "error", "lost_answer", "hold")
#: What further goes wrong with the events of one target alone.
EVENT_KINDS = {"alchemy": ("duplicate", "reorder", "bad_signature")}

#: What an error fault answers when it is not told.
DEFAULT_STATUS = 500


@dataclass
class Fault:
    """One thing that goes wrong, for `count` calls or until it is deleted."""

    id: int
    target: str
    kind: str
    method: str = "*"
    seconds: float = 1.0
    count: int | None = None
    after: bool = False
    status: int = DEFAULT_STATUS
    code: int | None = None
    message: str = "fault on demand"
    since: float = field(default_factory=time.time)
    hits: int = 0
    waiting: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def describe(self) -> dict[str, Any]:
        """The fault as its API shows it."""
        names = ("id", "target", "kind", "method", "seconds", "count", "after", "status", "code", "message", "hits")
        return {name: getattr(self, name) for name in names} | {"waiting": self.waiting}

    async def hold(self) -> None:
        """Wait until somebody releases it."""
        self.waiting += 1
        try:
            await self.released.wait()
        finally:
            self.waiting -= 1


class Faults:
    """The board that every part of the sandbox asks."""

    def __init__(self) -> None:
        self._active: dict[int, Fault] = {}
        self._spent: dict[int, Fault] = {}
        self._ids = itertools.count(1)

    def take(self, target: str, *methods: str) -> Fault | None:
        """The first fault that bites this call, counted as one hit."""
        for fault in self._active.values():
            if fault.target == target and (fault.method == "*" or fault.method in methods):
                fault.hits += 1
                if fault.count is not None and fault.hits >= fault.count:
                    self._spent[fault.id] = self._active.pop(fault.id)
                return fault
        return None

    def add(self, raw: Mapping[str, Any]) -> Fault:
        """Check and switch on a fault; ValueError says what is wrong with it."""
        known = ("target", "kind", "method", "seconds", "count", "after", "status", "code", "message")
        for key in raw:
            if key not in known:
                raise ValueError(f"unknown key '{key}'; known are {', '.join(known)}")
        if raw.get("target") not in TARGETS:
            raise ValueError(f"'target' must be one of {', '.join(TARGETS)}")
        kinds = (*KINDS, *EVENT_KINDS.get(raw["target"], ()))
        if raw.get("kind") not in kinds:
            raise ValueError(f"'kind' must be one of {', '.join(kinds)}")
        _check_method(raw["target"], raw.get("method", "*"))
        count = raw.get("count")
        if count is not None and (not isinstance(count, int) or count < 1):
            raise ValueError("'count' must be a positive whole number, or absent for: until deleted")
        fault = Fault(id=next(self._ids), **{**raw, "seconds": float(raw.get("seconds", 1.0))})
        self._active[fault.id] = fault
        return fault

    def listing(self) -> list[dict[str, Any]]:
        """Active faults, and spent ones that still hold somebody."""
        held = [fault for fault in self._spent.values() if fault.waiting]
        return [fault.describe() for fault in (*self._active.values(), *held)]

    def clear(self, fault_id: int | None = None) -> int:
        """Switch off one fault or all of them; whoever is held goes on."""
        chosen = [key for key in (*self._active, *self._spent) if fault_id in (None, key)]
        for key in chosen:
            fault = self._active.pop(key, None) or self._spent.pop(key)
            fault.released.set()
        return len(chosen)

    def routes(self) -> list[web.RouteDef]:
        """The board's own API."""
        return [
            web.get("/faults", self._list),
            web.post("/faults", self._post),
            web.delete("/faults", self._delete),
            web.delete("/faults/{id:[0-9]+}", self._delete),
            web.post("/faults/{id:[0-9]+}/release", self._delete),
        ]

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"faults": self.listing()})

    async def _post(self, request: web.Request) -> web.Response:
        try:
            raw = await request.json()
            if not isinstance(raw, dict):
                raise ValueError("a fault is a JSON object")
            fault = self.add(raw)
        except (ValueError, TypeError) as error:
            return web.json_response({"error": f"refused: {error}"}, status=400)
        return web.json_response(fault.describe(), status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        number = request.match_info.get("id")
        return web.json_response({"deleted": self.clear(int(number) if number else None)})


def _check_method(target: str, method: Any) -> None:
    """Refuse what never fails, so that nobody takes for well what was not broken."""
    known = METHODS[target]
    if method == "*" or (isinstance(method, str) and (known is None or method in known)):
        return
    if target == "changenow" and isinstance(method, str) and ORDER.fullmatch(method):
        return
    order = ", or an order's id" if target == "changenow" else ""
    raise ValueError(f"'method' of {target} must be one of {', '.join(known or ())}{order}; without it every call")


def cut(request: web.Request) -> web.Response:
    """Cut the connection: the caller gets no answer at all."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def bitten(
    request: web.Request,
    fault: Fault | None,
    work: Callable[[], Awaitable[web.StreamResponse]],
    error: Callable[[Fault], web.Response],
) -> web.StreamResponse:
    """Do the work of one request as the fault allows."""
    if fault is None:
        return await work()
    if fault.kind == "drop":
        return cut(request)
    if fault.kind == "error":
        return error(fault)
    if fault.kind == "delay":
        await asyncio.sleep(fault.seconds)
    if fault.kind == "hold" and not fault.after:
        await fault.hold()
    response = await work()
    if fault.kind == "hold" and fault.after:
        await fault.hold()
    return cut(request) if fault.kind == "lost_answer" else response
