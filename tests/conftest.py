"""What holds for every test process: nothing is left to chance, nothing that it started outlives it.

Besides it has one stack for the rooms that operate it, tests/rollout and tests/runbook: a start costs more than a test.
Each of their tests leaves nothing under way, nothing paused and nothing broken.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from subprocess import Popen

import pytest

from tests import chance, leash
from tests.payments.stack import Stack, deployed

chance.settle()

LEASH = pytest.StashKey[Popen[bytes]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Of a parallel run, the process that runs no tests needs no leash."""
    if hasattr(session.config, "workerinput") or not session.config.getoption("numprocesses", None):
        session.config.stash[LEASH] = leash.hold()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Whatever is imported stays: looking through it for garbage, again and again, is a tenth of a run's work."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def operated() -> Iterator[Stack]:
    """A deployed stack that a worker's tests of these rooms share."""
    with deployed() as shared:
        yield shared
