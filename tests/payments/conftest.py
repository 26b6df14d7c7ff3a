"""Stacks for tests: one a worker that tests share, and private ones for tests that break things."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.payments.stack import Stack, deployed


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A deployed stack that the tests of a worker share; they leave it healthy."""
    with deployed() as shared:
        yield shared


@pytest.fixture(scope="session")
def second() -> Iterator[Stack]:
    """Another one, for tests that kill its processes, stop it or change what it is made of; they too leave it healthy.

    What they count is theirs alone: others of them may have come before.
    """
    with deployed() as shared:
        yield shared


@pytest.fixture
def new_stack() -> Iterator[Callable[[], Stack]]:
    """Makes stacks of a test's own, stopped when it ends."""
    with tempfile.TemporaryDirectory(prefix="sluice-", ignore_cleanup_errors=True) as folder:
        made: list[Stack] = []

        def make(deployed: bool = True) -> Stack:
            one = Stack(Path(folder) / f"home{len(made)}")
            made.append(one)
            if deployed:
                one.up()
            return one

        yield make
        for one in made:
            one.sluice("down", check=False)
