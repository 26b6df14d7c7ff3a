"""Time of `sluice up`, cold and unchanged, beside the time that bare interpreters and imports take; memory at rest."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench._measure import memory_mb
from tests.payments.stack import ROOT, Stack

#: How often the unchanged `up` is run.
AGAIN = 3


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Deploy into an empty home, deploy again, look at the memory, stop."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "home")
        try:
            cold, first = timed(stack.up)
            say(f"up, cold: {cold:.1f} s")
            again = [timed(stack.up) for _ in range(AGAIN)]
            unchanged = min(seconds for seconds, _ in again)
            say(f"up, nothing changed: {unchanged:.2f} s, {again[-1][1]['writes']} write calls")
            floor, _ = timed(bare)
            say(f"beside it, Python importing pulumi and pulumi_gcp and doing nothing: {floor:.2f} s")
            supervisor = json.loads((stack.home / "supervisor.json").read_text())["pid"]
            memory = memory_mb(supervisor)
            total = round(sum(memory.values()), 1)
            say(f"memory at rest: {total} MB of {memory}")
        finally:
            stack.down()
    return {
        "up_cold_s": round(cold, 2),
        "up_unchanged_s": round(unchanged, 2),
        "bare_imports_s": round(floor, 2),
        "resources": first.get("resources"),
        "write_calls_unchanged": again[-1][1]["writes"],
        "memory_at_rest_mb": total,
        "memory_by_process_mb": memory,
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that the work took, and its value."""
    began = time.monotonic()
    value = work()
    return time.monotonic() - began, value


def bare() -> None:
    """What no `up` in Python can be faster than."""
    subprocess.run([sys.executable, "-c", "import pulumi, pulumi_gcp, pulumi.runtime"], cwd=ROOT, check=True)
