"""Payments on a deployed local stack: answers, ways to the end, the spike of a hundred, and saturation with its costs.

- a webhook's answer and its way to a mined receipt at 50 payments a second, beside GET /health of the same service
  through the same door: the difference is what recording a payment costs;
- PayNow: the worker's answer, and from publishing to processed;
- 100 payments at once on each way to pay out, beside what the slowest queue of that way allows by its spec;
- the staged way as fast as its slowest queue lets it, and no faster: gchostpay1's answer without what waits before it;
- each way at saturation: payments a second to the end, CPU of a payment by service and what is around it.

Takes about two and a half minutes on two quiet cores.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from bench import _flows as flows
from bench._measure import BlockWatch, rpc, spread
from tests.payments.stack import Stack, http

#: Payments of a run, and how many are sent a second.
COUNT, RATE = 200, 50

#: Payments before the first counted one: instances start, pools fill.
WARM_UP = 20

#: PayNow's users, all buying at once, and the events of each.
BUYERS, EVENTS = 8, 25

#: Payments of the staged way at its queues' own rate: half a minute.
STEADY = 150

#: Payments of the spike, and of each way at saturation; the staged way is held to 5 a second by its queues.
SPIKE, MANY = 100, {"single": 400, "staged": 100}


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Start a stack, measure one thing after the other."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "home")
        try:
            stack.up()
            for way in flows.QUEUES:
                flows.finish(stack, [one["unique_id"] for one in flows.send(stack, way, WARM_UP // 2, 20)])
            result: dict[str, Any] = {"count": COUNT, "rate": RATE}
            for name, part in (
                ("", answers),
                ("paynow", paynow),
                ("spike", spike),
                ("steady", steady),
                ("saturation", saturation),
            ):
                found = part(stack)
                for key, figures in found.items():
                    say(f"{name} {key}: {figures}".strip())
                result |= {name: found} if name else found
        finally:
            stack.down()
    return result | {"load_average": round(os.getloadavg()[0], 1)}


def answers(stack: Stack) -> dict[str, Any]:
    """The webhook's answer and the way to the block, at a steady rate."""
    chain = stack.chain
    url = stack.status()["services"]["gcwebhook"]
    health = open_loop(lambda: http("GET", f"{url}/health"), COUNT, RATE)
    with BlockWatch(chain) as blocks:
        sent = flows.send(stack, "single", COUNT, RATE)
        flows.finish(stack, [payment["unique_id"] for payment in sent])
        mined = mined_after(stack, chain, sent, blocks)
    took = [payment["answers"][0]["milliseconds"] for payment in sent]
    return {"webhook_ms": spread(took), "health_ms": spread(health), "webhook_to_mined_s": spread(mined)}


def paynow(stack: Stack) -> dict[str, Any]:
    """Events of several users at once: how long the worker takes, and how long from publishing to processed."""
    customers = flows.buyers(stack, BUYERS)
    flows.buy(stack, customers, 1)
    since, before, began = flows.now(), flows.cpu(stack), time.monotonic()
    sent = [event["event_id"] for event in flows.buy(stack, customers, EVENTS)]
    flows.finish(stack, sent)
    seconds, after = time.monotonic() - began, flows.cpu(stack)
    rows = stack.sql(
        "SELECT extract(epoch FROM e.closed_at - o.minted_at)::float8 AS waited FROM paynow_events e "
        "JOIN outbox o ON o.unique_id = e.event_id AND o.queue = 'paynow-events' WHERE event_id = ANY($1)",
        sent,
    )
    return {
        "webhook_ms": flows.latencies(stack, "paynowwebhook", since),
        "worker_ms": flows.latencies(stack, "paynowworker", since),
        "published_to_processed_s": spread([row["waited"] for row in rows]),
        "events_per_second": round(len(sent) / seconds, 1),
        "cpu_ms_each": flows.per_item(before, after, len(sent)),
    }


def spike(stack: Stack) -> dict[str, Any]:
    """A hundred payments at once: from the first notice to the last payment's end."""
    found = {}
    for way in flows.QUEUES:
        sent = flows.send(stack, way, SPIKE, 1e6)
        done = flows.finish(stack, [payment["unique_id"] for payment in sent])
        took = max(done.values()) - min(moment(payment["sent_at"]) for payment in sent)
        allowed = SPIKE / flows.slowest(way)
        found[way] = {"seconds": round(took, 2), "allowed_s": round(allowed, 2), "times": round(took / allowed, 2)}
    return found


def steady(stack: Stack) -> dict[str, Any]:
    """An open loop at the rate of the slowest queue: notices are sent when they are due, whatever became of earlier."""
    way, since = "staged", flows.now()
    rate = flows.slowest(way)
    sent = flows.send(stack, way, STEADY, rate)
    done = flows.finish(stack, [payment["unique_id"] for payment in sent])
    took = [done[payment["unique_id"]] - moment(payment["sent_at"]) for payment in sent]
    return {
        "per_second": rate,
        "gchostpay1_ms": flows.latencies(stack, "gchostpay1", since),
        "webhook_to_paid_s": spread(took),
    }


def saturation(stack: Stack) -> dict[str, Any]:
    """As many as the stack takes: payments a second to their end, and who used the CPU."""
    found = {}
    for way, count in MANY.items():
        since, before = flows.now(), flows.cpu(stack)
        sent = flows.send(stack, way, count, 1e6)
        done = flows.finish(stack, [payment["unique_id"] for payment in sent])
        took = max(done.values()) - min(moment(payment["sent_at"]) for payment in sent)
        cpu = flows.per_item(before, flows.cpu(stack), count)
        found[way] = {
            "per_second": round(count / took, 1),
            "cpu_ms_each": round(sum(cpu.values()), 1),
            "by_process": cpu,
        }
        if way == "staged":
            found[way]["gchostpay1_ms"] = flows.latencies(stack, "gchostpay1", since)
    return found


def open_loop(call: Callable[[], Any], count: int, rate: float) -> list[float]:
    """Milliseconds of each of `count` calls started `rate` a second, whether or not earlier ones have answered."""

    def one(due: float) -> float:
        time.sleep(max(0, due - time.monotonic()))
        call()
        return (time.monotonic() - due) * 1000

    began = time.monotonic() + 0.1
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        return list(pool.map(one, [began + index / rate for index in range(count)]))


def mined_after(stack: Stack, chain: str, sent: list[dict[str, Any]], blocks: BlockWatch) -> list[float]:
    """Seconds from the sending of each notice to the sight of the block with its payout."""

    async def hashes() -> dict[str, str]:
        connection = await asyncpg.connect(stack.dsn)
        rows = await connection.fetch("SELECT unique_id, tx_hash FROM split_payout_hostpay WHERE tx_hash IS NOT NULL")
        await connection.close()
        return {row["unique_id"]: row["tx_hash"] for row in rows}

    paid = asyncio.run(hashes())
    waits = []
    for payment in sent:
        receipt = rpc(chain, "eth_getTransactionReceipt", paid[payment["unique_id"]])
        waits.append(blocks.seen[int(receipt["blockNumber"], 16)] - moment(payment["sent_at"]))
    return waits


def moment(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()
