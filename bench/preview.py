"""`sluice preview` of production beside the same resources written by hand, at 10, 100 and 1,000 queues; and Pulumi's
own engine on a local stack, where it is on PATH.

Each is a process from its start to its end: ours reads specs, checks, plans both layers and prints the plan; the
program by hand (`_by_hand.py`) has no specs and no components and is answered by the SDK's mocks, plain and with the
cyclic collector at rest, as ours has it. Before it is timed, its plan is compared with ours. SIZES and RUNS choose.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import local_engine
from bench import _by_hand, _estate, _pulumi_side
from bench._measure import NotKeptError

ROOT = Path(__file__).resolve().parent.parent
SIZES = [int(size) for size in os.environ.get("SIZES", "10,100,1000").split(",")]
RUNS = int(os.environ.get("RUNS", "3"))
#: The stacks that `sluice preview --stack prod` plans.
LAYERS = ("foundation-prod", "prod")


@dataclass(frozen=True)
class Taken:
    """What one process took."""

    cpu_s: float
    wall_s: float
    memory_mb: float


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each size in turns, ours and the others."""
    sizes = {}
    for queues in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            sizes[queues] = _size(Path(folder) / "project", queues)
        say(_line(queues, sizes[queues]))
    return {"sizes": sizes, "growth": _growth(sizes, say), "pulumi": _pulumi_side.run(say)}


def _size(folder: Path, queues: int) -> dict[str, Any]:
    _estate.written(folder, queues)
    plan = _plan(folder)
    (folder / "by_hand.py").write_text(_by_hand.program(plan), "utf-8")
    _declares_the_same(folder, plan)
    side = ["-m", "bench._preview_side", str(folder)]
    ways: dict[str, tuple[list[str], Path]] = {
        "sluice": (["-m", "ops", "preview", "--stack", "prod"], folder),
        "by_hand": (side, ROOT),
        "by_hand_collector_resting": ([*side, "rest"], ROOT),
    }
    taken: dict[str, list[Taken]] = {name: [] for name in ways}
    for number in range(RUNS + 1):
        for name, (words, cwd) in ways.items():
            one = _process(words, cwd)
            if number:  # the first one writes what Python compiles
                taken[name].append(one)
    figures: dict[str, Any] = {name: _median(several) for name, several in taken.items()}
    ours, plain, resting = (figures[name] for name in ways)
    return {
        "resources": sum(step.custom for step in plan.steps),
        "components": sum(not step.custom for step in plan.steps),
        **figures,
        "cpu_of_by_hand": round(ours["cpu_s"] / plain["cpu_s"], 2),
        "cpu_of_by_hand_collector_resting": round(ours["cpu_s"] / resting["cpu_s"], 2),
        "memory_of_by_hand_collector_resting": round(ours["memory_mb"] / resting["memory_mb"], 2),
    }


def _plan(folder: Path) -> local_engine.Result:
    """Both layers as one plan."""
    plans: list[local_engine.Result] = []
    for layer in LAYERS:
        plans.append(_planned(folder, layer, planned=plans))
    return replace(plans[-1], steps=[step for plan in plans for step in plan.steps])


def _planned(folder: Path, layer: str, **how: Any) -> local_engine.Result:
    result = local_engine.run(layer, root=folder, mode="preview", state_dir=None, offline=True, **how)
    if not result.ok:
        raise NotKeptError(f"the plan of {layer} is refused: {result.problems[0]}", {})
    return result


def _declares_the_same(folder: Path, plan: local_engine.Result) -> None:
    code = compile((folder / "by_hand.py").read_text("utf-8"), "by_hand.py", "exec")
    by_hand = _planned(folder, "prod", program=lambda: exec(code, {}))
    if not _by_hand.same(plan, by_hand):
        raise NotKeptError("the program by hand declares something else than ours", {})


def _process(words: list[str], cwd: Path) -> Taken:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    words = [sys.executable, str(ROOT / "bench" / "_taken.py"), sys.executable, *words]
    environ["PYTHONPATH"] = str(cwd)
    done = subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotKeptError(f"{' '.join(words)} failed: {done.stderr[-500:]}", {})
    return Taken(**json.loads(done.stdout))


def _median(taken: list[Taken]) -> dict[str, float]:
    names = ("cpu_s", "wall_s", "memory_mb")
    return {name: round(statistics.median(getattr(one, name) for one in taken), 2) for name in names}


def _growth(sizes: dict[int, dict[str, Any]], say: Callable[[str], None]) -> dict[str, float]:
    """CPU of one more resource between one size and the next, in ms: the same where time is linear."""
    ordered = [sizes[size] for size in sorted(sizes)]
    grown = {}
    for small, large in itertools.pairwise(ordered):
        more = large["resources"] - small["resources"]
        name = f"{small['resources']}_to_{large['resources']}"
        grown[name] = round((large["sluice"]["cpu_s"] - small["sluice"]["cpu_s"]) / more * 1000, 2)
        say(f"a resource more, from {name.replace('_', ' ')}: {grown[name]} ms of CPU")
    return grown


def _line(queues: int, found: dict[str, Any]) -> str:
    ours, plain, resting = (found[name] for name in ("sluice", "by_hand", "by_hand_collector_resting"))
    times = found["cpu_of_by_hand"], found["cpu_of_by_hand_collector_resting"]
    return (
        f"{queues} queues, {found['resources']} resources, {found['components']} components: sluice preview "
        f"{ours['cpu_s']} s of CPU, {ours['memory_mb']:.0f} MB; by hand {plain['cpu_s']} s, with the collector at "
        f"rest {resting['cpu_s']} s, {resting['memory_mb']:.0f} MB: {times[0]} and {times[1]} times, memory "
        f"{found['memory_of_by_hand_collector_resting']} times"
    )
