"""All flows under random faults for a long time: RUNS runs of PAYMENTS payments from FIRST_SEED on, each judged.

Prints a line a run; a run in which something is wrong prints what, and how to see it again, and fails the whole.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench._measure import NotKeptError
from tests.service_code.servers import anvil_chain, postgres_server
from tests.service_code.simulation.play import Played, migrated, play

RUNS = int(os.environ.get("RUNS", "10"))
PAYMENTS = int(os.environ.get("PAYMENTS", "60"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "1000"))
#: After so many runs messages of each of these queues were sent once more by operators.
MANY = 10
RESENT = (
    *("split-payment-queue", "channel-access-queue", "hostpay-execution-queue", "gcsplit-hostpay-trigger-queue"),
    *("gchostpay-status-check-queue", "gchostpay-payment-execute-queue"),
)


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Play the runs one after the other."""
    played: list[Played] = []
    with postgres_server() as postgres, tempfile.TemporaryDirectory() as folder:
        template = asyncio.run(migrated(postgres, "template_of_runs"))
        for seed in range(FIRST_SEED, FIRST_SEED + RUNS):
            with anvil_chain(Path(folder)) as anvil:
                one = asyncio.run(play(postgres, template, anvil, seed, PAYMENTS))
            played.append(one)
            say(
                f"seed {seed}: {one.payments} payments, {one.events} events, {one.crashes} crashes, {one.cuts} cuts, "
                f"{sum(one.troubles.values())} faults, {one.seconds:.0f} s"
            )
            for wrong in one.wrong:
                say(f"  WRONG (SEED={seed} PAYMENTS={PAYMENTS} pytest tests/service_code/test_simulation.py): {wrong}")
            for what, times in one.unexpected.items():
                say(f"  unexpected: {what}, {times} times")
    return kept(played)


def kept(played: list[Played]) -> dict[str, Any]:
    """What all runs were made of; NotKeptError where something was wrong after one."""
    seconds = sum(one.seconds for one in played)
    payments, crashes = sum(one.payments for one in played), sum(one.crashes for one in played)
    figures: dict[str, Any] = {
        "runs": len(played),
        "payments": payments,
        "events": sum(one.events for one in played),
        "deliveries": sum(one.deliveries for one in played),
        "crashes": crashes,
        "database_cuts": sum(one.cuts for one in played),
        "faults": dict(sum((one.troubles for one in played), Counter())),
        "resent": dict(sum((one.resent for one in played), Counter())),
        "ends": dict(sum((one.ends for one in played), Counter())),
        "wrong": {one.seed: one.wrong for one in played if one.wrong},
        "unexpected": {one.seed: dict(one.unexpected) for one in played if one.unexpected},
        "seconds": round(seconds),
        "payments_a_second": round(payments / seconds, 1),
        "crashes_a_second": round(crashes / seconds, 1),
    }
    if figures["wrong"]:
        raise NotKeptError(f"something was wrong after the runs of these seeds: {[*figures['wrong']]}", figures)
    if len(played) >= MANY and (unmet := [queue for queue in RESENT if queue not in figures["resent"]]):
        raise NotKeptError(f"operators had no message sent once more of {', '.join(unmet)}", figures)
    return figures
