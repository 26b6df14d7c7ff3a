"""A webhook's answer and a webhook's way to a mined receipt, at 50 payments a second, on a deployed local stack.

Beside the webhook stands a request through the same door to the same service that does no work (GET /health), in the
same run: the difference is what recording a payment costs.
"""

from __future__ import annotations

import concurrent.futures
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from bench._measure import BlockWatch, rpc, spread
from tests.payments.stack import Stack, http

#: Payments of a run, and how many are sent a second.
COUNT, RATE = 200, 50

#: Payments before the first counted one: instances start, pools fill.
WARM_UP = 20


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Send the payments, follow each to the block that pays it."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "home")
        try:
            stack.up()
            chain = stack.status()["processes"]["sandbox"]["said"]["rpc"]
            stack.send(amount="0.01", count=WARM_UP, rate=20, wait=True)
            stack.idle(timeout=60)
            url = stack.status()["services"]["gcwebhook"]
            health = open_loop(lambda: http("GET", f"{url}/health"), COUNT, RATE)
            with BlockWatch(chain) as blocks:
                sent = stack.send(amount="0.01", count=COUNT, rate=RATE, wait=True)
                stack.paid([payment["unique_id"] for payment in sent])
                mined = mined_after(stack, chain, sent, blocks)
        finally:
            stack.down()
    answers = [payment["answers"][0]["milliseconds"] for payment in sent]
    result = {"webhook_ms": spread(answers), "health_ms": spread(health), "webhook_to_mined_s": spread(mined)}
    for name, figures in result.items():
        say(f"{name}: {figures}")
    return {"count": COUNT, "rate": RATE, **result}


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
    import asyncio

    import asyncpg

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
