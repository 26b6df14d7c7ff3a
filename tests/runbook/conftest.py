"""The stack on which incidents are staged, and the hand that runs the runbook's commands on it."""

from __future__ import annotations

import pytest

from tests.payments.stack import Stack
from tests.runbook.incident import Do


@pytest.fixture
def stack(operated: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The shared stack, which commands of this process find."""
    monkeypatch.setenv("SLUICE_HOME", str(operated.home))
    return operated


@pytest.fixture
def do(stack: Stack, request: pytest.FixtureRequest) -> Do:
    """Runs commands of the sections that the test is marked with."""
    return Do(stack, request.function.headings)
