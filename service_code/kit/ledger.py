"""The ledger: which postings exist, and how one is written (chart and formulas: docs/adr/ledger-accounts.md).

A posting is an event with an idempotency key kept for ever; its lines are signed base units (debit positive) that sum
to zero per currency, which the database enforces at commit. Nothing is changed or deleted: `reversal` takes back.

    notice    processor_receivable +X, unsplit_funds -X
    split     unsplit_funds +X, exchange_clearing -C, platform_fees -F, rounding -R
    accumulate unsplit_funds +X, accumulated_funds -A, platform_fees -F, rounding -R
    batch     accumulated_funds +B, exchange_clearing -B    (B: the sum of its members' A)
    settled   accumulated_funds +B, settled_outside -B    (an operator paid what was not ordered, or not converted)
    payout    exchange_clearing +V, host_wallet -V          (mined with status 1)
    gas       gas_expense +G, host_wallet -G                (every mined transaction of the wallet)
    stray     strayed_funds +M, host_wallet -M              (a token's transfer moved other than was asked)
    dead      exchange_clearing +C or unsplit_funds +X, dead_payouts -same
    revive    the death's lines with the opposite sign
    recovered dead_payouts +C, settled_outside -C         (an operator paid it by other means)
    stray_settled settled_outside +M, strayed_funds -M    (with it: what strayed is part of those means)
    points    points_issued +P, user_points -P            (PayNow: an order or a subscription's period was paid)
    reversal  the lines of a posting whose block was reorganised away, with the opposite sign
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from service_code.kit.money import Amount, Split

if TYPE_CHECKING:
    from service_code.kit.db import Connection

PROCESSOR_RECEIVABLE = "processor_receivable"
UNSPLIT_FUNDS = "unsplit_funds"
EXCHANGE_CLEARING = "exchange_clearing"
PLATFORM_FEES = "platform_fees"
ROUNDING = "rounding"
HOST_WALLET = "host_wallet"
GAS_EXPENSE = "gas_expense"
DEAD_PAYOUTS = "dead_payouts"
SETTLED_OUTSIDE = "settled_outside"
POINTS_ISSUED = "points_issued"
USER_POINTS = "user_points"
ACCUMULATED_FUNDS = "accumulated_funds"
STRAYED_FUNDS = "strayed_funds"


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """One event of the ledger in one currency; lines of zero are left out when it is made."""

    key: str
    kind: str
    unique_id: str
    currency: str
    lines: tuple[tuple[str, int], ...]
    reference: str | None = None

    def __post_init__(self) -> None:
        if sum(amount for _, amount in self.lines) != 0:
            raise ValueError(f"posting {self.key} does not balance")
        if len({account for account, _ in self.lines}) != len(self.lines):
            raise ValueError(f"posting {self.key} names an account twice")


def _posting(key: str, unique_id: str, currency: str, reference: str | None = None, **lines: int) -> Posting:
    return Posting(
        key=key,
        kind=key.partition(":")[0],
        unique_id=unique_id,
        currency=currency,
        reference=reference,
        lines=tuple((account, amount) for account, amount in lines.items() if amount),
    )


def notice(unique_id: str, paid: Amount, reference: str) -> Posting:
    """The processor says that it took this much."""
    lines = {PROCESSOR_RECEIVABLE: paid.units, UNSPLIT_FUNDS: -paid.units}
    return _posting(f"notice:{unique_id}", unique_id, paid.currency, reference, **lines)


def split(unique_id: str, whole: Amount, parts: Split, cn_api_id: str) -> Posting:
    """The payment was divided and the client's share promised to an exchange order."""
    lines = {
        UNSPLIT_FUNDS: whole.units,
        EXCHANGE_CLEARING: -parts.client.units,
        PLATFORM_FEES: -parts.platform_fee.units,
        ROUNDING: -parts.rounding.units,
    }
    return _posting(f"split:{unique_id}", unique_id, whole.currency, cn_api_id, **lines)


def accumulate(unique_id: str, whole: Amount, parts: Split) -> Posting:
    """The fee was taken and the client's share waits for the client's threshold."""
    lines = {
        UNSPLIT_FUNDS: whole.units,
        ACCUMULATED_FUNDS: -parts.client.units,
        PLATFORM_FEES: -parts.platform_fee.units,
        ROUNDING: -parts.rounding.units,
    }
    return _posting(f"accumulate:{unique_id}", unique_id, whole.currency, None, **lines)


def batch(batch_id: str, held: Amount, cn_api_id: str) -> Posting:
    """A client's shares were promised to one exchange order."""
    lines = {ACCUMULATED_FUNDS: held.units, EXCHANGE_CLEARING: -held.units}
    return _posting(f"batch:{batch_id}", batch_id, held.currency, cn_api_id, **lines)


def payout(unique_id: str, value: Amount, tx_hash: str, block_hash: str) -> Posting:
    """A payout was mined with status 1."""
    lines = {EXCHANGE_CLEARING: value.units, HOST_WALLET: -value.units}
    return _posting(f"payout:{tx_hash}@{block_hash}", unique_id, value.currency, tx_hash, **lines)


def gas(unique_id: str, spent: Amount, tx_hash: str, block_hash: str) -> Posting:
    """A transaction of the wallet was mined, whatever became of it."""
    lines = {GAS_EXPENSE: spent.units, HOST_WALLET: -spent.units}
    return _posting(f"gas:{tx_hash}@{block_hash}", unique_id, spent.currency, tx_hash, **lines)


def stray(unique_id: str, moved: Amount, tx_hash: str, block_hash: str) -> Posting:
    """A token's transfer was mined, and this much left the wallet otherwise than asked."""
    lines = {STRAYED_FUNDS: moved.units, HOST_WALLET: -moved.units}
    return _posting(f"stray:{tx_hash}@{block_hash}", unique_id, moved.currency, tx_hash, **lines)


def dead(unique_id: str, generation: int, held: Amount, account: str, code: str) -> Posting:
    """A payment died: its money leaves the account where it stood and waits in the liability."""
    lines = {account: held.units, DEAD_PAYOUTS: -held.units}
    return _posting(f"dead:{unique_id}:{generation}", unique_id, held.currency, code, **lines)


def revive(unique_id: str, generation: int, held: Amount, account: str, why: str) -> Posting:
    """A dead payment goes on (replay) or turns out to have been paid."""
    lines = {account: -held.units, DEAD_PAYOUTS: held.units}
    return _posting(f"revive:{unique_id}:{generation}", unique_id, held.currency, why, **lines)


def recovered(unique_id: str, generation: int, held: Amount, reference: str) -> Posting:
    """A dead payment was paid by other means."""
    lines = {DEAD_PAYOUTS: held.units, SETTLED_OUTSIDE: -held.units}
    return _posting(f"recovered:{unique_id}:{generation}", unique_id, held.currency, reference, **lines)


def settled(batch_id: str, held: Amount, reference: str) -> Posting:
    """A batch that was never ordered was paid by other means."""
    lines = {ACCUMULATED_FUNDS: held.units, SETTLED_OUTSIDE: -held.units}
    return _posting(f"settled:{batch_id}", batch_id, held.currency, reference, **lines)


def stray_settled(unique_id: str, generation: int, strayed: Amount, reference: str) -> Posting:
    """What strayed of a dead payment is settled with it: the exchange credits it, or gives it back."""
    lines = {SETTLED_OUTSIDE: strayed.units, STRAYED_FUNDS: -strayed.units}
    return _posting(f"stray_settled:{unique_id}:{generation}", unique_id, strayed.currency, reference, **lines)


def points(credit_key: str, event_id: str, units: int, user_id: str) -> Posting:
    """A user's wallet was credited with points, which are a unit of their own."""
    lines = {POINTS_ISSUED: units, USER_POINTS: -units}
    return _posting(f"points:{credit_key}", event_id, "points", user_id, **lines)


def turn(posting: Posting, taken_back: Collection[str]) -> Posting:
    """Return a posting under the key of its present turn, given the keys of the payment's reversals.

    A transaction may come back into the very block from which it was taken: the first posting keeps the plain key, the
    n-th has `#n` at its end.
    """
    number = 1
    while f"reversal:{_turn(posting.key, number)}" in taken_back:
        number += 1
    return replace(posting, key=_turn(posting.key, number))


def _turn(key: str, number: int) -> str:
    return key if number == 1 else f"{key}#{number}"


async def post(connection: Connection, postings: Sequence[Posting], at: datetime) -> None:
    """Write postings inside the caller's transaction; one whose key is there already is left as it is."""
    written = [posting for posting in postings if posting.lines]
    lines = [(posting, account, amount) for posting in written for account, amount in posting.lines]
    await connection.execute(
        """
        WITH posting AS (
            INSERT INTO ledger_postings (entry_key, kind, unique_id, reference, posted_at)
            SELECT entry_key, kind, unique_id, reference, $5
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS new (entry_key, kind, unique_id, reference)
            ON CONFLICT (entry_key) DO NOTHING RETURNING entry_key
        )
        INSERT INTO ledger_entries (entry_key, account, currency, amount)
        SELECT entry_key, line.account, line.currency, line.amount
        FROM posting JOIN unnest($6::text[], $7::text[], $8::text[], $9::numeric[])
            AS line (entry_key, account, currency, amount) USING (entry_key)
        """,
        [posting.key for posting in written],
        [posting.kind for posting in written],
        [posting.unique_id for posting in written],
        [posting.reference for posting in written],
        at,
        [posting.key for posting, _, _ in lines],
        [account for _, account, _ in lines],
        [posting.currency for posting, _, _ in lines],
        [amount for _, _, amount in lines],
    )


async def reverse(connection: Connection, key: str, at: datetime) -> None:
    """Take a posting back by its opposite; once, however often it is asked."""
    await connection.execute(
        """
        WITH posting AS (
            INSERT INTO ledger_postings (entry_key, kind, unique_id, reference, posted_at)
            SELECT 'reversal:' || entry_key, 'reversal', unique_id, reference, $2
            FROM ledger_postings WHERE entry_key = $1
            ON CONFLICT (entry_key) DO NOTHING RETURNING entry_key
        )
        INSERT INTO ledger_entries (entry_key, account, currency, amount)
        SELECT posting.entry_key, line.account, line.currency, -line.amount
        FROM posting, ledger_entries AS line WHERE line.entry_key = $1
        """,
        key,
        at,
    )
