"""The stack on which revisions are rolled out and back; each test leaves nothing under way."""

from __future__ import annotations

import pytest

from tests.payments.stack import Stack


@pytest.fixture
def stack(operated: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The shared stack, whose verbs and walks are run in this process."""
    monkeypatch.setenv("SLUICE_HOME", str(operated.home))
    return operated
