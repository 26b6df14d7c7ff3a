"""What operators may do with the wallet: look at it, resume it when it is stopped, abandon a stuck payout.

Nothing here ever pays. A payout that is abandoned, or whose nonce is lost, fails only when the chain has settled it for
good, and goes on by gcsplit's replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from service_code.kit import actions, erc20, logs
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.chain import NodeAwayError, NodeRefusedError
from service_code.kit.db import Connection
from service_code.kit.service import Incoming, Reply
from service_code.kit.wallet.book import Book, unsettled
from service_code.kit.wallet.bump import add_variant, means_of
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.settle import Settler

_log = logs.get("operate")

Desk = TypeVar("Desk")
Door = Callable[[Desk, Incoming, Call], Awaitable[Reply]]


def needs_node(door: Door[Desk]) -> Door[Desk]:
    """Answer 502 while the node is away."""

    @wraps(door)
    async def run(self: Desk, incoming: Incoming, call: Call) -> Reply:
        try:
            return await door(self, incoming, call)
        except (NodeAwayError, NodeRefusedError) as error:
            return Reply(502, {"error": "NODE_AWAY", "reason": str(error)})

    return run


class Operating:
    """Answers operators."""

    def __init__(self, payer: Payer, settler: Settler) -> None:
        self._payer = payer
        self._settler = settler
        self._kit = payer.kit

    @needs_node
    async def wallet(self, _incoming: Incoming, call: Call) -> Reply:
        """GET /wallet."""
        book, node, tokens = await self._payer.book(), self._payer.node, self._payer.coins.tokens
        balance, count = await asyncio.gather(node.balance(book.address), node.nonce(book.address))
        row = await self._kit.db.row("SELECT * FROM wallets WHERE address = $1 AND chain_id = $2", *book.key)
        async with self._kit.db.connection() as connection:
            spent, held = await book.spent(connection, call.now), await book.held(connection)
            waiting = await book.open_nonces(connection, 1000, call.now)
            earlier = {
                other.address: [one["nonce"] for one in await other.open_nonces(connection, 1000, call.now)]
                for other in await unsettled(connection, book.chain_id)
                if other.key != book.key
            }
        body: dict[str, Any] = {
            "address": book.address,
            "chain_id": book.chain_id,
            "balance": str(balance),
            "chain_nonce": count,
            "next_nonce": row["next_nonce"] if row else None,
            "open_nonces": [one["nonce"] for one in waiting],
            "spent_today": str(spent),
            "held": str(held),
            "stopped": row["stopped_why"] if row else None,
            "earlier": earlier,
            "tokens": {name: await self._token(name, contract, call) for name, contract in tokens.items()},
        }
        return Reply(200, body)

    async def _token(self, currency: str, contract: str, call: Call) -> dict[str, Any]:
        """What the wallet has of a token; no balance where the contract tells of none."""
        book, node = await self._payer.book(), self._payer.node
        question = {"to": contract, "data": erc20.about(erc20.BALANCE_OF, book.address)}
        (answer,) = await node.try_all(("eth_call", question, "latest"))
        balance = erc20.number(answer)
        async with self._kit.db.connection() as connection:
            held = await book.held_tokens(connection, currency)
            spent = await book.spent_tokens(connection, currency, call.now)
        return {
            "contract": contract,
            "balance": None if balance is None else str(balance),
            "held": str(held),
            "spent_today": str(spent),
        }

    @needs_node
    async def resume(self, incoming: Incoming, call: Call) -> Reply:
        """POST /wallet/resume?wallet=: give up nonces that others have used for good, and start after the chain's last.

        `wallet` names an earlier wallet, of which nothing is signed any more: its nonces are given up alike.
        """
        wish = actions.texts(incoming.body)
        book, node = await self._book_of(incoming.query.get("wallet", "")), self._payer.node
        if book is None:
            return Reply(404, {"error": "UNKNOWN_WALLET", "reason": "no wallet of this address has signed here"})
        async with self._kit.db.connection() as connection:
            waiting = await book.open_nonces(connection, 1000, call.now)
        final_block = await node.finalized()
        final = await node.nonce(book.address, hex(max(final_block, 0)))
        latest, pending = await asyncio.gather(node.nonce(book.address), node.nonce(book.address, "pending"))
        lost: list[int] = []
        for row in waiting:
            if row["nonce"] < latest and not await self._settler.look(book, row["nonce"]):
                lost.append(row["nonce"])
        mined = [nonce for nonce in lost if await self._settler.in_block(book, nonce)]
        if mined:
            reason = f"the node has no receipt of nonces {mined} and our transactions in its blocks: try again"
            return Reply(409, {"error": "NODE_CONTRADICTS_ITSELF", "reason": reason})
        unsettled = [nonce for nonce in lost if nonce >= final]
        if unsettled:
            reason = (
                f"nonces {unsettled} were used by somebody else, but not for good yet: try again when they are final"
            )
            return Reply(409, {"error": "NOT_FINAL", "reason": reason})
        connection = await call.begin()
        wallet = await book.lock(connection, latest)
        next_nonce = max(wallet.next_nonce, latest)
        refused = _not_yet(wallet.next_nonce, final, latest, pending)
        if refused is not None:
            await call.rollback()
            return refused
        await connection.execute(
            """
            WITH lost AS (
                UPDATE wallet_nonces SET state = 'foreign', most = 0, token_most = 0, closed_at = $4, final_at = $4
                WHERE address = $1 AND chain_id = $2 AND nonce = ANY($3) AND state = 'open' RETURNING nonce
            )
            UPDATE split_payout_hostpay SET status = 'failed', error_code = 'NONCE_TAKEN', final_at = $4
            WHERE wallet = $1 AND chain_id = $2 AND nonce IN (SELECT nonce FROM lost)
            """,
            *(*book.key, lost, call.now),
        )
        done = Action(
            verb="resume", kind="wallet", subject=book.address, before=wallet.stopped_why or "running",
            after=f"running, next nonce {next_nonce}, lost {lost}", why=wish.get("why"),
        )  # fmt: skip
        await actions.note(incoming, call, done, by=wish.get("by"))
        await connection.execute(
            "UPDATE wallets SET stopped_at = NULL, stopped_why = NULL, next_nonce = $3 "
            "WHERE address = $1 AND chain_id = $2",
            *(*book.key, next_nonce),
        )
        _log.warning("the wallet is resumed", what="wallet_resumed", status="running", lost=lost)
        return Reply(200, {"status": "running", "next_nonce": next_nonce, "lost": lost})

    async def _book_of(self, address: str) -> Book | None:
        """The book of a wallet that has signed on this chain; the present one's where none is named."""
        own = await self._payer.book()
        if not address:
            return own
        sql = "SELECT address FROM wallets WHERE lower(address) = lower($1) AND chain_id = $2"
        row = await self._kit.db.row(sql, address, own.chain_id)
        return None if row is None else Book(row["address"], own.chain_id)

    @needs_node
    async def abandon(self, incoming: Incoming, call: Call) -> Reply:
        """POST /payouts/{unique_id}/abandon: fill the nonce of a stuck payout by a transfer to oneself."""
        unique_id, wish = incoming.path["unique_id"], actions.texts(incoming.body)
        call.about(unique_id)
        row = await self._kit.db.row(
            """
            SELECT h.nonce, h.wallet, h.chain_id FROM split_payout_hostpay h
            JOIN wallet_nonces n ON n.address = h.wallet AND n.chain_id = h.chain_id AND n.nonce = h.nonce
            WHERE h.unique_id = $1 AND n.state = 'open'
            """,
            unique_id,
        )
        if row is None:
            return Reply(404, {"error": "NOT_OPEN", "reason": "no payout of this payment is waiting for the chain"})
        if (row["wallet"], row["chain_id"]) != (await self._payer.book()).key:
            reason = (
                f"{row['wallet']} on chain {row['chain_id']} has signed it: this wallet's key cannot fill its nonce"
            )
            return Reply(409, {"error": "OTHER_WALLET", "reason": reason})

        async def note(connection: Connection) -> None:
            done = Action(
                verb="abandon", kind="payment", subject=unique_id, before=f"nonce {row['nonce']} is open",
                after="abandoning", why=wish.get("why"),
            )  # fmt: skip
            await actions.note(incoming, call, done, by=wish.get("by"), connection=connection)

        signed = await add_variant(self._payer, row["nonce"], await means_of(self._payer), abandoned=note)
        if signed is None:
            reason = "it is settled, or the fee limit, the balance or a stop forbids it"
            return Reply(409, {"error": "NOT_POSSIBLE", "reason": reason})
        return Reply(202, {"status": "abandoning", "unique_id": unique_id, "tx_hash": signed.tx_hash})


def _not_yet(next_nonce: int, final: int, latest: int, pending: int) -> Reply | None:
    """Refuse to go on after others' transactions that the chain may lose: a nonce left out would hold all after it."""
    if final < latest and next_nonce < latest:
        first = max(final, next_nonce)
        reason = f"nonces {first} to {latest - 1} were used by somebody else, not for good yet: try again when final"
        return Reply(409, {"error": "NOT_FINAL", "reason": reason})
    following = max(next_nonce, latest)
    if pending > following:
        reason = (
            f"somebody else's transactions wait for the nonces {following} to {pending - 1}: try again when they are "
            "final, or when no node has them any more"
        )
        return Reply(409, {"error": "FOREIGN_PENDING", "reason": reason})
    return None
