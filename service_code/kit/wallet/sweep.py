"""The payer's sweeper: unsent messages, unbroadcast and stuck transactions, finality and reorganisations; and it says
what the wallet holds and what gas costs, since nobody else knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from service_code.kit import erc20, logs
from service_code.kit.call import Call
from service_code.kit.chain import NodeAwayError, NodeRefusedError, whole
from service_code.kit.money import Amount
from service_code.kit.tokens import WINDOWS, Purpose
from service_code.kit.wallet.book import Book
from service_code.kit.wallet.bump import add_variant, means_of
from service_code.kit.wallet.coins import GAS_CURRENCY
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.settle import PATIENCE, Settler

#: Nonces that one sweep looks at, how many at a time, and how many it raises the fees of.
AT_ONCE = 300
TOGETHER = 5
BUMPS = 20

_log = logs.get("sweep")


class Sweeper:
    """Handles POST /sweep."""

    def __init__(self, payer: Payer, settler: Settler, dated: Sequence[str] = ()) -> None:
        self._payer = payer
        self._dated = dated
        self._settler = settler
        self._kit = payer.kit

    async def sweep(self, call: Call) -> Mapping[str, Any]:
        """Do one round; a part that the node refuses ends early, and neither stops the other."""
        # What asks for a payout has the payout's day; confirmations and news go out however late.
        since = call.now - WINDOWS[Purpose.PAYMENT_EXECUTE] if self._dated else None
        resent = await self._kit.outbox.resend(created_after=since, dated=self._dated)
        found: dict[str, Any] = {"status": "swept", "resent": resent}
        found.update({"settled": 0, "bumped": 0, "final": 0, "reorganised": 0})
        # What keeps payouts alive comes first; looking back can wait.
        parts = ((self._open, ("settled", "bumped")), (self._finality, ("final", "reorganised")), (self._means, ()))
        for part, names in parts:
            try:
                found.update(zip(names, await part(call), strict=True))
            except (NodeAwayError, NodeRefusedError) as error:
                _log.warning("a part of the sweep ended early", what="sweep_cut", status="away", why=str(error))
                found["status"] = "node_away"
        return found

    async def _finality(self, _call: Call) -> tuple[int, int]:
        return await self._settler.finalize()

    async def _means(self, _call: Call) -> tuple[()]:
        """Log the balances and the price of gas."""
        node, wallet = self._payer.node, (await self._payer.book()).address
        tokens, question = self._payer.coins.tokens, erc20.about(erc20.BALANCE_OF, wallet)
        calls = (("eth_call", {"to": contract, "data": question}, "latest") for contract in tokens.values())
        found = await node.try_all(("eth_getBalance", wallet, "latest"), *calls)
        gas = round((await node.fees()).base_fee / 10**9, 3)
        held = [whole(found[0]), *(erc20.number(one) or 0 for one in found[1:])]
        for currency, units in zip((GAS_CURRENCY, *tokens), held, strict=True):
            balance = Amount(currency=currency, units=units).text()
            _log.info(
                "the wallet's means", what="wallet_means", status="seen", currency=currency, balance=balance,
                gas_gwei=gas if currency == GAS_CURRENCY else None,
            )  # fmt: skip
        return ()

    async def _open(self, call: Call) -> tuple[int, int]:
        own, *others = await self._payer.books()
        settled, waiting = await self._look_at(own, call)
        bumped = await self._bump(waiting, call)
        # Of an earlier wallet, whose key is gone, what is signed is settled and broadcast; nothing is raised.
        for book in others:
            settled += (await self._look_at(book, call))[0]
        return settled, bumped

    async def _look_at(self, book: Book, call: Call) -> tuple[int, list[int]]:
        """Look at a wallet's open nonces: how many are settled, and which are not."""
        async with self._kit.db.connection() as connection:
            # The younger ones are the confirmations' business.
            rows = await book.open_nonces(connection, AT_ONCE, call.now - PATIENCE)
        found: list[bool] = []
        for start in range(0, len(rows), TOGETHER):
            group = rows[start : start + TOGETHER]
            found += await asyncio.gather(*(self._look(book, row) for row in group))
        return sum(found), [row["nonce"] for row, settled in zip(rows, found, strict=True) if not settled]

    async def _look(self, book: Book, row: Any) -> bool:
        logs.about(unique_id=row["unique_id"])  # each look is a task with a context of its own
        return await self._settler.look(book, row["nonce"])

    async def _bump(self, nonces: list[int], call: Call) -> int:
        """Raise the fees of what has waited too long: the first in line, and what offers less than is asked now."""
        if not nonces:
            return 0
        book, node = await self._payer.book(), self._payer.node
        stuck = await self._kit.db.fetch(
            """
            SELECT nonce, max(max_fee) AS max_fee, (array_agg(tx_hash ORDER BY max_fee DESC))[1] AS dearest
            FROM tx_variants
            WHERE address = $1 AND chain_id = $2 AND nonce = ANY($3)
            GROUP BY nonce HAVING max(signed_at) < $4 ORDER BY nonce LIMIT $5
            """,
            *(*book.key, nonces, call.now - self._payer.stuck_after, BUMPS),
        )
        if not stuck:
            return 0
        cutoff = call.now - self._payer.stuck_after
        means, first = await means_of(self._payer), await node.nonce(book.address)
        bumped = 0
        for row in stuck:
            # What offers enough and is not with the node is to be sent there, not to be outbid.
            enough = int(row["max_fee"]) >= means.fees.max_fee
            if enough and (row["nonce"] != first or not await node.known(row["dearest"])):
                continue
            bumped += await add_variant(self._payer, row["nonce"], means, cutoff) is not None
        return bumped
