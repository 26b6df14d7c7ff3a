"""What news of the chain lead to: the payer looks at the chain itself, and does at once what the sweeper would do.

Nothing that a webhook says is believed. A payout that is not settled is looked for; of one that is, the block must
still stand. Nodes lag: where the node does not yet see what the news said, the queue asks again some times, and then
leaves it to the sweeper.
"""

from __future__ import annotations

from typing import Any

from service_code.kit.call import Call
from service_code.kit.chain import NodeAwayError, NodeRefusedError
from service_code.kit.news import ChainNews
from service_code.kit.outcomes import Dead, Done, Outcome, Retry
from service_code.kit.wallet import confirmations
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.settle import Settler

#: Looks at a chain that does not show what the news said.
LOOKS = 3


class Heeder:
    """Handles POST /look."""

    def __init__(self, payer: Payer, settler: Settler) -> None:
        self._payer = payer
        self._settler = settler
        self._kit = payer.kit

    async def heed(self, news: ChainNews, call: Call) -> Outcome:
        """Look at the chain for one payout."""
        row = await self._kit.db.row(
            """
            SELECT h.wallet, h.chain_id, n.nonce, n.state, n.final_at, v.tx_hash, v.mined_block, v.mined_block_hash
            FROM split_payout_hostpay h
            JOIN wallet_nonces n ON n.address = h.wallet AND n.chain_id = h.chain_id AND n.nonce = h.nonce
            LEFT JOIN tx_variants v ON v.address = n.address AND v.chain_id = n.chain_id AND v.nonce = n.nonce
                AND v.mined_block IS NOT NULL
            WHERE h.unique_id = $1 AND h.generation = $2
            """,
            *(news.unique_id, news.generation),
        )
        if row is None:
            return Dead("UNKNOWN_PAYOUT", "no payout of this id and generation is signed")
        if row["final_at"] is not None or row["state"] == "foreign":
            return Done("already_final")
        try:
            seen = await self._look(row, news)
        except (NodeAwayError, NodeRefusedError) as error:
            return Retry(str(error))
        if seen is None:
            last = call.attempt >= LOOKS
            return Done("left_to_the_sweeper") if last else Retry(f"the chain does not show yet what was {news.said}")
        return Done(seen)

    async def _look(self, row: Any, news: ChainNews) -> str | None:
        """Say what was found; nothing, where the chain does not show what the news said."""
        book = await self._payer.book_of(row["wallet"], row["chain_id"])
        if row["state"] == "open":
            if await self._settler.look(book, row["nonce"]):
                return "settled"
            return None if news.said == "mined" else "open"
        number = row["mined_block"]
        stands = (await self._payer.node.block_hashes([number]))[number]
        if stands == row["mined_block_hash"]:
            await confirmations.note(self._payer, book, [(number, row["mined_block_hash"])])
            return "stands" if news.said == "mined" else None
        if stands is None:  # the node may be behind, or the new branch is not as long yet
            return None
        await self._settler.take_back(book, row)
        return "mined_anew" if await self._settler.look(book, row["nonce"]) else "taken_back"
