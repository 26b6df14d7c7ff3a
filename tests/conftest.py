"""One stack for the rooms that operate it, tests/rollout and tests/runbook: a start costs more than a test.

Each of their tests leaves nothing under way, nothing paused and nothing broken.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.payments.stack import Stack, deployed


@pytest.fixture(scope="session")
def operated() -> Iterator[Stack]:
    """A deployed stack that a worker's tests of these rooms share."""
    with deployed() as shared:
        yield shared
