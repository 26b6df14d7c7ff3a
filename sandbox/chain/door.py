"""The chain's door: JSON-RPC over HTTP under a key, with faults on demand.

Owns: what a node's provider does in front of a node: the key in the path, single calls and batches, refusing
the methods that only a development chain has, and failing as providers fail. Leaves alone: the answers, which
pass through as bytes.
"""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from sandbox.chain.chain import Chain
from sandbox.faults import Fault, Faults, bitten

#: Namespaces that no provider offers: they would let a payer make its own coins.
CLOSED = ("anvil_", "evm_", "hardhat_", "tenderly_", "debug_", "personal_", "miner_")

#: Calls that need an unlocked account at the node, which no provider has either.
CLOSED_CALLS = frozenset({"eth_sendTransaction", "eth_sendUnsignedTransaction", "eth_sign", "eth_signTransaction"})

_LIMIT = 5 * 1024 * 1024


def _error(call_id: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, "error": {"code": code, "message": message}}


def _reply(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


class Door:
    """A proxy in front of the chain."""

    def __init__(self, chain: Chain, faults: Faults, key: str) -> None:
        self._chain = chain
        self._faults = faults
        self._key = key
        self.calls = 0

    def application(self) -> web.Application:
        """The web application of the door's own port."""
        app = web.Application(client_max_size=_LIMIT)
        app.router.add_post("/{key}", self._enter)
        app.router.add_post("/", self._enter)
        return app

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        if request.match_info.get("key") != self._key:
            return _reply(_error(None, -32000, "must be authenticated"), 401)
        body = await request.read()
        try:
            payload = orjson.loads(body)
        except ValueError:
            return _reply(_error(None, -32700, "parse error"), 400)
        calls = payload if isinstance(payload, list) else [payload]
        if not calls or not all(isinstance(call, dict) and isinstance(call.get("method"), str) for call in calls):
            return _reply(_error(None, -32600, "invalid request"), 400)
        self.calls += len(calls)
        fault = self._faults.take("chain", *(call["method"] for call in calls))

        async def work() -> web.Response:
            return await self._forward(body, calls, batch=isinstance(payload, list))

        def fail(fault: Fault) -> web.Response:
            if fault.code is None:
                return _reply(_error(calls[0].get("id"), -32005, fault.message), fault.status)
            errors = [_error(call.get("id"), fault.code, fault.message) for call in calls]
            return _reply(errors if isinstance(payload, list) else errors[0])

        return await bitten(request, fault, work, fail)

    async def _forward(self, body: bytes, calls: list[dict[str, Any]], *, batch: bool) -> web.Response:
        for call in calls:
            method = call["method"]
            if method.startswith(CLOSED) or method in CLOSED_CALLS:
                refusal = _error(call.get("id"), -32601, f"the method {method} does not exist/is not available")
                return _reply([refusal] if batch else refusal)
        try:
            answer = await self._chain.node.post(body)
        except OSError:
            return _reply(_error(calls[0].get("id"), -32603, "upstream is not available"), 503)
        if any(call["method"] == "eth_sendRawTransaction" for call in calls):
            self._journal(calls, answer)
        return web.Response(body=answer, content_type="application/json")

    def _journal(self, calls: list[dict[str, Any]], answer: bytes) -> None:
        """Remember accepted transactions before the caller hears of them."""
        replies = orjson.loads(answer)
        by_id = {reply.get("id"): reply for reply in (replies if isinstance(replies, list) else [replies])}
        for call in calls:
            reply = by_id.get(call.get("id"), {})
            if call["method"] == "eth_sendRawTransaction" and isinstance(reply.get("result"), str):
                self._chain.history.accepted(reply["result"], call["params"][0])
