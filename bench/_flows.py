"""Payments of each flow sent to a stack, seen to their ends, and who used the CPU for them."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from bench._measure import family, percentile
from ops.home import Home
from ops.operator import Operator
from spec import load
from tests.payments.bindings import entries
from tests.payments.hops import id_of
from tests.payments.stack import ROOT, Stack, http

#: Amounts of a currency, and what is paid out for it; a threshold's client gets what he waits for with each payment.
PAID, FOR = {"eth": "0.01", "usdt": "150"}, {"eth": "usdt", "usdt": "eth"}
OVER_THRESHOLD = "0.05"
#: Seconds between two looks at what is done.
LOOK_EVERY = 0.25
#: The queues of each way to pay out.
QUEUES = {
    "single": ("split-payment-queue", "hostpay-execution-queue"),
    "staged": (
        *("split-payment-queue", "gcsplit-hostpay-trigger-queue", "gchostpay-status-check-queue"),
        *("gchostpay-status-response-queue", "gchostpay-payment-execute-queue", "gchostpay-payment-response-queue"),
    ),
}
#: Payments and events at their end: paid by themselves, paid by their batch, credited to a wallet.
DONE = """
    SELECT unique_id AS id, coalesce(s.closed_at, p.mined_at) AS at FROM split_payout_hostpay p
    LEFT JOIN hostpay_stages s USING (unique_id, generation)
    WHERE p.status = 'completed' AND (s.state IS NULL OR s.state = 'paid') AND unique_id = ANY($1)
    UNION ALL SELECT a.unique_id, p.mined_at FROM payout_accumulation a
    JOIN split_payout_hostpay p ON p.unique_id = a.batch_id WHERE p.status = 'completed' AND a.unique_id = ANY($1)
    UNION ALL SELECT event_id, closed_at FROM paynow_events WHERE status = 'processed' AND event_id = ANY($1)
    """


def operator(stack: Stack) -> Operator:
    """The operator of a stack."""
    return Operator(Home(Path(stack.home)))


def slowest(way: str) -> float:
    """Dispatches a second of the slowest queue of a way, by the specs."""
    queues = load(ROOT, "local").queues
    return min(queues[name].rate.dispatches_per_second for name in QUEUES[way])


def send(stack: Stack, way: str, count: int, rate: float) -> list[dict[str, Any]]:
    """Payments of one way."""
    return stack.send(amount=PAID["eth"], rate=rate, wait=True, unique_ids=[id_of(way) for _ in range(count)])


def buyers(stack: Stack, count: int) -> list[str]:
    """Customers with a wallet each."""
    users, door = [f"buyer-{secrets.token_hex(4)}" for _ in range(count)], operator(stack)
    for user in users:
        door.call("POST", "paynowwebhook", f"/users/{user}", {"customer_id": f"customer-of-{user}"})
    return [f"customer-of-{user}" for user in users]


def buy(stack: Stack, customers: list[str], count: int) -> list[dict[str, Any]]:
    """So many events of each customer, one after the other; all customers at once."""

    def one(customer: str) -> list[dict[str, Any]]:
        body = {"count": count, "customer": customer}
        return list(http("POST", f"{stack.sandbox}/paynow/events", body, timeout=300)[1]["events"])

    with ThreadPoolExecutor(len(customers)) as pool:
        return [event for events in pool.map(one, customers) for event in events]


def finish(stack: Stack, wanted: list[str], timeout: float = 120) -> dict[str, float]:
    """When each of these came to its end, once all have."""
    found = asyncio.run(_ends(stack.dsn, wanted, timeout))
    assert len(found) == len(wanted), f"after {timeout} s {len(found)} of {len(wanted)} are at their end"
    return found


def finished(stack: Stack, wanted: list[str]) -> set[str]:
    """Those that are at their end now."""
    return set(asyncio.run(_ends(stack.dsn, wanted, 0.0)))


async def _ends(dsn: str, wanted: list[str], timeout: float) -> dict[str, float]:
    """The ends seen when all have come or the time is over, by one connection: to make one costs as a payment does."""
    connection = await asyncpg.connect(dsn)
    deadline = asyncio.get_running_loop().time() + timeout
    try:
        while True:
            found = {row["id"]: row["at"].timestamp() for row in await connection.fetch(DONE, wanted)}
            if len(found) == len(wanted) or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(LOOK_EVERY)
    finally:
        await connection.close()


def cpu(stack: Stack) -> dict[str, float]:
    """CPU seconds so far of each service's instances and of what is around them."""
    used: dict[str, float] = {}
    for name, service in stack.admin("GET", "status")["services"].items():
        for instance in service["instances"]:
            times = psutil.Process(instance["pid"]).cpu_times()
            used[name] = used.get(name, 0.0) + times.user + times.system
    children = stack.record["children"]
    for name in ("cloud", "sandbox"):
        times = psutil.Process(children[name]["pid"]).cpu_times()
        used[name] = times.user + times.system
    _, *chain = family(children["sandbox"]["pid"])
    used["chain"] = sum(sum(process.cpu_times()[:2]) for process in chain)
    server, *backends = family(children["postgres"]["pid"])
    used["postgres"] = sum(server.cpu_times()[:4]) + sum(sum(process.cpu_times()[:2]) for process in backends)
    return used


def per_item(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    """CPU milliseconds of one payment, by who used them, the most first."""
    used = {name: round((at - before.get(name, 0.0)) / count * 1000, 2) for name, at in after.items()}
    return dict(sorted(((name, one) for name, one in used.items() if one > 0.05), key=lambda item: -item[1]))


def now() -> str:
    """A moment for `latencies`, while nobody has moved the clock."""
    return datetime.now(UTC).isoformat()


def latencies(stack: Stack, service: str, since: str) -> dict[str, float]:
    """How long a service took to answer, as the cloud's request log has it: milliseconds."""
    wanted = f'log_id("run.googleapis.com/requests") AND resource.labels.service_name="{service}"'
    requests = [entry["httpRequest"] for entry in entries(stack, since, wanted)]
    took = [float(one["latency"].rstrip("s")) * 1000 for one in requests if not one["requestUrl"].endswith("/health")]
    points = {f"p{share}": round(percentile(took, share / 100), 1) for share in (50, 95, 99)}
    return {"n": len(took), **points}
