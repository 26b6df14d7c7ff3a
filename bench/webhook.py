"""A webhook's answer beside the documents' way, in one run: at 50 a second, and at 8 and 32 callers.

Ours checks the HMAC, records event, payment, channel access, ledger posting and outbox in one transaction and makes two
tasks in the local cloud; it is measured deployed (through the local cloud's door) and alone, as gunicorn stands. The
documents' way, Flask with a database connection a request, records one row and makes one task; the same with a
connection pool stands beside it. Each figure is the median of ROUNDS rounds in which all sides take turns.
WEBHOOK_ROUNDS (3) and WEBHOOK_SECONDS (2, a round of a side) make it longer or shorter.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg

from bench import _webhook_sides as sides
from bench._measure import percentile
from tests.payments.stack import ROOT, Stack

ROUNDS, SECONDS = int(os.environ.get("WEBHOOK_ROUNDS", "3")), float(os.environ.get("WEBHOOK_SECONDS", "2"))
#: The loads: a closed loop of so many callers, or so many requests a second.
LOADS = (("rate", 50), ("callers", 8), ("callers", 32))

Rounds = dict[tuple[str, tuple[str, int]], list[dict[str, float]]]


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Start all sides on one stack, load each in turn."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        stack = Stack(Path(folder) / "home")
        running.callback(stack.down)
        stack.up()
        sides.pause(stack)
        there = [running.enter_context(side) for side in (sides.deployed(stack), sides.alone(stack))]
        if sides.GUNICORN.exists():
            asyncio.run(prepare(stack.dsn))
            there += [running.enter_context(sides.flask(stack, pooled=pooled)) for pooled in (False, True)]
        else:
            say(sides.MISSING)
        rounds: Rounds = {(side.name, load): [] for side in there for load in LOADS}
        for side in there:  # pools fill, code is warm
            loaded(stack, side, Path(folder) / "notices", ("callers", 8), 1.0)
        for _ in range(ROUNDS):
            for load in LOADS:
                for side in there:
                    rounds[side.name, load].append(loaded(stack, side, Path(folder) / "notices", load, SECONDS))
    return told(say, rounds, [side.name for side in there])


async def prepare(dsn: str) -> None:
    """The Flask way's table."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sides.TABLE)
    finally:
        await connection.close()


def loaded(stack: Stack, side: sides.Side, notices: Path, load: tuple[str, int], seconds: float) -> dict[str, float]:
    """One load of one side: requests a second, percentiles in ms, and CPU a request."""
    kind, number = load  # a side that runs out of notices ends early, and is measured until then
    count = int(seconds * (number if kind == "rate" else side.most))
    sent = stack.send(amount="0.01", count=count, rate=1e6, notify=False)
    lines = [
        {"headers": {"x-nowpayments-sig": one["signature"], "Content-Type": "application/json"}, "body": one["body"]}
        for one in sent
    ]
    notices.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = {"own": side.cpu(), **sides.shared_cpu(stack)}
    arguments = [side.url, str(notices), str(seconds), kind, str(number)]
    out = subprocess.run(
        [sys.executable, "-m", "bench._http_load", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    found = json.loads(out)
    after = {"own": side.cpu(), **sides.shared_cpu(stack)}
    if set(found["statuses"]) != {"200"}:
        raise RuntimeError(f"{side.name} answered {found['statuses']}")
    sides.purge(stack)
    answered = len(found["took"])
    points = {f"p{share}_ms": percentile(found["took"], share / 100) for share in (50, 95, 99)}
    cpu = {f"cpu_{name}_us": (after[name] - before[name]) / answered * 1e6 for name in after}
    return {"per_second": answered / found["seconds"], **points, **cpu}


def told(say: Callable[[str], None], rounds: Rounds, names: list[str]) -> dict[str, Any]:
    """The medians, and how often ours takes what the documents' way does."""
    result: dict[str, Any] = {"load_average": round(os.getloadavg()[0], 1), "rounds": ROUNDS}
    for kind, number in LOADS:
        label = f"{number}_a_second" if kind == "rate" else f"{number}_callers"
        result[label] = {}
        for name in names:
            found = rounds[name, (kind, number)]
            figures = {key: round(statistics.median(one[key] for one in found), 1) for key in found[0]}
            result[label][name] = figures
            say(f"{label} {name}: {figures}")
        if kind == "callers" and "flask" in names:
            ours = result[label]["alone"]["per_second"]
            times = {name: round(ours / result[label][name]["per_second"], 1) for name in ("flask", "flask_pool")}
            result[label]["times"] = times
            say(f"{label}: alone takes {times['flask']} times the documents' way, {times['flask_pool']} times its pool")
    return result
