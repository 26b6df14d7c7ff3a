"""Incidents that end processes, or change keys of the stack: on a stack of the test's own, in `make proofs` alone.

In every run tests/payments/test_crashes kills every process, and tests/rollout/test_key rotates a key.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.payments.stack import Stack, until
from tests.runbook.incident import Do, incident, whole
from tests.runbook.staging import asked, sent, well

pytestmark = [pytest.mark.stack, whole]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="sluice-", ignore_cleanup_errors=True) as folder:
        own = Stack(Path(folder) / "home")
        monkeypatch.setenv("SLUICE_HOME", str(own.home))
        try:
            own.up()
            yield own
        finally:
            own.sluice("down", check=False)


@incident(
    "The database is slow or away",
    "A process dies again and again",
    "A migration failed",
    "Everything is to be thrown away",
)
def test_a_database_that_dies_is_started_again_and_a_stack_goes_down_and_up_and_away(stack: Stack, do: Do) -> None:
    os.kill(stack.record["children"]["postgres"]["pid"], signal.SIGKILL)
    payments = sent(stack, "single", 2)
    until(lambda: postgres() == ("ready", 1), 60, lambda: str(postgres()))
    assert "postgres" in do("./sluice status")
    do("""./sluice logs --severity ERROR --filter 'jsonPayload.event=("database_unavailable" OR "unavailable")'""")
    do("./sluice down && ./sluice up")
    do("./sluice up")
    stack.advance(6 * 60)
    stack.paid(payments)
    well(stack)
    do("./sluice down --erase")
    assert not (stack.home / "postgres").exists()


@incident("A key must change, or was lost", "A credential is refused")
def test_a_key_and_a_partners_value_are_changed(stack: Stack, do: Do, tmp_path: Path) -> None:
    steps = do("./sluice secrets rotate NAME --stack prod --dry-run", {"NAME": "SUCCESS_URL_SIGNING_KEY"})
    assert "the new one signs, both are known" in steps
    do("./sluice secrets rotate NAME --stack prod", {"NAME": "SUCCESS_URL_SIGNING_KEY"})
    assert "SUCCESS_URL_SIGNING_KEY" in do("./sluice secrets list")
    value = tmp_path / "value"
    value.write_text(f"{stack.sandbox}/slack/services/T0/B0/other")
    do("./sluice secrets rotate NAME --from-file FILE", {"NAME": "SLACK_ALERT_WEBHOOK", "FILE": str(value)})
    payments = sent(stack, "single", 2)
    stack.paid(payments)
    well(stack)


def postgres() -> tuple[str, int]:
    """How the database's process stands, and how often it was started again."""
    said = asked("status")["processes"]["postgres"]
    return said["state"], said["restarts"]
