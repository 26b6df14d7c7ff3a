"""Judge a run of payments from outside: what was sent, what was mined, and what the ledger says of it.

Owns: recomputing every ledger account from the notices that the processor sent and the chain's receipts alone (the
formulas are those of docs/adr/ledger-accounts.md), and finding payments lost, paid twice or paid wrongly. Imports
nothing of Sluice and nothing of the sandbox, so that a mistake of theirs cannot hide here. Leaves alone: speed.

    python tests/payments/judge.py --sandbox http://127.0.0.1:PORT --rpc URL --dsn postgresql://... --wallet 0x...
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import sys
import urllib.request
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

import asyncpg

#: Parts of a hundred that the client gets unless his channel says otherwise.
CLIENT_PERCENT = 95

#: Base units of a coin, as a power of ten.
DECIMALS = {"eth": 18}

#: Blocks asked for in one call.
BATCH = 200

#: First topic of an ERC-20 transfer.
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

Lines = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Payment:
    """One payment as the processor announced it."""

    unique_id: str
    wallet: str
    units: int
    acknowledged: bool

    @property
    def client(self) -> int:
        return self.units * CLIENT_PERCENT // 100

    @property
    def fee(self) -> int:
        return self.units * (100 - CLIENT_PERCENT) // 100

    @property
    def rounding(self) -> int:
        return self.units - self.client - self.fee


@dataclass(frozen=True, kw_only=True)
class Spent:
    """One mined transaction of the host wallet."""

    hash: str
    nonce: int
    to: str
    value: int
    gas: int
    good: bool
    block: int


@dataclass
class Report:
    """What was found; `differences` is empty when everything agrees."""

    differences: list[str] = field(default_factory=list)
    accounts: dict[str, dict[str, str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.differences

    def say(self, difference: str) -> None:
        self.differences.append(difference)


# Reading


def http(url: str, body: Any = None) -> Any:
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


def read_payments(sandbox: str) -> list[Payment]:
    """Every payment of the processor, read from its notice's body and token; nothing else of its record counts."""
    found = []
    for sent in http(f"{sandbox}/processor/sent")["webhooks"]:
        body = json.loads(sent["body"])
        unique_id, wallet = read_token(body["order_id"])
        units = Decimal(body["actually_paid"]) * 10 ** DECIMALS[body["pay_currency"]]
        acknowledged = any(200 <= (reply["status"] or 0) < 300 for reply in sent["answers"])
        found.append(Payment(unique_id=unique_id, wallet=wallet, units=int(units), acknowledged=acknowledged))
    return found


def read_token(token: str) -> tuple[str, str]:
    """unique_id and client wallet of an order token, layout 1."""
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    after_amount = 1 + 16 + 8 + 8 + 8 + 2 + 32
    wallet_at = after_amount + 1 + data[after_amount]
    return data[1:17].decode(), data[wallet_at + 1 : wallet_at + 1 + data[wallet_at]].decode().lower()


def read_chain(url: str, wallet: str) -> tuple[list[Spent], int]:
    """Mined transactions of the wallet, and what others sent to it."""
    (latest,) = rpc(url, ("eth_blockNumber", []))
    blocks = rpc(url, *(("eth_getBlockByNumber", [hex(n), True]) for n in range(int(latest, 16) + 1)))
    theirs = [tx for block in blocks for tx in block["transactions"] if wallet in (tx["from"], tx["to"])]
    receipts = rpc(url, *(("eth_getTransactionReceipt", [tx["hash"]]) for tx in theirs))
    spent, received = [], 0
    for tx, receipt in zip(theirs, receipts, strict=True):
        good = int(receipt["status"], 16) == 1
        if tx["from"] != wallet:
            received += int(tx["value"], 16) if good else 0
            continue
        spent.append(
            Spent(
                hash=tx["hash"],
                nonce=int(tx["nonce"], 16),
                to=(tx["to"] or "").lower(),
                value=int(tx["value"], 16) if good and tx["to"] != wallet else 0,
                gas=int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16),
                good=good,
                block=int(receipt["blockNumber"], 16),
            )
        )
    return spent, received


async def read_ledger(dsn: str) -> dict[str, tuple[str, Lines]]:
    """entry_key -> (unique_id, lines)."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT p.entry_key, p.unique_id, e.account, e.currency, e.amount FROM ledger_postings p"
            " LEFT JOIN ledger_entries e USING (entry_key)"
        )
    finally:
        await connection.close()
    found: dict[str, tuple[str, Lines]] = {}
    for row in rows:
        _, lines = found.setdefault(row["entry_key"], (row["unique_id"] or "", {}))
        if row["account"] is not None:
            account = row["account"] if row["currency"] == "eth" else f"{row['account']}/{row['currency']}"
            lines[account] = lines.get(account, 0) + int(row["amount"])
    return found


# Judging


def judge_chain(report: Report, url: str, wallet: str, spent: list[Spent], owned: int) -> None:
    """Nonces without gaps, nothing open, and a balance that follows from the receipts."""
    for place, tx in enumerate(sorted(spent, key=lambda tx: tx.nonce)):
        if tx.nonce != place:
            report.say(f"the wallet's nonces have a gap: {place} is missing before {tx.hash} with {tx.nonce}")
            break
    mined, pending, balance = (
        int(value, 16)
        for value in rpc(
            url,
            ("eth_getTransactionCount", [wallet, "latest"]),
            ("eth_getTransactionCount", [wallet, "pending"]),
            ("eth_getBalance", [wallet, "latest"]),
        )
    )
    if mined != len(spent):
        report.say(f"the chain counts {mined} transactions of the wallet, its blocks hold {len(spent)}")
    if pending != mined:
        report.say(f"{pending - mined} transactions of the wallet are still open")
    expected = owned - sum(tx.value + tx.gas for tx in spent)
    if balance != expected:
        report.say(f"the wallet holds {balance} wei, its receipts say {expected}: {balance - expected:+} wei")


def judge_orders(report: Report, url: str, orders: list[dict[str, Any]], spent: list[Spent]) -> None:
    """No address paid twice, only orders paid, and each client got what his order promised."""
    times = Counter(tx.to for tx in spent if tx.value)
    known = {order["payin_address"].lower(): order for order in orders}
    for address, count in times.items():
        if address not in known:
            report.say(f"{address} was paid and belongs to no order of the exchange")
        elif count > 1:
            report.say(f"order {known[address]['id']}: its address {address} was paid {count} times")
    for order in orders:
        seen, mined = len(order["deposits"]), times[order["payin_address"].lower()]
        if seen != mined:
            report.say(f"order {order['id']}: the exchange saw {seen} deposits, the chain has {mined} of ours")
        if mined and order["status"] != "finished":
            report.say(f"order {order['id']} was paid and is '{order['status']}', not finished")
    paid = [o for o in orders if o["payout"] and o["payout"]["raw"] and o["payout"]["kind"] == "payout"]
    receipts = rpc(url, *(("eth_getTransactionReceipt", [order["payout"]["hash"]]) for order in paid))
    for order, receipt in zip(paid, receipts, strict=True):
        logs = [entry for entry in (receipt or {"logs": []})["logs"] if entry["topics"][0] == TRANSFER]
        got = [
            (("0x" + entry["topics"][2][-40:]).lower() == order["payout_address"].lower(), int(entry["data"], 16))
            for entry in logs
        ]
        if order["to_currency"] != "eth" and got != [(True, int(order["expected_to"]))]:
            report.say(f"order {order['id']}: the client did not get {order['expected_to']} {order['to_currency']}")


def judge_payments(
    report: Report, payments: list[Payment], orders: list[dict[str, Any]], spent: list[Spent], dead: set[str]
) -> set[str]:
    """Every acknowledged payment is paid once or recorded dead; returns the paid ones."""
    payin = {order["payin_address"].lower(): order["payout_address"].lower() for order in orders}
    by_wallet: dict[str, list[Spent]] = defaultdict(list)
    for tx in spent:
        if tx.value and tx.to in payin:
            by_wallet[payin[tx.to]].append(tx)
    paid: set[str] = set()
    groups = itertools.groupby(sorted(payments, key=lambda p: p.wallet), key=lambda p: p.wallet)
    for wallet, members in groups:
        group, given = list(members), by_wallet.pop(wallet, [])
        owed = [payment for payment in group if payment.acknowledged and payment.unique_id not in dead]
        names = ", ".join(payment.unique_id for payment in group)
        if len(given) > len(group) or (len(group) == 1 and len(given) > 1):
            report.say(f"payment {names} was paid {len(given)} times: {', '.join(tx.hash for tx in given)}")
        elif len(given) > len([payment for payment in group if payment.unique_id not in dead]):
            report.say(f"payment {names} is recorded dead and was paid: {given[0].hash}")
        elif len(given) < len(owed):
            report.say(f"payment {names} was acknowledged and is neither paid nor recorded dead")
        amounts = Counter(payment.client for payment in group)
        for tx in given:
            if amounts[tx.value] == 0:
                report.say(f"payment {names}: {tx.value} wei were paid, its share is {group[0].client}: {tx.hash}")
            amounts[tx.value] -= 1
        paid |= {payment.unique_id for payment in group if payment.unique_id not in dead} if given else set()
    for wallet, given in by_wallet.items():
        report.say(f"{len(given)} payouts went to an order for {wallet}, for whom no notice was sent")
    return paid


def net(ledger: dict[str, tuple[str, Lines]]) -> dict[str, Lines]:
    """Postings by what they stand for: reversals taken off, block hashes and ordinals left out."""
    found: dict[str, Lines] = defaultdict(dict)
    for key, (unique_id, lines) in ledger.items():
        kind, _, rest = key.removeprefix("reversal:").partition(":")
        if kind in ("dead", "revive"):
            name = f"dead:{unique_id or rest.rpartition(':')[0]}"
        else:
            name = f"{kind}:{rest.partition('@')[0]}"
        for account, amount in lines.items():
            found[name][account] = found[name].get(account, 0) + amount
    return {name: kept for name, lines in found.items() if (kept := {a: v for a, v in lines.items() if v})}


def expected_postings(payments: list[Payment], spent: list[Spent], split: set[str], dead: set[str]) -> dict[str, Lines]:
    """What the ledger must say, from notices and receipts."""
    found: dict[str, Lines] = {}
    for p in payments:
        found[f"notice:{p.unique_id}"] = {"processor_receivable": p.units, "unsplit_funds": -p.units}
        if p.unique_id in split:
            shares = {"exchange_clearing": -p.client, "platform_fees": -p.fee, "rounding": -p.rounding}
            found[f"split:{p.unique_id}"] = {"unsplit_funds": p.units} | shares
        if p.unique_id in dead:
            account, units = ("exchange_clearing", p.client) if p.unique_id in split else ("unsplit_funds", p.units)
            found[f"dead:{p.unique_id}"] = {account: units, "dead_payouts": -units}
    for tx in spent:
        found[f"gas:{tx.hash}"] = {"gas_expense": tx.gas, "host_wallet": -tx.gas}
        if tx.value:
            found[f"payout:{tx.hash}"] = {"exchange_clearing": tx.value, "host_wallet": -tx.value}
    return {name: {account: v for account, v in lines.items() if v} for name, lines in found.items()}


def judge_ledger(report: Report, expected: dict[str, Lines], ledger: dict[str, tuple[str, Lines]]) -> None:
    """Each posting and each account, to the wei."""
    for key, (_, lines) in ledger.items():
        if sum(lines.values()) or not lines:
            report.say(f"posting {key} does not balance: {lines}")
    actual = net(ledger)
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual:
            report.say(f"the ledger has no posting {name}: {expected[name]} is missing")
        elif name not in expected:
            report.say(f"the ledger has a posting {name} that nothing outside explains: {actual[name]}")
        elif actual[name] != expected[name]:
            report.say(f"posting {name} says {actual[name]}, outside says {expected[name]}")
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for place, side in enumerate((expected, actual)):
        for lines in side.values():
            for account, amount in lines.items():
                sums[account][place] += amount
    for account, (outside, inside) in sorted(sums.items()):
        report.accounts[account] = {"expected": str(outside), "ledger": str(inside)}
        if outside != inside:
            report.say(f"account {account}: the ledger has {inside} wei, outside says {outside}: {inside - outside:+}")


async def examine(sandbox_url: str, rpc_url: str, dsn: str, host_wallet: str | None = None) -> Report:
    """Read everything and judge it."""
    report = Report()
    host = (await asyncio.to_thread(http, f"{sandbox_url}/status"))["host_wallet"]
    wallet = (host_wallet or host["address"]).lower()
    sent = await asyncio.to_thread(read_payments, sandbox_url)
    orders = (await asyncio.to_thread(http, f"{sandbox_url}/exchange/records"))["exchanges"]
    spent, received = await asyncio.to_thread(read_chain, rpc_url, wallet)
    ledger = await read_ledger(dsn)
    said = net(ledger)
    payments = [p for p in sent if p.acknowledged or f"notice:{p.unique_id}" in said]
    dead = {name.partition(":")[2] for name in said if name.startswith("dead:")}
    split = {name.partition(":")[2] for name in said if name.startswith("split:")}
    for unique_id, count in Counter(payment.unique_id for payment in sent).items():
        if count > 1:
            report.say(f"the processor used the id {unique_id} for {count} payments")
    await asyncio.to_thread(judge_chain, report, rpc_url, wallet, spent, int(host["funded"]) + received)
    await asyncio.to_thread(judge_orders, report, rpc_url, orders, spent)
    paid = judge_payments(report, payments, orders, spent, dead)
    for unique_id in sorted(paid - split):
        report.say(f"payment {unique_id} was paid and the ledger has no split of it")
    judge_ledger(report, expected_postings(payments, spent, split, dead), ledger)
    report.counts = {
        "notices": len(sent),
        "acknowledged": sum(payment.acknowledged for payment in sent),
        "recorded": len(payments),
        "paid": len(paid),
        "dead": len(dead),
        "payouts": sum(1 for tx in spent if tx.value),
        "transactions": len(spent),
        "reverted": sum(1 for tx in spent if not tx.good),
        "orders": len(orders),
        "postings": len(ledger),
    }
    return report


def judge(sandbox_url: str, rpc_url: str, dsn: str, host_wallet: str | None = None) -> Report:
    """The same for callers outside an event loop."""
    return asyncio.run(examine(sandbox_url, rpc_url, dsn, host_wallet))


def main() -> int:
    """Print the differences in plain words, then everything as one line of JSON."""
    parser = argparse.ArgumentParser(description="Judge a run of payments from outside.")
    for name, text in (("sandbox", "URL of the sandbox"), ("rpc", "URL of the chain"), ("dsn", "the database")):
        parser.add_argument(f"--{name}", required=True, help=text)
    parser.add_argument("--wallet", help="address of the host wallet; the sandbox knows it too")
    options = parser.parse_args()
    report = judge(options.sandbox, options.rpc, options.dsn, options.wallet)
    for account, sides in report.accounts.items():
        print(f"{account:22} {sides['ledger']:>28}  recomputed {sides['expected']:>28}")
    for difference in report.differences:
        print(f"DIFFERENCE: {difference}")
    print(f"{'agrees to the wei' if report.ok else f'{len(report.differences)} differences'}: {report.counts}")
    print(json.dumps(asdict(report) | {"ok": report.ok}))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
