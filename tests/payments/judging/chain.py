"""The host wallet as the chain shows it: its mined transactions, what they moved, and its balances."""

from __future__ import annotations

import json
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tests.payments.judging.facts import ETHER, Sent, Spent, Wallet

#: Calls made in one request.
BATCH = 200
#: First topic of an ERC-20 transfer.
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def http(url: str, body: Any = None) -> Any:
    """The JSON answer of a GET, or of a POST of JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def rpc(url: str, *calls: tuple[str, list[Any]]) -> list[Any]:
    """Results of several calls, in order."""
    found: list[Any] = []
    for start in range(0, len(calls), BATCH):
        part = calls[start : start + BATCH]
        batch = [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, p) in enumerate(part)]
        replies = {reply["id"]: reply for reply in http(url, batch)}
        for i in range(len(part)):
            if "error" in replies[i]:
                raise RuntimeError(f"{part[i][0]}: {replies[i]['error']}")
            found.append(replies[i]["result"])
    return found


def read_wallet(
    url: str,
    address: str,
    *,
    funded: Mapping[str, int],
    tokens: Mapping[str, str] | None = None,
    first_block: int = 0,
) -> Wallet:
    """Read the wallet from a block on. `funded` is what it was given outside of transactions, by currency; a balance
    whose funding is not named is not judged. `tokens` names the currency of each token's contract."""
    wallet, named = address.lower(), {token.lower(): currency for token, currency in (tokens or {}).items()}
    latest = int(rpc(url, ("eth_blockNumber", []))[0], 16)
    numbers = range(first_block, latest + 1)
    blocks = rpc(url, *(("eth_getBlockByNumber", [hex(number), True]) for number in numbers))
    seen = [tx for block in blocks for tx in block["transactions"] if wallet in (tx["from"], tx["to"])]
    receipts = rpc(url, *(("eth_getTransactionReceipt", [tx["hash"]]) for tx in seen))
    given = defaultdict(int, funded)
    out: dict[str, list[Sent]] = defaultdict(list)
    moved: list[str] = []
    for tx_hash, sent, sender in _tokens(url, wallet, named, (first_block, latest)):
        if sender != wallet:
            given[sent.currency] += sent.units
            continue
        out[tx_hash].append(sent)
        if all(tx["hash"] != tx_hash for tx in seen):
            moved.append(f"{tx_hash} moved {sent.units} {sent.currency} to {sent.to}")
    spent = []
    for tx, receipt in zip(seen, receipts, strict=True):
        good, value = int(receipt["status"], 16) == 1, int(tx["value"], 16)
        if tx["from"] != wallet:
            given[ETHER] += value if good else 0
            continue
        if good and value and tx["to"] != wallet:
            out[tx["hash"]].append(Sent(currency=ETHER, to=(tx["to"] or "").lower(), units=value))
        spent.append(
            Spent(
                hash=tx["hash"],
                nonce=int(tx["nonce"], 16),
                block_hash=receipt["blockHash"].lower(),
                gas=int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16),
                good=good,
                out=tuple(out[tx["hash"]]),
            )
        )
    mined, pending, balance, *held = (
        int(value, 16)
        for value in rpc(
            url,
            ("eth_getTransactionCount", [wallet, "latest"]),
            ("eth_getTransactionCount", [wallet, "pending"]),
            ("eth_getBalance", [wallet, "latest"]),
            *(("eth_call", [{"to": one, "data": "0x70a08231" + wallet[2:].zfill(64)}, "latest"]) for one in named),
        )
    )
    return Wallet(
        address=wallet,
        spent=spent,
        mined=mined,
        pending=pending,
        balances={ETHER: balance, **dict(zip(named.values(), held, strict=True))},
        owned={currency: given[currency] for currency in funded},
        moved=tuple(moved),
    )


def _tokens(url: str, wallet: str, named: dict[str, str], span: tuple[int, int]) -> list[tuple[str, Sent, str]]:
    """Token transfers from and to the wallet: transaction, what was moved, and whose it was."""
    if not named:
        return []
    padded = "0x" + wallet[2:].zfill(64)
    where = {"fromBlock": hex(span[0]), "toBlock": hex(span[1]), "address": list(named)}
    went, came = rpc(
        url,
        ("eth_getLogs", [{**where, "topics": [TRANSFER, padded]}]),
        ("eth_getLogs", [{**where, "topics": [TRANSFER, None, padded]}]),
    )
    found = []
    for entry in [*went, *(one for one in came if one["topics"][1] != padded)]:
        sender, to = ("0x" + topic[-40:].lower() for topic in entry["topics"][1:3])
        moved = Sent(currency=named[entry["address"].lower()], to=to, units=int(entry["data"], 16))
        found.append((entry["transactionHash"], moved, sender))
    return found
