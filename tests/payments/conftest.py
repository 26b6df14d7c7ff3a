"""Stacks for tests: one a worker that tests share, and private ones for tests that break things.

Homes stand outside of pytest's own folder, which every pytest run closes to other users again: Postgres, which refuses
to run as root, could not enter its data there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.payments.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A deployed stack that the tests of a worker share; they leave it healthy."""
    with tempfile.TemporaryDirectory(prefix="sluice-", ignore_cleanup_errors=True) as folder:
        shared = Stack(Path(folder) / "home")
        try:
            shared.up()
            yield shared
        finally:
            shared.sluice("down", check=False)


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
