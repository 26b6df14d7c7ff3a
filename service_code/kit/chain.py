"""An Ethereum node over JSON-RPC: the few calls that paying needs, and its errors by what they mean.

A call that got no answer says nothing about what the node did: NodeAwayError. An answer that refuses says something:
NodeRefusedError with what is meant, as far as nodes' texts tell. The node's URL holds a key and is never logged.
"""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

from service_code.kit import logs
from service_code.kit.outside import Outside, UnreachableError

#: Seconds for one call to the node.
TIMEOUT = 8.0
#: The least tip, in wei per gas: blocks are not empty for ever.
LEAST_TIP = 100_000_000
#: Blocks whose tips are looked at, and seconds for which the answer serves.
FEE_BLOCKS = 5
FEES_LIVE = 2.0
#: What a transfer of ether to a plain account costs.
TRANSFER_GAS = 21_000

_log = logs.get("chain")


class Refusal(Enum):
    """What a node's refusal means for a transaction."""

    ALREADY_KNOWN = "already known"
    NONCE_TOO_LOW = "nonce too low"
    UNDERPRICED = "underpriced"
    INSUFFICIENT_FUNDS = "insufficient funds"
    REVERTED = "reverted"
    OTHER = "other"


_TEXTS = (
    (Refusal.ALREADY_KNOWN, ("already known", "already imported", "known transaction", "alreadyknown")),
    (Refusal.NONCE_TOO_LOW, ("nonce too low", "nonce is too low", "invalid nonce", "oldnonce")),
    (Refusal.UNDERPRICED, ("underpriced", "fee too low", "less than block base fee", "max fee per gas less than")),
    (Refusal.INSUFFICIENT_FUNDS, ("insufficient funds", "insufficient balance")),
    (Refusal.REVERTED, ("revert",)),
)


class NodeAwayError(RuntimeError):
    """The node gave no usable answer; a transaction that was sent may or may not be known to it."""


class NodeRefusedError(RuntimeError):
    """The node answered no."""

    def __init__(self, method: str, message: str) -> None:
        super().__init__(f"{method}: {message[:200]}")
        text = message.lower()
        self.refusal = next(
            (refusal for refusal, parts in _TEXTS if any(part in text for part in parts)), Refusal.OTHER
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fees:
    """What a transaction offers for gas, in wei."""

    max_fee: int
    max_priority_fee: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """How a transaction was mined."""

    tx_hash: str
    block_number: int
    block_hash: str
    status: int
    gas_used: int
    gas_price: int


class Node:
    """A client of one node."""

    def __init__(self, url: str, outside: Outside) -> None:
        self._url = url
        self._outside = outside
        self._ids = itertools.count(1)
        self._fees: tuple[float, Fees | None] = (0.0, None)

    async def ask(self, method: str, *params: Any) -> Any:
        """Make one call."""
        wish = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        headers = {"Content-Type": "application/json"}
        try:
            answer = await self._outside.call(
                "POST", self._url, what=method, headers=headers, body=json.dumps(wish).encode(), timeout=TIMEOUT
            )
        except UnreachableError as error:
            _log.warning("the node is away", what="rpc_call", status="unreachable", method=method)
            raise NodeAwayError(str(error)) from error
        body = answer.json()
        if not isinstance(body, dict) or ("result" not in body and "error" not in body):
            _log.warning("the node gave no answer", what="rpc_call", status=answer.status, method=method)
            raise NodeAwayError(f"{method}: the node answered {answer.status}")
        said = body.get("error")
        if said is None:
            return body["result"]
        message = str(said.get("message", "")) if isinstance(said, dict) else str(said)
        code = said.get("code") if isinstance(said, dict) else None
        if answer.status == 429 or (code in (-32005, -32603, 429) and not _meaningful(message)):
            raise NodeAwayError(f"{method}: the node cannot now ({code})")
        raise NodeRefusedError(method, message)

    async def chain_id(self) -> int:
        """Return the chain's id."""
        return _int(await self.ask("eth_chainId"))

    async def balance(self, address: str) -> int:
        """Return the balance in wei."""
        return _int(await self.ask("eth_getBalance", address, "latest"))

    async def nonce(self, address: str, block: str = "latest") -> int:
        """Return how many transactions an account has sent, as of a block."""
        return _int(await self.ask("eth_getTransactionCount", address, block))

    async def estimate_gas(self, sender: str, to: str, value: int) -> int:
        """Simulate a transfer and return the gas it takes."""
        return _int(await self.ask("eth_estimateGas", {"from": sender, "to": to, "value": hex(value)}))

    async def fees(self) -> Fees:
        """Return an offer that outlives several full blocks: twice the base fee and the usual tip of late."""
        at, fees = self._fees
        if fees is not None and time.monotonic() - at < FEES_LIVE:
            return fees
        history = await self.ask("eth_feeHistory", hex(FEE_BLOCKS), "latest", [50])
        try:
            base = _int(history["baseFeePerGas"][-1])
            tips = sorted(_int(block[0]) for block in history.get("reward") or ())
        except (KeyError, IndexError, TypeError) as error:
            raise NodeAwayError("eth_feeHistory: no base fee") from error
        tip = max(tips[len(tips) // 2] if tips else 0, LEAST_TIP)
        fees = Fees(max_fee=2 * base + tip, max_priority_fee=tip)
        self._fees = (time.monotonic(), fees)
        return fees

    async def send(self, raw: bytes) -> None:
        """Broadcast a signed transaction."""
        await self.ask("eth_sendRawTransaction", "0x" + raw.hex())

    async def known(self, tx_hash: str) -> bool:
        """Tell whether the node has this transaction, mined or waiting."""
        return await self.ask("eth_getTransactionByHash", tx_hash) is not None

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Return how a transaction was mined, or nothing while it is not."""
        found = await self.ask("eth_getTransactionReceipt", tx_hash)
        if found is None or found.get("blockHash") is None:
            return None
        return Receipt(
            tx_hash=str(found["transactionHash"]).lower(),
            block_number=_int(found["blockNumber"]),
            block_hash=str(found["blockHash"]).lower(),
            status=_int(found["status"]),
            gas_used=_int(found["gasUsed"]),
            gas_price=_int(found["effectiveGasPrice"]),
        )

    async def head(self) -> int:
        """Return the newest block's number."""
        return _int(await self.ask("eth_blockNumber"))

    async def block_hash(self, number: int) -> str | None:
        """Return the hash of the block that now stands at a number."""
        block = await self.ask("eth_getBlockByNumber", hex(number), False)
        return str(block["hash"]).lower() if block else None

    async def finalized(self) -> int:
        """Return the number of the newest block that the chain will not take back."""
        block = await self.ask("eth_getBlockByNumber", "finalized", False)
        return _int(block["number"]) if block else -1


def _meaningful(message: str) -> bool:
    text = message.lower()
    return any(part in text for _, parts in _TEXTS for part in parts)


def _int(value: Any) -> int:
    try:
        return int(value, 16)
    except (TypeError, ValueError) as error:
        raise NodeAwayError("the node's answer is no number") from error
