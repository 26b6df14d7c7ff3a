"""How many blocks stand on a mined payout: noted when somebody looks, by the sweeper until it is final.

One statement for all payouts of some blocks. A number only grows, since a node may lag; a reorganisation takes it away
with the block. Rows that somebody else has in hand are left to the next round.
"""

from __future__ import annotations

from collections.abc import Sequence

from service_code.kit.wallet.book import Book
from service_code.kit.wallet.payer import Payer


async def note(payer: Payer, book: Book, blocks: Sequence[tuple[int, str]]) -> None:
    """Count the confirmations of payouts in blocks that stand."""
    if not blocks:
        return
    head = await payer.node.head()
    await payer.kit.db.fetch(
        """
        WITH due AS (
            SELECT h.id, $3 - h.block_number + 1 AS confirmations
            FROM wallet_nonces n JOIN split_payout_hostpay h
                ON h.wallet = n.address AND h.chain_id = n.chain_id AND h.nonce = n.nonce
            WHERE n.address = $1 AND n.chain_id = $2 AND n.state = 'mined' AND n.final_at IS NULL
              AND h.block_hash = ANY($4) AND $3 - h.block_number + 1 > coalesce(h.confirmations, 0)
            FOR UPDATE OF h SKIP LOCKED
        )
        UPDATE split_payout_hostpay h SET confirmations = due.confirmations FROM due WHERE h.id = due.id
        """,
        *(*book.key, head, [hash_ for _, hash_ in blocks]),
    )
