"""Judges a case of `chain_cases` once nothing moves: the chain's own blocks against the rows and the ledger.

Owns: what the wallet's book and the payments' rows must say at rest. That each payment is paid once and in full or
recorded dead, and that balances and ledger follow from the receipts, `tests.payments.judging` says, as of the whole
stack: its facts are the case's own wishes, the exchange's orders, and the chain. Leaves alone: how it came about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.payments.judging.chain import read_wallet
from tests.payments.judging.facts import ETHER, Facts, Notice, Order, Terms, Wallet
from tests.payments.judging.payouts import judge_wallet
from tests.payments.judging.verdict import invariants
from tests.service_code.chain_ground import client_of

if TYPE_CHECKING:
    from tests.service_code.chain_runner import Runner


async def judge(runner: Runner) -> list[str]:
    """Say everything that is wrong."""
    ground = runner.ground
    whole = await asyncio.to_thread(
        read_wallet, ground.chain, runner.wallet, funded={ETHER: runner.funds, "usdt": runner.case.tokens},
        tokens={ground.usdt.address: "usdt"}, first_block=runner.first_block + 1,
    )  # fmt: skip
    complaints = judge_wallet(whole, settled=True) if runner.foreign else []
    await ground.look_at(runner.ids)
    complaints += await invariants(ground.narrowed, _facts(runner, _ours(whole, runner.foreign)))
    return [*complaints, *await _book(runner, whole), *await _payments(runner)]


def _facts(runner: Runner, wallet: Wallet) -> Facts:
    """What the case has said: each wish was announced, and all of it is the client's."""
    notices = [
        Notice(
            unique_id=unique_id, payment_id=unique_id, channel=1, wallet=client_of(unique_id), currency=wish.currency,
            units=wish.units, acknowledged=True,
        )
        for unique_id, wish in zip(runner.ids, runner.case.wishes, strict=True)
    ]  # fmt: skip
    clients = {notice.wallet for notice in notices}
    orders = [
        Order(id=one["id"], payin=one["payinAddress"], client=one["client"])
        for one in runner.ground.outer.orders.values()
        if one["client"] in clients
    ]
    return Facts(notices=notices, orders=orders, wallet=wallet, terms=Terms(client_percent=100))


def _ours(whole: Wallet, foreign: Collection[str]) -> Wallet:
    """The wallet as it were without what somebody else has signed with its key, of which the ledger knows nothing."""
    ours = [tx for tx in sorted(whole.spent, key=lambda tx: tx.nonce) if tx.hash not in foreign]
    theirs = [tx for tx in whole.spent if tx.hash in foreign]
    taken = sum(tx.gas + sum(sent.units for sent in tx.out) for tx in theirs)
    return replace(
        whole,
        spent=[replace(tx, nonce=place) for place, tx in enumerate(ours)],
        mined=whole.mined - len(theirs),
        pending=whole.pending - len(theirs),
        owned={**whole.owned, ETHER: whole.owned[ETHER] - taken},
    )


async def _book(runner: Runner, whole: Wallet) -> list[str]:
    """No nonce is open, and the book knows what each went to."""
    sql, complaints = runner.ground.sql, []
    row = await sql.fetchrow("SELECT * FROM wallets WHERE lower(address) = $1", runner.wallet)
    nonces = "SELECT count(*) FROM wallet_nonces WHERE lower(address) = $1"
    if row is None or not await sql.fetchval(nonces, runner.wallet):
        return []  # where it begins is asked again by whoever signs first
    # What somebody else has taken of the nonces to come is noticed when the next one is signed.
    taken = [tx for tx in whole.spent if tx.nonce >= row["next_nonce"] and tx.hash in runner.foreign]
    if row["next_nonce"] + len(taken) != whole.mined or row["stopped_at"] is not None:
        complaints.append(f"the wallet is to go on with {row['next_nonce']}, the chain with {whole.mined}; {dict(row)}")
    closed = await sql.fetch(
        """
        SELECT n.nonce, n.state, n.final_at, v.tx_hash FROM wallet_nonces n
        LEFT JOIN tx_variants v ON v.address = n.address AND v.nonce = n.nonce AND v.mined_block IS NOT NULL
        WHERE lower(n.address) = $1
        """,
        runner.wallet,
    )
    stands = {tx.nonce: tx.hash for tx in whole.spent}
    for one in closed:
        tx_hash = stands.get(one["nonce"])
        right = one["tx_hash"] == tx_hash if one["state"] == "mined" else tx_hash in runner.foreign
        if not right or one["final_at"] is None:
            complaints.append(f"nonce {one['nonce']} is {one['state']} by {one['tx_hash']}, the chain has {tx_hash}")
    return complaints


async def _payments(runner: Runner) -> list[str]:
    """Each payment is completed for good by one payout, or stands dead, and nothing of it is under way."""
    rows = await runner.ground.sql.fetch(
        """
        SELECT que.unique_id, que.status,
            (SELECT count(*) FROM split_payout_hostpay h WHERE h.unique_id = que.unique_id AND h.status = 'completed'
                AND h.final_at IS NOT NULL) AS completed,
            (SELECT count(*) FROM split_payout_hostpay h WHERE h.unique_id = que.unique_id
                AND h.status NOT IN ('completed', 'failed')) AS open,
            (SELECT count(*) FROM failed_transactions f WHERE f.unique_id = que.unique_id AND f.status = 'dead') AS dead
        FROM split_payout_que que WHERE unique_id = ANY($1)
        """,
        runner.ids,
    )
    assert len(rows) == len(runner.ids)
    ends = (("completed", 1, 0, 0), ("dead", 0, 0, 1))
    return [
        f"{row['unique_id']} is recorded as {dict(row)}"
        for row in rows
        if (row["status"], row["completed"], row["open"], row["dead"]) not in ends
    ]
