"""Judge a run of payments from outside: what was sent, what was mined, and what the database says of it.

Owns: reading the sandbox's records (notices, PayNow's events, the exchange's orders) and the command. What must hold is
`tests/payments/judging/`, which recomputes every account from notices and receipts (docs/adr/ledger-accounts.md) and
finds payments lost, paid twice or paid wrongly. Imports nothing of Sluice and nothing of the sandbox.

    python -m tests.payments.judge --sandbox http://127.0.0.1:PORT --rpc URL --dsn postgresql://... --wallet 0x...

For callers with facts of their own (tests/service_code/judged.py):

    await invariants(dsn or connection, Facts(...), settled=True) -> list of what is wrong
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import Any

from tests.payments.judging.books import net, read_ledger
from tests.payments.judging.chain import TRANSFER, http, read_wallet, rpc
from tests.payments.judging.facts import ETHER, Event, Facts, Notice, Order, Spent, Terms, event_of, notice_of
from tests.payments.judging.verdict import Report, invariants, report_of

__all__ = ["Facts", "Report", "Terms", "examine", "invariants", "judge", "net", "read_ledger"]


def read_notices(sandbox: str) -> list[Notice]:
    """Every payment of the processor, read from its notice's body and token; nothing else of its record counts."""
    found = []
    for sent in http(f"{sandbox}/processor/sent")["webhooks"]:
        acknowledged = any(200 <= (reply["status"] or 0) < 300 for reply in sent["answers"])
        notice = notice_of(sent["body"], acknowledged=acknowledged)
        found += [notice] if notice else []
    return found


def read_events(sandbox: str) -> list[Event]:
    """Every event of PayNow's, read from its body."""
    sent = http(f"{sandbox}/paynow/sent")["events"]
    return [event_of(one["body"], acknowledged=one["acknowledged"]) for one in sent]


def judge_orders(report: Report, url: str, orders: list[dict[str, Any]], spent: list[Spent]) -> None:
    """The exchange saw what the chain has, and each client got what his order promised."""
    times = Counter(sent.to for tx in spent for sent in tx.out)
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
        if order["to_currency"] != ETHER and got != [(True, int(order["expected_to"]))]:
            report.say(f"order {order['id']}: the client did not get {order['expected_to']} {order['to_currency']}")


async def examine(sandbox_url: str, rpc_url: str, dsn: str, host_wallet: str | None = None) -> Report:
    """Read everything and judge it."""
    status = await asyncio.to_thread(http, f"{sandbox_url}/status")
    host, tokens = status["host_wallet"], status["exchange"]["tokens"]
    orders = (await asyncio.to_thread(http, f"{sandbox_url}/exchange/records"))["exchanges"]
    wallet = await asyncio.to_thread(
        read_wallet,
        rpc_url,
        host_wallet or host["address"],
        funded={**dict.fromkeys(tokens, 0), ETHER: int(host["funded"])},  # tokens come by transfers
        tokens={address: currency for currency, address in tokens.items()},
    )
    facts = Facts(
        notices=await asyncio.to_thread(read_notices, sandbox_url),
        events=await asyncio.to_thread(read_events, sandbox_url),
        orders=[Order(id=o["id"], payin=o["payin_address"], client=o["payout_address"]) for o in orders],
        wallet=wallet,
    )
    report = await report_of(dsn, facts)
    for unique_id, count in Counter(notice.unique_id for notice in facts.notices).items():
        if count > 1:
            report.say(f"the processor used the id {unique_id} for {count} payments")
    await asyncio.to_thread(judge_orders, report, rpc_url, orders, wallet.spent)
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
        print(f"{account:28} {sides['ledger']:>28}  recomputed {sides['expected']:>28}")
    for currency, one in report.sums.items():
        print(f"{currency}: in {one['in']} = out {one['out']} + fees {one['fees']} + held {one['held']}")
    for difference in report.differences:
        print(f"DIFFERENCE: {difference}")
    print(f"{'agrees to the unit' if report.ok else f'{len(report.differences)} differences'}: {report.counts}")
    print(json.dumps(asdict(report) | {"ok": report.ok}))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
