"""Failures and crashes: what depends on a failure waits, the rest goes on, the next run goes on where one ended."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pulumi_gcp as gcp
import pytest

from local_engine import render
from tests.local_engine.conftest import Engine
from tests.local_engine.standin import Call, StandIn, duplicates
from tests.local_engine.test_run import payments
from tests.local_engine.test_safety import version

ROOT = Path(__file__).parents[2]


def refusing(part: str, status: int = 403) -> Any:
    def intercept(call: Call) -> tuple[int, dict[str, Any]] | None:
        if call.writes and part in call.line:
            return status, {"error": {"code": status, "status": "PERMISSION_DENIED", "message": "no run for you"}}
        return None

    return intercept


def test_dependents_of_a_failure_are_not_attempted_and_others_finish(engine: Engine, cloud: StandIn) -> None:
    cloud.intercept = refusing("/queues")
    result = engine(payments)
    assert result.counts == {"create": 1, "skip": 1}
    (problem,) = result.problems
    assert "no run for you" in problem.what
    assert problem.where.startswith(("tests/", "file://"))
    assert "permission" in problem.fix
    assert "pay-queue, which it depends on, failed" in render(result)
    cloud.intercept = lambda call: None
    assert engine(payments).counts == {"same": 1, "create": 2}


def test_a_failed_deletion_keeps_what_it_needs(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    cloud.intercept = refusing(":setIamPolicy")
    result = engine(lambda: None)
    assert result.counts == {"skip": 2}
    assert len(cloud.things) == 2
    cloud.intercept = lambda call: None
    assert engine(lambda: None).counts == {"delete": 3}


def test_a_name_that_somebody_else_took_is_not_taken_over(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    for path in (engine.root / "engine" / "local").iterdir():
        path.unlink()
    for _ in range(2):
        result = engine(payments)
    said = "\n".join(map(str, result.problems))
    assert "exists already and this stack did not make it" in said
    assert "import_" in said


def test_an_existing_thing_is_adopted_on_demand(engine: Engine, cloud: StandIn) -> None:
    path = "projects/rec/locations/us-central1/queues/q"
    cloud.things[path] = {"name": path, "state": "RUNNING"}

    def program() -> None:
        gcp.cloudtasks.Queue("q", name="q", location="us-central1", opts=pulumi.ResourceOptions(import_=path))

    assert engine(program).counts == {"import": 1}
    assert cloud.written() == []
    assert engine(program).counts == {"same": 1}


def test_a_renamed_resource_keeps_what_it_is(engine: Engine, cloud: StandIn) -> None:
    def program(name: str) -> None:
        aliases = [pulumi.Alias(name="old")] if name != "old" else None
        gcp.cloudtasks.Queue(name, name="q", location="us-central1", opts=pulumi.ResourceOptions(aliases=aliases))

    engine(lambda: program("old"))
    cloud.calls.clear()
    assert engine(lambda: program("new")).counts == {"same": 1}
    assert cloud.written() == []


def test_ignored_changes_are_ignored(engine: Engine, cloud: StandIn) -> None:
    def program(title: str) -> None:
        opts = pulumi.ResourceOptions(ignore_changes=["display_name"])
        gcp.serviceaccount.Account("a", account_id="acct", display_name=title, opts=opts)

    engine(lambda: program("one"))
    assert engine(lambda: program("two")).counts == {"same": 1}


@pytest.mark.parametrize(("parallel", "least"), [pytest.param(1, 5, marks=pytest.mark.slow), (16, 1)])
def test_a_crash_between_call_and_answer_makes_nothing_twice(
    engine: Engine, cloud: StandIn, parallel: int, least: int
) -> None:
    """The process is killed (kill -9) while each of the creates in turn is being answered; then it is run again."""
    script = Path(__file__).with_name("crashing.py")
    config = json.dumps(cloud.config())
    kills = 0
    for victim in range(12):
        cloud.intercept = _kill_at(cloud, victim)
        done = subprocess.run(
            [sys.executable, str(script), str(engine.root), config, str(parallel)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, -9), done.stderr
        kills += done.returncode == -9
        if done.returncode == 0:
            break
    assert kills >= least
    cloud.intercept = lambda call: None
    result = engine(version_and_payments)
    assert result.ok, result.problems
    assert (result.changed, result.writes) == (False, 0)
    assert duplicates(cloud) == []
    assert len([name for name in cloud.things if "/versions/" in name]) == 1


def version_and_payments() -> None:
    version()
    payments()


def _kill_at(cloud: StandIn, victim: int) -> Any:
    """Let the write through, then tell the caller to end before it hears of it; each write once."""
    seen: list[str] = []

    def intercept(call: Call) -> tuple[int, dict[str, Any]] | None:
        if not call.writes:
            return None
        seen.append(call.line)
        if len(seen) > 1:
            return None
        cloud._answer(call)
        return 200, {"kill": True}

    return intercept


def test_what_a_crash_left_of_something_no_longer_wanted_is_removed(engine: Engine, cloud: StandIn) -> None:
    def lost(call: Call) -> tuple[int, dict[str, Any]] | None:
        if call.method != "POST" or "/queues" not in call.line:
            return None
        cloud._answer(call)
        return 500, {"error": {"code": 500, "status": "INTERNAL", "message": "the answer was lost"}}

    cloud.intercept = lost
    assert not engine(payments).ok
    assert any("/queues/" in name for name in cloud.things)
    cloud.intercept = lambda call: None
    assert engine(lambda: None).ok
    assert cloud.things == {}
    assert engine(lambda: None).reads <= 2


def test_a_preview_without_a_cloud_says_so(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    nowhere = {key: value.replace(cloud.base, "http://127.0.0.1:9") for key, value in cloud.config().items()}
    result = engine(payments, "preview", overrides=nowhere)
    assert result.counts == {"same": 3}
    assert result.compared_with == "the saved state"
    assert "the cloud does not answer" in render(result)
