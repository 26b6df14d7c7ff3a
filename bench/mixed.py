"""A thousand payments of all flows in ten minutes, one in twenty hit by a fault: all accounted for, 1 % stopped.

When the last is sent, faults end and the clock is moved until every payment is completed or waits for an operator, dead
or refused by the exchange; those are then replayed by the command, and the judge (tests/payments/judge.py) recomputes
every account from outside. MINUTES (10) and PAYMENTS (100 a minute) make it shorter, SEED gives a run's order again.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import _flows as flows
from bench._measure import NotKeptError
from bench._mixed_load import FAULTY, Mix
from tests.payments.judge import judge
from tests.payments.stack import Stack

MINUTES = float(os.environ.get("MINUTES", "10"))
COUNT = int(os.environ.get("PAYMENTS", str(round(100 * MINUTES))))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
#: What makes two payments payable together.
OF_CLIENT = "{0}.client_id, {0}.client_wallet, {0}.payout_currency, {0}.payout_network, {0}.currency"
#: The clock is moved by so many seconds at a time, so often at most.
STEP, STEPS = 30, 60

#: Payments that nothing has hit: a batch of their client's was refused, and what comes after it waits.
HELD_UP = f"""
    SELECT a.unique_id AS id FROM payout_accumulation a
    JOIN payout_batches b ON ({OF_CLIENT.format("a")}) = ({OF_CLIENT.format("b")}) AND b.status = 'refused'
    WHERE a.conversion_status = 'completed' AND a.batch_id IS NULL AND a.unique_id = ANY($1)
    """
#: What waits for an operator: dead by itself or with the batch that pays it, refused by the exchange, held up, or an
#: event that was given up.
DEAD = f"""
    SELECT unique_id AS id FROM failed_transactions WHERE status = 'dead' AND unique_id = ANY($1)
    UNION SELECT a.unique_id FROM payout_accumulation a JOIN failed_transactions f ON f.unique_id = a.batch_id
    WHERE f.status = 'dead' AND a.unique_id = ANY($1)
    UNION SELECT unique_id FROM payout_accumulation WHERE conversion_status = 'failed' AND unique_id = ANY($1)
    UNION SELECT a.unique_id FROM payout_accumulation a JOIN payout_batches b USING (batch_id)
    WHERE b.status = 'refused' AND a.unique_id = ANY($1)
    UNION {HELD_UP}
    UNION SELECT event_id FROM paynow_events WHERE status IN ('failed', 'dead') AND event_id = ANY($1)
    """


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Send, settle, replay, judge."""
    say(f"{COUNT} payments in {MINUTES:g} minutes, SEED={SEED}")
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "home")
        try:
            stack.up()
            result = mixed(stack, say, count=COUNT, rate=COUNT / MINUTES / 60, seed=SEED)
        finally:
            stack.down()
    if result["differences"] or result["stopped_percent"] > 1 or result["completed_after_replay"] < COUNT:
        raise NotKeptError("not all payments are accounted for", result)
    return result


def mixed(
    stack: Stack, say: Callable[[str], None], *, count: int, rate: float, seed: int, faulty: int = FAULTY
) -> dict[str, Any]:
    """One run on a stack that is up; one payment in `faulty` is sent with a fault."""
    mix = Mix(stack, seed, faulty)
    began = time.monotonic()
    mix.send(count, rate)
    say(f"sent in {time.monotonic() - began:.0f} s with {mix.faults} faults: {sizes(mix)}")
    completed, dead = settle(stack, mix)
    held_up = len(stack.sql(HELD_UP, mix.all))
    say(f"{len(completed)} completed, {len(dead)} wait for an operator, {held_up} of them behind others")
    replayed = stack.json("dead", "replay", "--all", "--yes", "--rate", "50/s")["replayed"] if dead else 0
    again, _ = settle(stack, mix) if dead else (completed, dead)
    stack.exchanged()
    stack.idle()
    report = judge(stack.sandbox, stack.chain, stack.dsn)
    say(f"{replayed} replayed, {len(again)} completed, {len(report.differences)} differences: {report.counts}")
    return {
        "seed": seed,
        "count": count,
        "flows": sizes(mix),
        "faults": mix.faults,
        "completed_percent": round(len(completed) / count * 100, 2),
        "stopped_percent": round((count - len(completed) - held_up) / count * 100, 2),
        "held_up": held_up,
        "dead": len(dead),
        "replayed": replayed,
        "completed_after_replay": len(again),
        "differences": report.differences,
        "load_average": round(os.getloadavg()[0], 1),
    }


def sizes(mix: Mix) -> dict[str, int]:
    """How many of each flow."""
    return {flow: len(sent) for flow, sent in mix.sent.items()}


def settle(stack: Stack, mix: Mix) -> tuple[set[str], set[str]]:
    """Move the clock until every payment is completed or waits for an operator; both."""
    stack.heal()
    for _ in range(STEPS):
        stack.idle(timeout=120)
        completed = flows.finished(stack, mix.all)
        dead = {row["id"] for row in stack.sql(DEAD, mix.all)} - completed
        if len(completed) + len(dead) == len(mix.all):
            break
        stack.advance(STEP)
    return completed, dead
