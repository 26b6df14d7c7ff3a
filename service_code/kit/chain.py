"""An Ethereum node over JSON-RPC: the few calls that paying needs, and its errors by what they mean.

A call that got no answer says nothing about what the node did: NodeAwayError. An answer that refuses says something:
NodeRefusedError with what is meant, as far as nodes' texts tell. The node's URL holds a key and is never logged.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from service_code.kit import erc20, logs, measure
from service_code.kit.outside import Answer, Outside, UnreachableError

#: Seconds for one call to the node.
TIMEOUT = 8.0
#: The least tip, in wei per gas: blocks are not empty for ever.
LEAST_TIP = 100_000_000
#: Blocks whose tips are looked at, and seconds for which the answer serves.
FEE_BLOCKS = 5
FEES_LIVE = 2.0
FEE_HISTORY = ("eth_feeHistory", hex(FEE_BLOCKS), "latest", [50])
#: Calls in one request.
BATCH = 25
#: What a transfer of ether to a plain account costs.
TRANSFER_GAS = 21_000

_HEX = re.compile(r"0x[0-9a-fA-F]{40,}")
_log = logs.get("chain")


class Refusal(Enum):
    """What a node's refusal means for a transaction."""

    ALREADY_KNOWN = "already known"
    NONCE_TOO_LOW = "nonce too low"
    NONCE_TOO_HIGH = "nonce too high"
    UNDERPRICED = "underpriced"
    INSUFFICIENT_FUNDS = "insufficient funds"
    GAS_LIMIT = "gas limit"
    REVERTED = "reverted"
    OTHER = "other"


_TEXTS = (
    (Refusal.ALREADY_KNOWN, ("already known", "already imported", "known transaction", "alreadyknown")),
    (Refusal.NONCE_TOO_LOW, ("nonce too low", "nonce is too low", "invalid nonce", "oldnonce")),
    (Refusal.NONCE_TOO_HIGH, ("nonce too high", "nonce is too high", "nonce gap", "noncegap")),
    (Refusal.UNDERPRICED, ("underpriced", "fee too low", "less than block base fee", "max fee per gas less than")),
    (Refusal.INSUFFICIENT_FUNDS, ("insufficient funds", "insufficient balance")),
    (Refusal.GAS_LIMIT, ("intrinsic gas too low", "exceeds block gas limit", "gas required exceeds", "out of gas")),
    # Contracts of an older Solidity, Tether among them, end what they refuse in an invalid opcode.
    (Refusal.REVERTED, ("revert", "invalid opcode", "invalidfeopcode")),
)


class NodeAwayError(RuntimeError):
    """The node gave no usable answer; a transaction that was sent may or may not be known to it."""

    def __init__(self, why: str, code: str = "NODE_ERROR") -> None:
        super().__init__(why)
        self.code = code


class NodeRefusedError(RuntimeError):
    """The node answered no, to a call of `method`. No address stands in its text."""

    def __init__(self, method: str, message: str) -> None:
        super().__init__(f"{method}: {_HEX.sub('0x..', message)[:200]}")
        self.method = method
        text = message.lower()
        self.refusal = next(
            (refusal for refusal, parts in _TEXTS if any(part in text for part in parts)), Refusal.OTHER
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fees:
    """What a transaction offers for gas, in wei."""

    max_fee: int
    max_priority_fee: int
    #: What the next block takes at least; an offer below it is not mined.
    base_fee: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """What the chain says of a transfer of ether, or of a token whose transfer works, before it is signed."""

    balance: int
    gas: int
    pending_nonce: int
    fees: Fees
    #: The wallet's balance of the token.
    tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """How a transaction was mined."""

    tx_hash: str
    block_number: int
    block_hash: str
    status: int
    gas_used: int
    gas_price: int
    logs: tuple[erc20.Log, ...] = ()


class Node:
    """A client of one node."""

    def __init__(self, url: str, outside: Outside) -> None:
        self._url = url
        self._outside = outside
        self._ids = itertools.count(1)
        self._fees: tuple[float, Fees | None] = (0.0, None)

    async def ask(self, method: str, *params: Any) -> Any:
        """Make one call."""
        with measure.node_call(NodeAwayError):
            answer = await self._post(method, self._wish(method, params))
            return _result(method, answer.status, answer.json())

    async def ask_all(self, *calls: tuple[Any, ...]) -> list[Any]:
        """Make several calls in one request and return their results in order.

        Each error means what it means alone; one that says nothing comes before one that refuses.
        """
        results = await self.try_all(*calls)
        for result in results:
            if isinstance(result, NodeRefusedError):
                raise result
        return results

    async def try_all(self, *calls: tuple[Any, ...]) -> list[Any]:
        """As ask_all, with a call's refusal in the place of its result."""
        with measure.node_call(NodeAwayError):
            return await self._try_all(calls)

    async def _try_all(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        wishes = [self._wish(method, params) for method, *params in calls]
        what = "+".join(method for method, *_ in calls)
        answer = await self._post(what, wishes)
        body = answer.json()
        if not isinstance(body, list):  # one answer for all: the door's, not the node's
            _result(what, answer.status, body)
            raise NodeAwayError(f"{what}: the node answered no batch")
        found = {one.get("id"): one for one in body if isinstance(one, dict)}
        results: list[Any] = []
        for wish in wishes:
            try:
                results.append(_result(wish["method"], answer.status, found.get(wish["id"])))
            except NodeRefusedError as error:
                results.append(error)
        return results

    def _wish(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    async def _post(self, what: str, wish: Any) -> Answer:
        headers = {"Content-Type": "application/json"}
        body = json.dumps(wish).encode()
        try:
            return await self._outside.call("POST", self._url, what=what, headers=headers, body=body, timeout=TIMEOUT)
        except UnreachableError as error:
            _log.warning("the node is away", what="rpc_call", status="unreachable", method=what)
            raise NodeAwayError(str(error), "NODE_TIMEOUT" if error.timeout else "NODE_UNREACHABLE") from error

    async def chain_id(self) -> int:
        """Return the chain's id."""
        return whole(await self.ask("eth_chainId"))

    async def balance(self, address: str) -> int:
        """Return the balance in wei."""
        return whole(await self.ask("eth_getBalance", address, "latest"))

    async def nonce(self, address: str, block: str = "latest") -> int:
        """Return how many transactions an account has sent, as of a block."""
        return whole(await self.ask("eth_getTransactionCount", address, block))

    async def quote(self, sender: str, to: str, value: int) -> Quote:
        """Simulate a transfer of ether, and read what signing it needs, in one request."""
        transfer = {"from": sender, "to": to, "value": hex(value)}
        fees = self._fresh_fees()
        balance, gas, nonce, *history = await self.ask_all(
            ("eth_getBalance", sender, "latest"),
            ("eth_estimateGas", transfer),
            ("eth_getTransactionCount", sender, "pending"),
            *(() if fees else (FEE_HISTORY,)),
        )
        return Quote(
            balance=whole(balance), gas=whole(gas), pending_nonce=whole(nonce), fees=fees or self._offer(history[0])
        )

    async def fees(self) -> Fees:
        """Return an offer that outlives several full blocks: twice the base fee and the usual tip of late."""
        return self._fresh_fees() or self._offer(await self.ask(*FEE_HISTORY))

    def _fresh_fees(self) -> Fees | None:
        at, fees = self._fees
        return fees if fees is not None and time.monotonic() - at < FEES_LIVE else None

    def _offer(self, history: Any) -> Fees:
        try:
            base = whole(history["baseFeePerGas"][-1])
            tips = sorted(whole(block[0]) for block in history.get("reward") or ())
        except (KeyError, IndexError, TypeError) as error:
            raise NodeAwayError("eth_feeHistory: no base fee") from error
        tip = max(tips[len(tips) // 2] if tips else 0, LEAST_TIP)
        fees = Fees(max_fee=2 * base + tip, max_priority_fee=tip, base_fee=base)
        self._fees = (time.monotonic(), fees)
        return fees

    async def send(self, raw: bytes) -> None:
        """Broadcast a signed transaction."""
        await self.ask("eth_sendRawTransaction", "0x" + raw.hex())

    async def known(self, tx_hash: str) -> bool:
        """Tell whether the node has this transaction, mined or waiting."""
        return await self.ask("eth_getTransactionByHash", tx_hash) is not None

    async def in_block(self, tx_hash: str) -> bool:
        """Tell whether the node has this transaction in a block, asked otherwise than by its receipt."""
        found = await self.ask("eth_getTransactionByHash", tx_hash)
        return found is not None and found.get("blockHash") is not None

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Return how a transaction was mined, or nothing while it is not."""
        return _receipt(await self.ask("eth_getTransactionReceipt", tx_hash))

    async def receipts(self, hashes: Sequence[str]) -> list[Receipt | None]:
        """Return how some transactions were mined, in their order."""
        found: list[Receipt | None] = []
        for start in range(0, len(hashes), BATCH):
            calls = (("eth_getTransactionReceipt", tx_hash) for tx_hash in hashes[start : start + BATCH])
            found += [_receipt(one) for one in await self.ask_all(*calls)]
        return found

    async def head(self) -> int:
        """Return the newest block's number."""
        return whole(await self.ask("eth_blockNumber"))

    async def block_hashes(self, numbers: Sequence[int]) -> dict[int, str | None]:
        """Return the hashes of the blocks that now stand at some numbers; None where the node knows of none."""
        found: dict[int, str | None] = {}
        for start in range(0, len(numbers), BATCH):
            part = numbers[start : start + BATCH]
            blocks = await self.ask_all(*(("eth_getBlockByNumber", hex(number), False) for number in part))
            for number, block in zip(part, blocks, strict=True):
                found[number] = str(block["hash"]).lower() if block else None
        return found

    async def finalized(self) -> int:
        """Return the number of the newest block that the chain will not take back."""
        block = await self.ask("eth_getBlockByNumber", "finalized", False)
        return whole(block["number"]) if block else -1


def _result(method: str, status: int, body: Any) -> Any:
    """Return the result in an answer, or raise what its error means."""
    if not isinstance(body, dict) or ("result" not in body and "error" not in body):
        _log.warning("the node gave no answer", what="rpc_call", status=status, method=method)
        raise NodeAwayError(f"{method}: the node answered {status}")
    said = body.get("error")
    if said is None:
        return body["result"]
    message = str(said.get("message", "")) if isinstance(said, dict) else str(said)
    code = said.get("code") if isinstance(said, dict) else None
    # An HTTP error is a door's (a provider's, a proxy's) unless its text is one that nodes have for transactions.
    if status == 429 or ((status >= 400 or code in (-32005, -32603, 429)) and not _meaningful(message)):
        limited = status == 429 or code in (-32005, 429)
        raise NodeAwayError(f"{method}: the node cannot now ({code})", "NODE_RATE_LIMITED" if limited else "NODE_ERROR")
    raise NodeRefusedError(method, message)


def _receipt(found: Any) -> Receipt | None:
    if found is None or found.get("blockHash") is None:
        return None
    return Receipt(
        tx_hash=str(found["transactionHash"]).lower(),
        block_number=whole(found["blockNumber"]),
        block_hash=str(found["blockHash"]).lower(),
        status=whole(found["status"]),
        gas_used=whole(found["gasUsed"]),
        gas_price=whole(found["effectiveGasPrice"]),
        logs=_logs(found.get("logs")),
    )


def _logs(found: Any) -> tuple[erc20.Log, ...]:
    """Read a receipt's events; a receipt without a list of them is no usable answer."""
    try:
        return tuple(
            erc20.Log(str(one["address"]).lower(), tuple(str(t).lower() for t in one["topics"]), str(one["data"]))
            for one in found
        )
    except (KeyError, TypeError) as error:
        raise NodeAwayError("eth_getTransactionReceipt: no events") from error


def _meaningful(message: str) -> bool:
    text = message.lower()
    return any(part in text for _, parts in _TEXTS for part in parts)


def whole(value: Any) -> int:
    """Read a whole number of an answer."""
    try:
        return int(value, 16)
    except (TypeError, ValueError) as error:
        raise NodeAwayError("the node's answer is no number") from error
