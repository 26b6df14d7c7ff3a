"""Alchemy's webhooks in the shape of its pages: what is in a body, and how it is signed.

Owns: the three kinds that tell of a wallet, ADDRESS_ACTIVITY (one a block, with a `log` that is `removed` when the
block is gone), MINED_TRANSACTION and DROPPED_TRANSACTION. Leaves alone: when one is due, and sending it. Our own
choice: ether that is taken back gets a `log` too, since Alchemy's pages show no other place for the word.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any

#: As the real one names the chain that ours stands for.
NETWORK = "ETH_MAINNET"

ETHER = 18


def event(kind: str, told: dict[str, Any], *, at: str) -> tuple[str, str]:
    """An event's id and body."""
    event_id = f"whevt_{secrets.token_hex(8)}"
    fields = {
        "webhookId": f"wh_{hashlib.sha256(kind.encode()).hexdigest()[:16]}",
        "id": event_id,
        "createdAt": at,
        "type": kind,
        "event": {"network": NETWORK, **told},
    }
    return event_id, json.dumps(fields, separators=(",", ":"))


def signature(text: str, key: str) -> str:
    """The value of the header X-Alchemy-Signature: no prefix, no time."""
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def ether(tx: dict[str, Any]) -> dict[str, Any]:
    """Ether that a transaction carried."""
    return {
        "fromAddress": tx["from"],
        "toAddress": tx["to"],
        "blockNum": tx["blockNumber"],
        "hash": tx["hash"],
        "value": int(tx["value"], 16) / 10**ETHER,
        "asset": "ETH",
        "category": "external",
        "rawContract": {"rawValue": tx["value"], "decimals": ETHER},
    }


def token(log: dict[str, Any], symbol: str, decimals: int) -> dict[str, Any]:
    """A transfer of a token, by its log."""
    return {
        "fromAddress": "0x" + log["topics"][1][-40:],
        "toAddress": "0x" + log["topics"][2][-40:],
        "blockNum": log["blockNumber"],
        "hash": log["transactionHash"],
        "value": int(log["data"], 16) / 10**decimals,
        "asset": symbol,
        "category": "token",
        "rawContract": {"rawValue": log["data"], "address": log["address"], "decimals": decimals},
        "log": {**log, "removed": False},
    }


def removed(activity: dict[str, Any], block_hash: str) -> dict[str, Any]:
    """The same activity, of a block that is gone."""
    log = activity.get("log") or {
        "blockHash": block_hash, "blockNumber": activity["blockNum"], "transactionHash": activity["hash"],
    }  # fmt: skip
    return {**activity, "log": {**log, "removed": True}}
