"""Stacks for tests: one a worker that tests share, and private ones for tests that break things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.payments.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A deployed stack that the tests of a worker share; they leave it healthy."""
    shared = Stack(tmp_path_factory.mktemp("stack"))
    try:
        shared.up()
        yield shared
    finally:
        shared.sluice("down", check=False)


@pytest.fixture
def new_stack(tmp_path: Path) -> Iterator[Callable[[], Stack]]:
    """Makes stacks of a test's own, stopped when it ends."""
    made: list[Stack] = []

    def make(deployed: bool = True) -> Stack:
        one = Stack(tmp_path / f"stack{len(made)}")
        made.append(one)
        if deployed:
            one.up()
        return one

    yield make
    for one in made:
        one.sluice("down", check=False)
