"""Pulumi's own engine and the gcp provider on the local cloud: what a preview of the local stack takes beside one of
nothing, and `up` of many resources by the engine's default way, without its checkpoints, and by the local engine.

Says so where the Pulumi CLI is not on PATH. TOPICS chooses how many are made: topics, since each is one call.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import local_engine
from ops.verbs.env import LOCAL_STATE
from tests.components.conftest import DIGEST
from tests.local_engine.local_cloud import running
from tests.stacks.pulumi_cli import ROOT, Pulumi

TOPICS = int(os.environ.get("TOPICS", "1000"))
PREVIEWS = 3
PROGRAMS = {
    "nothing": "import pulumi\n",
    "topics": "from pulumi_gcp import pubsub\nfor n in range({}):\n    pubsub.Topic(f't{{n}}', name=f't{{n:04}}')\n",
}


def run(say: Callable[[str], None]) -> dict[str, Any] | str:
    """The figures, or why there are none."""
    missing = [name for name in ("pulumi", "pulumi-language-python", "pulumi-resource-gcp") if not shutil.which(name)]
    if missing:
        why = f"not measured: {', '.join(missing)} not on PATH"
        say(f"Pulumi's own engine: {why}")
        return why
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as ports:
        config = local_engine.stack_config(ROOT, "local", {"sluice:imageDigest": DIGEST}, ports)
        below = local_engine.stack_config(ROOT, "foundation-local", {}, ports)
        previews = _previews(Path(folder), config, say)
        return previews | _ups(Path(folder), below, say)


def _previews(folder: Path, config: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    stack, nothing = Pulumi(folder / "stack"), Pulumi(folder / "nothing")
    (nothing.project / "stacks" / "__main__.py").write_text(PROGRAMS["nothing"])
    for pulumi in (stack, nothing):
        pulumi.init("local", config)
    stack.run("stack", "init", "foundation-local")
    stack.pretend("foundation-local", _outputs())
    seconds: dict[str, list[float]] = {"stack": [], "nothing": []}
    for _ in range(PREVIEWS):
        for name, pulumi in (("stack", stack), ("nothing", nothing)):
            seconds[name].append(_timed(partial(pulumi.run, "preview", "--stack", "local")))
    found = {name: round(statistics.median(several), 2) for name, several in seconds.items()}
    say(f"pulumi preview of the local stack: {found['stack']} s, of nothing {found['nothing']} s")
    return {"preview_local_s": found["stack"], "preview_nothing_s": found["nothing"]}


def _outputs() -> dict[str, Any]:
    """What the foundation's plan exports, with something in the place of what only an apply knows."""
    result = local_engine.run("foundation-local", root=ROOT, mode="preview", state_dir=None, offline=True)
    known = result.as_json()["outputs"]
    return {name: "known-later" if value == "<computed>" else value for name, value in known.items()}


def _ups(folder: Path, config: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    seconds = {}
    for name, extra in (("default", {}), ("without_checkpoints", LOCAL_STATE)):
        pulumi = Pulumi(folder / name, extra)
        (pulumi.project / "stacks" / "__main__.py").write_text(PROGRAMS["topics"].format(TOPICS))
        pulumi.init("foundation-local", config)
        seconds[name] = round(_timed(partial(pulumi.up, "foundation-local", "--skip-preview")), 1)
        say(f"pulumi up of {TOPICS} topics, {name.replace('_', ' ')}: {seconds[name]} s")
        pulumi.destroy("foundation-local")
    code = compile(PROGRAMS["topics"].format(TOPICS), "topics.py", "exec")
    began = time.perf_counter()
    result = local_engine.run(
        "foundation-local",
        root=ROOT,
        mode="up",
        state_dir=folder / "engine",
        overrides=config,
        program=lambda: exec(code, {}),
    )
    assert result.ok, result.problems
    seconds["local_engine"] = round(time.perf_counter() - began, 1)
    say(f"the local engine's up of the same: {seconds['local_engine']} s")
    times = round(seconds["default"] / seconds["without_checkpoints"], 1)
    return {"up_topics": TOPICS, "up_s": seconds, "without_checkpoints_times_faster": times}


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
