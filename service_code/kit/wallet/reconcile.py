"""The wallet's book against the chain and the ledger, for `sluice reconcile`. Reads and never writes.

Every transaction of the wallet takes a nonce: one that the chain has used and the book does not know was signed by
somebody else who holds the key. What the book says is mined must have its receipt, and both must be what is posted.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from service_code.kit import erc20
from service_code.kit.call import Call
from service_code.kit.chain import Receipt, whole
from service_code.kit.clock import stamp
from service_code.kit.service import Incoming, Reply
from service_code.kit.wallet.coins import GAS_CURRENCY
from service_code.kit.wallet.operate import needs_node
from service_code.kit.wallet.payer import Payer

#: Differences that are named, nonces of others whose transaction is looked for, receipts asked for at once.
NAMED, SOUGHT, TOGETHER = 200, 5, 10
#: Mined transactions of one page.
PAGE = 100
#: What is mined and final since longer is not asked for again, unless all is.
LATELY = timedelta(days=1)
#: Blocks in which tokens are looked for that somebody else moved.
LOOK_BACK = 5_000
#: An open nonce that is younger may be on its way.
PATIENCE = timedelta(minutes=2)

MISSING = """
    SELECT place AS nonce FROM generate_series($3::bigint, $4::bigint - 1) AS place
    WHERE NOT EXISTS (SELECT 1 FROM wallet_nonces n WHERE n.address = $1 AND n.chain_id = $2 AND n.nonce = place)
    ORDER BY place LIMIT $5
"""
#: What the ledger says of each transaction against what the book says was mined.
POSTED = """
    SELECT tx_hash, currency, min(unique_id) AS unique_id, sum(ledger) AS ledger, sum(book) AS book, min(at) AS since
    FROM (
        SELECT p.reference AS tx_hash, e.currency, p.unique_id, e.amount AS ledger, 0 AS book, p.posted_at AS at
        FROM ledger_postings p JOIN ledger_entries e USING (entry_key) WHERE e.account = 'host_wallet'
        UNION ALL
        SELECT v.tx_hash, $1, n.unique_id, 0, -(v.gas_used * v.gas_price), n.closed_at
        FROM tx_variants v JOIN wallet_nonces n USING (address, chain_id, nonce) WHERE v.mined_block IS NOT NULL
        UNION ALL
        SELECT v.tx_hash, $1, n.unique_id, 0, -v.value, n.closed_at
        FROM tx_variants v JOIN wallet_nonces n USING (address, chain_id, nonce)
        WHERE v.mined_block IS NOT NULL AND v.receipt_status = 1 AND v.kind = 'payout'
        UNION ALL
        SELECT v.tx_hash, n.currency, n.unique_id, 0, -v.token_moved, n.closed_at
        FROM tx_variants v JOIN wallet_nonces n USING (address, chain_id, nonce)
        WHERE v.mined_block IS NOT NULL AND v.token_moved > 0
    ) AS sides GROUP BY tx_hash, currency HAVING sum(ledger) <> sum(book) ORDER BY tx_hash LIMIT $2
"""
LEDGER = "SELECT currency, balance FROM ledger_balances WHERE account = 'host_wallet' ORDER BY currency"
MINED = """
    SELECT n.nonce, n.unique_id, n.closed_at, v.tx_hash, v.mined_block_hash, v.receipt_status, v.gas_used, v.gas_price
    FROM wallet_nonces n JOIN tx_variants v USING (address, chain_id, nonce)
    WHERE n.address = $1 AND n.chain_id = $2 AND n.state = 'mined' AND v.mined_block IS NOT NULL AND n.nonce > $3
      AND ($4::timestamptz IS NULL OR n.final_at IS NULL OR n.final_at > $4) ORDER BY n.nonce LIMIT $5
"""


class Reconciling:
    """Answers operators."""

    def __init__(self, payer: Payer) -> None:
        self._payer = payer
        self._kit = payer.kit

    @needs_node
    async def wallet(self, _incoming: Incoming, call: Call) -> Reply:
        """GET /reconcile/wallet: balances and nonces on both sides, and what is posted otherwise than it was mined."""
        book, node = await self._payer.book(), self._payer.node
        async with self._kit.db.connection() as connection:
            row = await connection.fetchrow(
                "SELECT next_nonce, stopped_at, stopped_why FROM wallets WHERE address = $1 AND chain_id = $2",
                *book.key,
            )
            first = await connection.fetchval(
                "SELECT min(nonce) FROM wallet_nonces WHERE address = $1 AND chain_id = $2", *book.key
            )
        # The chain is asked between two readings of the book: what is signed meanwhile is in the second.
        count, pending, balance = await asyncio.gather(
            node.nonce(book.address), node.nonce(book.address, "pending"), node.balance(book.address)
        )
        following = row["next_nonce"] if row else count
        start = first if first is not None else following
        async with self._kit.db.connection() as connection, connection.transaction(isolation="repeatable_read"):
            unknown = await connection.fetch(MISSING, *book.key, start, max(count, following), NAMED)
            waiting = await book.open_nonces(connection, NAMED, call.now - PATIENCE)
            posted = await connection.fetch(POSTED, GAS_CURRENCY, NAMED)
            ledger = {one["currency"]: int(one["balance"]) for one in await connection.fetch(LEDGER)}
        foreign = [one["nonce"] for one in unknown if one["nonce"] < count]
        gaps = [one["nonce"] for one in unknown if one["nonce"] >= count]
        taken = [one for one in waiting if one["nonce"] < count]
        lost = [one for one, mined in zip(taken, await self._mined(taken), strict=True) if not mined]
        sought = await asyncio.gather(*(self._whose(nonce) for nonce in foreign[:SOUGHT]))
        chain = {GAS_CURRENCY: balance, **await self._tokens()}
        return Reply(
            200,
            {
                "now": stamp(call.now),
                "address": book.address,
                "chain_id": book.chain_id,
                "stopped": row["stopped_why"] if row else None,
                "stopped_at": stamp(row["stopped_at"]) if row and row["stopped_at"] else None,
                "chain_nonce": count,
                "pending_nonce": pending,
                "next_nonce": row["next_nonce"] if row else None,
                "sums": [
                    {"currency": one, "chain": str(chain[one]), "ledger": str(ledger.get(one, 0))} for one in chain
                ],
                "foreign": [
                    *({"nonce": nonce, **(found or {})} for nonce, found in zip(foreign, sought, strict=False)),
                    *({"nonce": nonce} for nonce in foreign[SOUGHT:]),
                ],
                "gaps": gaps,
                "lost": [_nonce(one) for one in lost],
                "moved": await self._moved(),
                "unposted": [_nonce(one) for one in taken if one not in lost],
                "posted_otherwise": [_posted(one) for one in posted],
            },
        )

    @needs_node
    async def payouts(self, incoming: Incoming, call: Call) -> Reply:
        """GET /reconcile/payouts?after=&all=: mined ones of the book against their receipts, by nonce."""
        book = await self._payer.book()
        after = incoming.query.get("after", "")
        if after and not (after.isascii() and after.isdigit() and len(after) < 18):
            return Reply(400, {"error": "BAD_REQUEST", "reason": "after must be a nonce"})
        since = None if incoming.query.get("all") == "true" else call.now - LATELY
        rows = await self._kit.db.fetch(MINED, *book.key, int(after) if after else -1, since, PAGE)
        found = []
        for start in range(0, len(rows), TOGETHER):
            part = rows[start : start + TOGETHER]
            receipts = await asyncio.gather(*(self._payer.node.receipt(row["tx_hash"]) for row in part))
            found += [
                {**_nonce(row), "tx_hash": row["tx_hash"], "why": why}
                for row, receipt in zip(part, receipts, strict=True)
                if (why := _differs(row, receipt))
            ]
        following = str(rows[-1]["nonce"]) if len(rows) == PAGE else None
        return Reply(200, {"now": stamp(call.now), "compared": len(rows), "differing": found, "next": following})

    async def _tokens(self) -> dict[str, int]:
        """What the chain says of each token."""
        book, node = await self._payer.book(), self._payer.node
        data = erc20.about(erc20.BALANCE_OF, book.address)
        contracts = self._payer.coins.tokens
        calls = [("eth_call", {"to": contract, "data": data}, "latest") for contract in contracts.values()]
        answers = await node.ask_all(*calls) if calls else []
        return dict(zip(contracts, (whole(answer) for answer in answers), strict=True))

    async def _moved(self) -> list[dict[str, Any]]:
        """Tokens that lately left the wallet by no transaction of the book: a spender that was once approved needs no
        nonce."""
        book, node = await self._payer.book(), self._payer.node
        contracts = {contract.lower(): currency for currency, contract in self._payer.coins.tokens.items()}
        if not contracts:
            return []
        sender = "0x" + book.address.lower().removeprefix("0x").rjust(64, "0")
        wish = {
            "fromBlock": hex(max(0, await node.head() - LOOK_BACK)),
            "toBlock": "latest",
            "address": list(contracts),
            "topics": [erc20.TRANSFERRED, sender],
        }
        events = [event for event in await node.ask("eth_getLogs", wish) if event["topics"][2] != sender]
        hashes = [str(event["transactionHash"]).lower() for event in events]
        known = await self._kit.db.fetch("SELECT tx_hash FROM tx_variants WHERE tx_hash = ANY($1)", hashes)
        ours = {row["tx_hash"] for row in known}
        return [
            {
                "tx_hash": tx_hash,
                "currency": contracts[str(event["address"]).lower()],
                "to": "0x" + event["topics"][2][-40:],
                "value": str(whole(event["data"])),
            }
            for tx_hash, event in zip(hashes, events, strict=True)
            if tx_hash not in ours
        ][:NAMED]

    async def _mined(self, rows: list[Any]) -> list[bool]:
        """Whether any variant of each nonce has a receipt."""
        book = await self._payer.book()
        found = []
        for row in rows:
            async with self._kit.db.connection() as connection:
                variants = await book.variants(connection, row["nonce"])
            receipts = [await self._payer.node.receipt(variant["tx_hash"]) for variant in variants]
            found.append(any(receipt is not None for receipt in receipts))
        return found

    async def _whose(self, nonce: int) -> dict[str, Any] | None:
        """The transaction that took a nonce, by halving the chain; nothing where the node keeps no old states."""
        book, node = await self._payer.book(), self._payer.node
        low, high = 0, await node.head()
        try:
            while low < high:
                middle = (low + high) // 2
                if await node.nonce(book.address, hex(middle)) > nonce:
                    high = middle
                else:
                    low = middle + 1
            block = await node.ask("eth_getBlockByNumber", hex(low), True)
        except Exception:  # a pruned node refuses in words of its own: the nonce alone is then what is known
            return None
        for tx in block["transactions"] if block else []:
            if str(tx["from"]).lower() == book.address.lower() and int(tx["nonce"], 16) == nonce:
                at = int(block["timestamp"], 16)
                value = str(int(tx["value"], 16))
                return {"tx_hash": tx["hash"], "to": tx["to"], "value": value, "block": low, "mined_at": at}
        return None


def _nonce(row: Any) -> dict[str, Any]:
    at = row["closed_at"] or row.get("allocated_at")
    return {"nonce": row["nonce"], "unique_id": row["unique_id"], "since": at and stamp(at)}


def _posted(row: Any) -> dict[str, Any]:
    return {
        "tx_hash": row["tx_hash"],
        "unique_id": row["unique_id"],
        "currency": row["currency"],
        "ledger": str(row["ledger"]),
        "book": str(row["book"]),
        "since": row["since"] and stamp(row["since"]),
    }


def _differs(row: Any, receipt: Receipt | None) -> str | None:
    if receipt is None:
        return "the chain has no receipt of it"
    if receipt.block_hash != row["mined_block_hash"]:
        return "the chain has it in another block"
    if (receipt.status, receipt.gas_used, receipt.gas_price) != (
        row["receipt_status"],
        int(row["gas_used"]),
        int(row["gas_price"]),
    ):
        return "its receipt says otherwise than the book"
    return None
