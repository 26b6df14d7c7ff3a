"""A node's door that lies, loses answers and goes away, call by call, as a case of `chain_cases` says.

Owns: what services hear of the chain. Leaves alone: the chain, which a lie does not change, and how often something
goes wrong, which the schedule says: each fault is for a number of calls of one method, and then over.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from service_code.kit import erc20

#: Another block than any that stands.
NO_BLOCK = "0x" + "ee" * 32


@dataclass
class Fault:
    """What goes wrong with the next calls of a method."""

    method: str
    kind: str
    left: int
    amount: int = 1


class LyingDoor:
    """Stands between the services and the chain."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession()
        self._faults: list[Fault] = []
        #: Transactions that the node has taken and nobody else has seen yet.
        self._held: list[dict[str, Any]] = []
        self.calls = 0

    def break_down(self, fault: Fault) -> None:
        self._faults.append(fault)

    def heal(self) -> None:
        self._faults.clear()

    async def release(self) -> None:
        """Let go of what was held; the chain may refuse it by now."""
        held, self._held = self._held, []
        for call in held:
            await self._ask(call)

    async def close(self) -> None:
        await self._session.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        calls = body if isinstance(body, list) else [body]
        self.calls += len(calls)
        kinds = [self._take(call["method"]) for call in calls]
        said = {fault.kind for fault in kinds if fault is not None}
        if "refused before" in said:
            return web.Response(status=502)
        if "cut before" in said:
            return _cut(request)
        answers = [await self._answer(call, fault) for call, fault in zip(calls, kinds, strict=True)]
        if "refused after" in said:
            return web.Response(status=503)
        if "cut after" in said:
            return _cut(request)
        return web.json_response(answers[::-1] if isinstance(body, list) else answers[0])

    def _take(self, method: str) -> Fault | None:
        for fault in self._faults:
            if fault.method == method:
                fault.left -= 1
                if not fault.left:
                    self._faults.remove(fault)
                return fault
        return None

    async def _answer(self, call: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
        kind = fault.kind if fault is not None else ""
        if call["method"] == "eth_sendRawTransaction" and kind and not kind.endswith(("before", "after")):
            if kind.startswith("taken, then "):
                await self._ask(call)
            if kind == "held":
                self._held.append(call)
            if kind in ("forgotten", "held"):
                return {"jsonrpc": "2.0", "id": call["id"], "result": "0x" + "00" * 32}
            why = kind.removeprefix("taken, then ")
            return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32000, "message": why}}
        answer = await self._ask(call)
        lie = LIES.get((call["method"], kind))
        if fault is not None and lie is not None and answer.get("result") is not None:
            answer["result"] = lie(answer["result"], call["params"], fault.amount)
        return answer

    async def _ask(self, call: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(self._url, json=call) as response:
            return dict(json.loads(await response.read()))


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)


def _less(result: str, _: Any, amount: int) -> str:
    return hex(max(0, int(result, 16) - amount))


def _more(result: str, _: Any, amount: int) -> str:
    return hex(int(result, 16) + amount)


def _richer(result: str, _: Any, amount: int) -> str:
    return hex(int(result, 16) + amount * 10**17)


def _nothing(*_: Any) -> None:
    return None


def _other_block(block: dict[str, Any], params: list[Any], amount: int) -> dict[str, Any]:
    """A block of another branch; what is final is final on all of them."""
    return {**block, "number": _less(block["number"], None, amount)} if params[0] == "finalized" else {
        **block, "hash": NO_BLOCK
    }  # fmt: skip


def _other_receipt(receipt: dict[str, Any], _: Any, amount: int) -> dict[str, Any]:
    return {**receipt, "blockHash": NO_BLOCK, "blockNumber": _less(receipt["blockNumber"], None, amount - 1)}


def _reverted(receipt: dict[str, Any], *_: Any) -> dict[str, Any]:
    return {**receipt, "status": "0x0"}


def _silent(receipt: dict[str, Any], *_: Any) -> dict[str, Any]:
    return {**receipt, "logs": []}


def _astray(receipt: dict[str, Any], *_: Any) -> dict[str, Any]:
    """Another amount than was asked left the wallet."""
    return {**receipt, "logs": [{**log, "data": f"0x{int(log['data'], 16) + 1:064x}"} for log in receipt["logs"]]}


def _more_tokens(result: str, params: list[Any], amount: int) -> str:
    """More of the token than there is; other questions to it are answered truly."""
    asked = params[0]["data"].startswith(erc20.BALANCE_OF)
    return f"0x{int(result, 16) + amount * 10**8:064x}" if asked else result


def _no_contract(*_: Any) -> str:
    return "0x"


def _dear(history: dict[str, Any], *_: Any) -> dict[str, Any]:
    return {**history, "baseFeePerGas": [hex(int(fee, 16) * 50 + 10**9) for fee in history["baseFeePerGas"]]}


#: What becomes of a true result, by method and kind of lie.
LIES: dict[tuple[str, str], Callable[[Any, Any, int], Any]] = {
    ("eth_getTransactionCount", "stale"): _less,
    ("eth_getTransactionCount", "ahead"): _more,
    ("eth_getBalance", "stale"): _richer,
    ("eth_getBalance", "nothing"): _nothing,
    ("eth_blockNumber", "stale"): _less,
    ("eth_getTransactionReceipt", "nothing"): _nothing,
    ("eth_getTransactionReceipt", "branch"): _other_receipt,
    ("eth_getTransactionReceipt", "reverted"): _reverted,
    ("eth_getTransactionReceipt", "silent"): _silent,
    ("eth_getTransactionReceipt", "astray"): _astray,
    ("eth_getTransactionByHash", "nothing"): _nothing,
    ("eth_getBlockByNumber", "nothing"): _nothing,
    ("eth_getBlockByNumber", "branch"): _other_block,
    ("eth_feeHistory", "nothing"): _nothing,
    ("eth_feeHistory", "dear"): _dear,
    ("eth_estimateGas", "nothing"): _nothing,
    ("eth_call", "stale"): _more_tokens,
    ("eth_call", "nothing"): _nothing,
    ("eth_getCode", "no contract"): _no_contract,
}
