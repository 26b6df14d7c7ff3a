"""One stack for the rooms that operate it, tests/rollout and tests/runbook: a start costs more than a test.

Each of their tests leaves nothing under way, nothing paused and nothing broken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.payments.stack import Stack


@pytest.fixture(scope="session")
def operated() -> Iterator[Stack]:
    """A deployed stack that a worker's tests of these rooms share."""
    with tempfile.TemporaryDirectory(prefix="sluice-", ignore_cleanup_errors=True) as folder:
        shared = Stack(Path(folder) / "home")
        try:
            shared.up()
            yield shared
        finally:
            shared.sluice("down", check=False)
