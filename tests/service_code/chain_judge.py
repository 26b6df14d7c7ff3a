"""Judges a case of `chain_cases` once nothing moves: the chain's own blocks against the rows and the ledger.

Owns: what must be true whatever went wrong. It reads every block since the case began, and takes nothing from the
services but their tables. Leaves alone: how it came about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.service_code.chain_runner import Runner


@dataclass(frozen=True, kw_only=True, slots=True)
class Mined:
    """A transaction of the wallet's that stands on the chain."""

    tx_hash: str
    nonce: int
    to: str
    value: int
    gas: int


async def judge(runner: Runner) -> list[str]:
    """Say everything that is wrong."""
    mined = await _mined(runner)
    paid: dict[str, list[Mined]] = defaultdict(list)
    complaints: list[str] = []
    for tx in mined:
        if tx.value and tx.tx_hash not in runner.foreign:
            if tx.to not in runner.payins:
                complaints.append(f"{tx.to} was paid and belongs to no payment")
            else:
                paid[runner.payins[tx.to]].append(tx)
    complaints += await _wallet(runner, mined)
    complaints += await _payments(runner, paid)
    complaints += await _ledger(runner, mined, paid)
    return complaints


async def _mined(runner: Runner) -> list[Mined]:
    ground = runner.ground
    head = await ground.number("eth_blockNumber")
    numbers = range(runner.first_block + 1, head + 1)
    blocks = await ground.ask_all(*(("eth_getBlockByNumber", hex(number), True) for number in numbers))
    ours = [tx for block in blocks for tx in block["transactions"] if tx["from"] == runner.wallet]
    receipts = await ground.ask_all(*(("eth_getTransactionReceipt", tx["hash"]) for tx in ours))
    return [
        Mined(
            tx_hash=tx["hash"],
            nonce=int(tx["nonce"], 16),
            to=tx["to"].lower(),
            value=int(tx["value"], 16) if receipt["status"] == "0x1" and tx["to"] != runner.wallet else 0,
            gas=int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16),
        )
        for tx, receipt in zip(ours, receipts, strict=True)
    ]


async def _wallet(runner: Runner, mined: list[Mined]) -> list[str]:
    """No nonce is missing or open, the book agrees, and the balance follows from the receipts."""
    ground, complaints = runner.ground, []
    if sorted(tx.nonce for tx in mined) != list(range(len(mined))):
        complaints.append(f"the nonces have gaps: {sorted(tx.nonce for tx in mined)}")
    count, pending, balance = [
        int(value, 16)
        for value in await ground.ask_all(
            ("eth_getTransactionCount", runner.wallet, "latest"),
            ("eth_getTransactionCount", runner.wallet, "pending"),
            ("eth_getBalance", runner.wallet, "latest"),
        )
    ]
    if not count == pending == len(mined):
        complaints.append(
            f"{len(mined)} transactions stand, the chain counts {count}, and {pending} with those waiting"
        )
    expected = runner.funds - sum(tx.value + tx.gas for tx in mined)
    if balance != expected:
        complaints.append(f"the wallet holds {balance} wei, its receipts say {expected}")
    row = await ground.sql.fetchrow("SELECT * FROM wallets WHERE lower(address) = $1", runner.wallet)
    if row is None:
        return complaints
    # What somebody else has taken of the nonces to come is noticed when the next one is signed.
    taken = {tx.nonce for tx in mined if tx.nonce >= row["next_nonce"] and tx.tx_hash in runner.foreign}
    if row["next_nonce"] + len(taken) != count or row["stopped_at"] is not None:
        complaints.append(f"the wallet is to go on with {row['next_nonce']}, the chain with {count}; {dict(row)}")
    closed = await ground.sql.fetch(
        """
        SELECT n.nonce, n.state, n.final_at, v.tx_hash FROM wallet_nonces n
        LEFT JOIN tx_variants v ON v.address = n.address AND v.nonce = n.nonce AND v.mined_block IS NOT NULL
        WHERE lower(n.address) = $1
        """,
        runner.wallet,
    )
    stands = {tx.nonce: tx.tx_hash for tx in mined}
    for one in closed:
        tx_hash = stands.get(one["nonce"])
        right = one["tx_hash"] == tx_hash if one["state"] == "mined" else tx_hash in runner.foreign
        if not right or one["final_at"] is None:
            complaints.append(f"nonce {one['nonce']} is {one['state']} by {one['tx_hash']}, the chain has {tx_hash}")
    return complaints


async def _payments(runner: Runner, paid: dict[str, list[Mined]]) -> list[str]:
    """Each payment is paid once and completed, or not paid and recorded as dead."""
    complaints = []
    rows = await runner.ground.sql.fetch(
        """
        SELECT que.unique_id, que.status, que.from_amount,
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
    for row in rows:
        mined = paid.get(row["unique_id"], [])
        if len(mined) > 1:
            complaints.append(f"{row['unique_id']} was paid {len(mined)} times: {mined}")
        wanted = ("completed", 1, 0, 0) if mined else ("dead", 0, 0, 1)
        if (row["status"], row["completed"], row["open"], row["dead"]) != wanted:
            complaints.append(f"{row['unique_id']} was paid {len(mined)} times and is recorded as {dict(row)}")
        if mined and mined[0].value != row["from_amount"]:
            complaints.append(f"{row['unique_id']} was paid {mined[0].value} instead of {row['from_amount']}")
    return complaints


async def _ledger(runner: Runner, mined: list[Mined], paid: dict[str, list[Mined]]) -> list[str]:
    """Every transaction has its standing postings and the reverse; every account is what the chain says."""
    complaints = []
    rows = await runner.ground.sql.fetch(
        "SELECT entry_key, kind, reference, unique_id, account, currency, amount FROM ledger_entries "
        "JOIN ledger_postings USING (entry_key) WHERE unique_id = ANY($1)",
        runner.ids,
    )
    standing: Counter[tuple[str, str]] = Counter()
    accounts: Counter[str] = Counter()
    balanced: Counter[str] = Counter()
    for row in rows:
        balanced[row["entry_key"]] += row["amount"]
        accounts[row["account"]] += row["amount"]
        kind = row["entry_key"].removeprefix("reversal:").partition(":")[0]
        if kind in ("payout", "gas") and row["account"] == "host_wallet":
            standing[kind, row["reference"]] -= row["amount"]
    ours = [tx for tx in mined if tx.tx_hash not in runner.foreign]
    expected = {("gas", tx.tx_hash): tx.gas for tx in ours}
    expected |= {("payout", tx.tx_hash): tx.value for tx in ours if tx.value}
    said = {key: amount for key, amount in standing.items() if amount}
    for key in sorted(said.keys() | expected.keys()):
        if said.get(key) != expected.get(key):
            complaints.append(f"{key[0]} of {key[1]}: the ledger says {said.get(key)}, the chain {expected.get(key)}")
    complaints += [f"posting {key} does not balance" for key, amount in balanced.items() if amount]
    units = dict(zip(runner.ids, (wish.units for wish in runner.case.wishes), strict=True))
    gas = sum(tx.gas for tx in ours)
    wanted = {
        "processor_receivable": sum(units.values()),
        "host_wallet": -gas - sum(tx.value for tx in ours),
        "gas_expense": gas,
        "dead_payouts": -sum(amount for unique_id, amount in units.items() if unique_id not in paid),
    }
    found = {account: amount for account, amount in accounts.items() if amount}
    if found != {account: amount for account, amount in wanted.items() if amount}:
        complaints.append(f"the accounts are {found}, outside says {wanted}")
    return complaints
