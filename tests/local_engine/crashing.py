"""Applies the program of the crash test and dies by SIGKILL as soon as the cloud says so."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from local_engine import cloud, run
from tests.local_engine.test_failures import version_and_payments

_usual = cloud._parsed


def _deadly(content: bytes) -> dict[str, Any]:
    answer = _usual(content)
    if answer.get("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


if __name__ == "__main__":
    cloud._parsed = _deadly
    root, config = Path(sys.argv[1]), json.loads(sys.argv[2])
    (root / "stacks").mkdir(exist_ok=True)
    (root / "stacks" / "Pulumi.local.yaml").touch()
    result = run(
        "local",
        root=root,
        mode="up",
        state_dir=root / "engine",
        overrides=config,
        program=version_and_payments,
        parallel=int(sys.argv[3]),
    )
    assert result.ok, result.problems
