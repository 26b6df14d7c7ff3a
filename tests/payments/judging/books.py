"""The database as a judge reads it: the rows that money hangs on, and the ledger's postings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.payments.judging.facts import ETHER, Lines

QUERIES = {
    "requests": "SELECT unique_id, source_event, currency, amount, threshold_usdt FROM split_payout_request",
    "splits": "SELECT unique_id, payin_address, from_currency, from_amount, status FROM split_payout_que",
    "payouts": "SELECT unique_id, payin_address, from_currency, from_amount, status, tx_hash FROM split_payout_hostpay",
    "deaths": "SELECT unique_id, generation, status, currency, amount, payin_address FROM failed_transactions",
    "gathered": "SELECT unique_id, client_wallet, currency, accumulated_eth, batch_id FROM payout_accumulation",
    "batches": "SELECT batch_id, client_wallet, currency, amount, members, status FROM payout_batches",
    "letters": "SELECT unique_id, code FROM dead_letters WHERE service = 'gcwebhook'",
    "variants": "SELECT v.tx_hash, n.state FROM tx_variants v JOIN wallet_nonces n USING (address, chain_id, nonce)",
    "events": "SELECT event_id, status, code FROM paynow_events",
    "credits": "SELECT credit_key, event_id, user_id, points FROM wallet_credits",
    "users": "SELECT user_id, customer_id, points FROM wallet_users",
}
POSTINGS = (
    "SELECT p.entry_key, p.unique_id, e.account, e.currency, e.amount FROM ledger_postings p"
    " LEFT JOIN ledger_entries e USING (entry_key)"
)

Row = Any
#: Kinds of postings that follow a mined transaction, and have its hash and block in their key.
CHAINED = ("payout", "gas", "stray")

#: entry_key -> (unique_id, lines)
Ledger = dict[str, tuple[str, Lines]]


@dataclass(frozen=True, kw_only=True)
class Books:
    """What the system has written down."""

    ledger: Ledger
    requests: list[Row]
    splits: list[Row]
    payouts: list[Row]
    deaths: list[Row]
    gathered: list[Row]
    batches: list[Row]
    letters: list[Row]
    variants: list[Row]
    events: list[Row]
    credits: list[Row]
    users: list[Row]


def account_of(account: str, currency: str) -> str:
    """An account's name, with its currency unless that is ether."""
    return account if currency == ETHER else f"{account}/{currency}"


@asynccontextmanager
async def connected(database: Any) -> AsyncIterator[Any]:
    """A connection to a DSN, or the connection that was given, which stays open."""
    if not isinstance(database, str):
        yield database
        return
    connection = await asyncpg.connect(database)
    try:
        yield connection
    finally:
        await connection.close()


async def read_books(database: Any) -> Books:
    """Read all of it, of one moment."""
    async with (
        connected(database) as connection,
        connection.transaction(isolation=None if connection.is_in_transaction() else "repeatable_read"),
    ):
        rows = {name: await connection.fetch(sql) for name, sql in QUERIES.items()}
        return Books(ledger=await _postings(connection), **rows)


async def read_ledger(database: Any) -> Ledger:
    """Read the postings alone."""
    async with connected(database) as connection:
        return await _postings(connection)


async def _postings(connection: Any) -> Ledger:
    found: Ledger = {}
    for row in await connection.fetch(POSTINGS):
        _, lines = found.setdefault(row["entry_key"], (row["unique_id"] or "", {}))
        if row["account"] is not None:
            account = account_of(row["account"], row["currency"])
            lines[account] = lines.get(account, 0) + int(row["amount"])
    return found


def net(ledger: Ledger) -> dict[str, Lines]:
    """Postings by what they stand for: reversals taken off; block hashes, ordinals and generations left out."""
    found: dict[str, Lines] = defaultdict(dict)
    for key, (unique_id, lines) in ledger.items():
        kind, _, rest = key.removeprefix("reversal:").partition(":")
        if kind in ("dead", "revive"):
            name = f"dead:{unique_id or rest.rpartition(':')[0]}"
        elif kind in ("recovered", "stray_settled"):
            name = f"{kind}:{unique_id or rest.rpartition(':')[0]}"
        else:
            name = f"{kind}:{rest.partition('@')[0] if kind in CHAINED else rest}"
        for account, amount in lines.items():
            found[name][account] = found[name].get(account, 0) + amount
    return {name: kept for name, lines in found.items() if (kept := {a: v for a, v in lines.items() if v})}
