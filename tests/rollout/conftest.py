"""One stack for the tests of this folder, which roll revisions out and back on it; each leaves nothing under way."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.payments.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A deployed stack that a worker's tests share."""
    with tempfile.TemporaryDirectory(prefix="sluice-", ignore_cleanup_errors=True) as folder:
        shared = Stack(Path(folder) / "home")
        try:
            shared.up()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("SLUICE_HOME", str(shared.home))  # verbs and walks in this process are this stack's
                yield shared
        finally:
            shared.sluice("down", check=False)
