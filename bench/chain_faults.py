"""A payer on a chain that misbehaves: CASES (1000) generated cases from SEED (0) on, played with the real payers.

Each case is played on a real chain and a real database behind a node's door that lies, then healed and judged from the
chain's own blocks (tests/service_code/chain_cases.py says what goes wrong, chain_judge.py what must be true). A case
with complaints fails the run, and its seed is named: `CASES=1 SEED=that python -m bench chain_faults` plays it alone.
The outcome of a case may differ between plays where calls cross, since the machine decides who is faster.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from bench._measure import NotKeptError, percentile
from service_code.kit import chain as kit_chain
from service_code.kit import migrate
from tests.service_code.chain_cases import Case, make
from tests.service_code.chain_ground import LEAN, Ground, ground
from tests.service_code.chain_runner import play
from tests.service_code.servers import anvil_chain, execute, on, postgres_server

#: Cases on one chain.
TOGETHER = 25


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Play the cases one after the other."""
    first, count = int(os.environ.get("SEED", "0")), int(os.environ.get("CASES", "1000"))
    return played([make(seed) for seed in range(first, first + count)], say)


def played(cases: Sequence[Case], say: Callable[[str], None]) -> dict[str, Any]:
    """Play cases on servers of their own; the figures."""
    kit_chain.FEES_LIVE = 0.0  # a case is over long before the kit would ask for fees again
    record = Record()
    with tempfile.TemporaryDirectory() as home, postgres_server() as uri:
        asyncio.run(execute(on(uri, "postgres"), "CREATE DATABASE cases"))
        if migrate.main(["up"], {"DATABASE_URL": on(uri, "cases")}):
            raise RuntimeError("the migrations failed")
        for start in range(0, len(cases), TOGETHER):
            # A block costs what all accounts of its chain cost: a new chain for the next ones.
            with anvil_chain(Path(home), *LEAN) as chain:
                asyncio.run(_some(cases[start : start + TOGETHER], on(uri, "cases", "{user}"), chain, record, say))
            share = f"{record.mean():.2f} s a case"
            say(f"{len(record.seconds)} cases, {len(record.bad)} with complaints, {share}")
        outcome = asyncio.run(_outcome(on(uri, "cases")))
    return kept(cases, record, outcome)


def kept(cases: Sequence[Case], record: Record, outcome: dict[str, int]) -> dict[str, Any]:
    """The figures; NotKeptError where a case has complaints."""
    figures = {
        "cases": len(cases),
        "seeds": [cases[0].seed, cases[-1].seed],
        "complaints": record.bad,
        "outcome": outcome,
        "happened": dict(record.happened.most_common()),
        "reorganised_deep": [min(record.depths), max(record.depths), len(record.depths)] if record.depths else [],
        "calls_of_the_node": record.calls,
        "seconds_a_case": {"mean": round(record.mean(), 2), "p95": round(percentile(record.seconds, 0.95), 2)},
    }
    if record.bad:
        raise NotKeptError(f"{len(record.bad)} of {len(cases)} cases have complaints: seeds {[*record.bad]}", figures)
    return figures


@dataclass
class Record:
    """What has happened so far."""

    bad: dict[int, list[str]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    depths: set[int] = field(default_factory=set)
    calls: int = 0

    def mean(self) -> float:
        return sum(self.seconds) / len(self.seconds)


async def _some(cases: Sequence[Case], database: str, chain: str, record: Record, say: Callable[[str], None]) -> None:
    async with ground(database, chain) as here:
        await here.prepare(cases)
        for case in cases:
            began = time.monotonic()
            if complaints := await _one(here, case):
                record.bad[case.seed] = complaints
                say(f"seed {case.seed} ({case.theme}): {complaints[0]}")
            record.seconds.append(time.monotonic() - began)
            record.happened.update(step.do for step in case.steps)
            record.happened["kill"] += sum(step.kill is not None for step in case.steps)
            record.depths |= {step.count for step in case.steps if step.do == "reorg"}
        record.calls += here.door.calls


async def _one(here: Ground, case: Case) -> list[str]:
    try:
        return await play(here, case)
    except Exception as error:
        return [f"it could not be played: {error!r}"]


async def _outcome(database: str) -> dict[str, int]:
    """What became of the payments, and what it took."""
    connection = await asyncpg.connect(database)
    (row,) = await connection.fetch(
        """
        SELECT (SELECT count(*) FROM split_payout_que WHERE status = 'completed') AS paid,
            (SELECT count(*) FROM split_payout_que WHERE status = 'dead') AS recorded_as_failed,
            (SELECT count(*) FROM failed_transactions WHERE status = 'replayed') AS replayed,
            (SELECT count(*) FROM tx_variants) AS signed,
            (SELECT count(*) FROM wallet_nonces WHERE state = 'mined') AS nonces_mined,
            (SELECT count(*) FROM wallet_nonces WHERE state = 'foreign') AS nonces_taken_by_others,
            (SELECT count(*) FROM ledger_postings WHERE kind = 'reversal') AS postings_taken_back
        """
    )
    await connection.close()
    return dict(row)
