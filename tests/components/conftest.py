"""The plan of a stack: what the components declare, seen through an offline preview."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import local_engine
from local_engine import Result, Step

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "1" * 64


@cache
def planned(stack: str) -> Result:
    overrides = {"sluice:imageDigest": DIGEST} if stack == "local" else {}
    result = local_engine.run(stack, root=ROOT, mode="preview", state_dir=None, offline=True, overrides=overrides)
    assert result.ok, result.problems
    return result


@pytest.fixture
def plan() -> Callable[[str], Result]:
    return planned


def of_type(result: Result, token: str) -> list[Step]:
    return [step for step in result.steps if step.type.endswith(f":{token}")]
