"""A stand-in cloud and a way to run a program against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_engine import Result, run
from local_engine.run import Mode
from tests.local_engine.standin import StandIn, serving


@pytest.fixture
def cloud() -> Iterator[StandIn]:
    with serving() as standin:
        yield standin


@dataclass
class Engine:
    """Runs programs of one stack."""

    cloud: StandIn
    root: Path

    def __call__(self, program: Callable[[], None], mode: Mode = "up", **more: Any) -> Result:
        stack = more.pop("stack", "local")
        (self.root / "stacks").mkdir(exist_ok=True)
        (self.root / "stacks" / f"Pulumi.{stack}.yaml").touch()
        given: dict[str, Any] = {"state_dir": self.root / "engine", "overrides": self.cloud.config()} | more
        return run(stack, root=self.root, mode=mode, program=program, **given)


@pytest.fixture
def engine(cloud: StandIn, tmp_path: Path) -> Engine:
    return Engine(cloud, tmp_path)
