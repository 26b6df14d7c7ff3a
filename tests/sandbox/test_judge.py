"""The judge finds what is wrong, and nothing where nothing is.

The payments here are made by hand, by the formulas of docs/adr/ledger-accounts.md: no service runs.
"""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.payments.judge import Report, examine
from tests.sandbox.conftest import HOST, ROOT, Sandbox, Webhook
from tests.service_code.servers import postgres_server

X = 50_000_000_000_000_019
C, F, R = X * 95 // 100, X * 5 // 100, X - X * 95 // 100 - X * 5 // 100

_TABLES = """
DROP TABLE IF EXISTS ledger_entries; DROP TABLE IF EXISTS ledger_postings;
CREATE TABLE ledger_postings (entry_key text PRIMARY KEY, kind text, unique_id text, reference text,
                              posted_at timestamptz);
CREATE TABLE ledger_entries (entry_key text, account text, currency text, amount numeric(78, 0));
"""
#: What else the judge reads, as far as it reads it.
_BOOKS = {
    "split_payout_request": "unique_id text, source_event text, currency text, amount numeric, threshold_usdt numeric",
    "split_payout_que": "unique_id text, payin_address text, from_currency text, from_amount numeric, status text",
    "split_payout_hostpay": "unique_id text, payin_address text, from_currency text, from_amount numeric, status text,"
    " tx_hash text",
    "failed_transactions": "unique_id text, generation integer, status text, currency text, amount numeric,"
    " payin_address text",
    "payout_accumulation": "unique_id text, client_wallet text, currency text, accumulated_eth numeric, batch_id text",
    "payout_batches": "batch_id text, client_wallet text, currency text, amount numeric, members integer, status text",
    "dead_letters": "unique_id text, code text, service text",
    "wallet_nonces": "address text, chain_id bigint, nonce bigint, state text",
    "tx_variants": "tx_hash text, address text, chain_id bigint, nonce bigint",
    "paynow_events": "event_id text, status text, code text",
    "wallet_credits": "credit_key text, event_id text, user_id text, points numeric",
    "wallet_users": "user_id text, customer_id text, points numeric",
}


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with postgres_server() as url:
        yield url


class Books:
    """A payment system of one page: pays and posts as told."""

    def __init__(self, box: Sandbox, connection: asyncpg.Connection[Any], dsn: str) -> None:
        self.box = box
        self.connection = connection
        self.dsn = dsn

    async def post(self, key: str, unique_id: str, **lines: int) -> None:
        await self.connection.execute(
            "INSERT INTO ledger_postings VALUES ($1, $2, $3, NULL, $4)", key, key.partition(":")[0], unique_id, None
        )
        rows = [(key, account, amount) for account, amount in lines.items() if amount]
        await self.connection.executemany("INSERT INTO ledger_entries VALUES ($1, $2, 'eth', $3)", rows)

    def announce(self) -> dict[str, Any]:
        amount = {"amount": "0.050000000000000019"}
        payment: dict[str, Any] = self.box.request("POST", "/processor/payments", amount)[1]["payments"][0]
        return payment

    def order(self, payment: dict[str, Any]) -> dict[str, Any]:
        wallet = payment["order"]["client_wallet"]
        return self.box.order(fromAmount=f"0.{C:018d}", address=wallet, refundAddress=HOST.address)

    async def receive(self, payment: dict[str, Any], *, split: bool = True) -> None:
        unique_id = payment["unique_id"]
        await self.connection.execute(
            "INSERT INTO split_payout_request VALUES ($1, $2, 'eth', $3, NULL)",
            *(unique_id, f"ipn:{payment['payment_id']}", X),
        )
        await self.post(f"notice:{unique_id}", unique_id, processor_receivable=X, unsplit_funds=-X)
        if split:
            lines = {"exchange_clearing": -C, "platform_fees": -F, "rounding": -R}
            await self.post(f"split:{unique_id}", unique_id, unsplit_funds=X, **lines)
            row = "INSERT INTO split_payout_que VALUES ($1, NULL, 'eth', $2, 'completed')"
            await self.connection.execute(row, unique_id, C)

    async def die(self, payment: dict[str, Any], units: int, account: str) -> None:
        unique_id = payment["unique_id"]
        await self.post(f"dead:{unique_id}:1", unique_id, **{account: units, "dead_payouts": -units})
        row = "INSERT INTO failed_transactions VALUES ($1, 1, 'dead', 'eth', $2, NULL)"
        await self.connection.execute(row, unique_id, units)

    async def pay(self, payment: dict[str, Any], order: dict[str, Any], *, units: int = C, gas_off: int = 0) -> None:
        receipt = self.box.receipt(self.box.pay(order["payinAddress"], units))
        gas = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16) + gas_off
        mined = f"{receipt['transactionHash']}@{receipt['blockHash']}"
        await self.post(f"payout:{mined}", payment["unique_id"], exchange_clearing=units, host_wallet=-units)
        await self.post(f"gas:{mined}", payment["unique_id"], gas_expense=gas, host_wallet=-gas)
        self.box.reaches(order["id"], "finished", "refunded")

    async def judged(self) -> Report:
        return await examine(f"http://127.0.0.1:{self.box.ready['port']}", self.box.ready["rpc"], self.dsn)


@pytest.fixture
async def books(make: Callable[..., Sandbox], webhook: Webhook, dsn: str) -> Any:
    connection = await asyncpg.connect(dsn)
    await connection.execute(_TABLES)
    for table, columns in _BOOKS.items():
        await connection.execute(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({columns})")
    yield Books(make(webhook_url=webhook.url, paynow_url=webhook.url).start(), connection, dsn)
    await connection.close()


async def test_a_clean_run_agrees_to_the_wei(books: Books) -> None:
    for _ in range(2):
        payment = books.announce()
        await books.receive(payment)
        await books.pay(payment, books.order(payment))
    dead = books.announce()
    await books.receive(dead, split=False)
    await books.die(dead, X, "unsplit_funds")
    report = await books.judged()
    assert report.differences == []
    assert report.counts["payouts"] == report.counts["paid"] == 2
    assert report.counts["dead"] == 1
    assert report.accounts["processor_receivable"] == {"expected": str(3 * X), "ledger": str(3 * X)}
    assert report.accounts["dead_payouts"]["ledger"] == str(-X)
    assert report.accounts["rounding"]["ledger"] == str(-2 * R)
    command = [sys.executable, "-m", "tests.payments.judge", "--sandbox", f"http://127.0.0.1:{books.box.ready['port']}"]
    command += ["--rpc", books.box.ready["rpc"], "--dsn", books.dsn, "--wallet", HOST.address]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["ok"] is True


async def _differences(books: Books) -> str:
    return "\n".join((await books.judged()).differences)


async def test_a_payment_paid_twice_is_found(books: Books) -> None:
    payment = books.announce()
    await books.receive(payment)
    order = books.order(payment)
    await books.pay(payment, order)
    await books.pay(payment, order)
    found = await _differences(books)
    assert f"payment {payment['unique_id']} was paid 2 times" in found
    assert f"order {order['id']}: its address" in found


async def test_a_payment_paid_twice_by_two_orders_is_found(books: Books) -> None:
    payment = books.announce()
    await books.receive(payment)
    await books.pay(payment, books.order(payment))
    await books.pay(payment, books.order(payment))
    assert f"payment {payment['unique_id']} was paid 2 times" in await _differences(books)


async def test_a_lost_payment_is_found(books: Books) -> None:
    payment = books.announce()
    unique_id = payment["unique_id"]
    assert f"payment {unique_id} was acknowledged and is neither recorded nor a dead letter" in await _differences(
        books
    )
    await books.receive(payment, split=False)
    await books.connection.execute("DELETE FROM ledger_entries; DELETE FROM ledger_postings")
    found = await _differences(books)
    assert f"payment {unique_id} was acknowledged and is neither paid nor recorded dead" in found
    assert f"the ledger has no posting notice:{unique_id}" in found


async def test_events_and_what_they_credited_are_judged(books: Books) -> None:
    sent = books.box.request("POST", "/paynow/events", {"customer": "c1"})[1]["events"][0]
    assert f"event {sent['event_id']} was acknowledged and is not recorded" in await _differences(books)
    key = f"order:{sent['subject']}"
    for row in (
        f"paynow_events VALUES ('{sent['event_id']}', 'processed', NULL)",
        "wallet_users VALUES ('u1', 'c1', 100)",
        f"wallet_credits VALUES ('{key}', '{sent['event_id']}', 'u1', 100)",
        f"ledger_postings VALUES ('points:{key}', 'points', '{sent['event_id']}', NULL, NULL)",
        f"ledger_entries VALUES ('points:{key}', 'points_issued', 'points', 100)",
        f"ledger_entries VALUES ('points:{key}', 'user_points', 'points', -100)",
    ):
        await books.connection.execute(f"INSERT INTO {row}")
    assert await _differences(books) == ""


async def test_one_wei_of_gas_is_found(books: Books) -> None:
    payment = books.announce()
    await books.receive(payment)
    await books.pay(payment, books.order(payment), gas_off=1)
    found = await _differences(books)
    assert "account gas_expense" in found
    assert found.count("account") == 2


async def test_a_wrong_amount_is_found(books: Books) -> None:
    payment = books.announce()
    await books.receive(payment)
    await books.pay(payment, books.order(payment), units=C - 1)
    assert f"{C - 1} wei were paid, its share is {C}" in await _differences(books)


async def test_a_dead_payment_that_was_paid_is_found(books: Books) -> None:
    payment = books.announce()
    await books.receive(payment)
    await books.pay(payment, books.order(payment))
    await books.die(payment, C, "exchange_clearing")
    assert f"payment {payment['unique_id']} is recorded dead and was paid" in await _differences(books)


async def test_an_open_transaction_and_a_posting_from_nowhere_are_found(books: Books) -> None:
    books.box.request("POST", "/faults", {"target": "chain", "method": "mine", "kind": "hold"})
    books.box.pay("0x" + "ee" * 20, 1)
    await books.post("payout:0xdead@0xbeef", "X", exchange_clearing=5, host_wallet=-5)
    found = await _differences(books)
    assert "1 transactions of the wallet are still open" in found
    assert "the ledger has a posting payout:0xdead that nothing outside explains" in found


def test_the_judge_imports_nothing_of_ours() -> None:
    sources = [ROOT / "tests/payments/judge.py", *Path(ROOT / "tests/payments/judging").glob("*.py")]
    rooms = {"service_code", "sandbox", "spec", "local_cloud", "local_engine", "components", "stacks", "ops"}
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.partition(".")[0] not in rooms, (source.name, name)
                assert not name.startswith("tests") or name.startswith("tests.payments.judging"), (source.name, name)
