"""Deployments and executions end even when the local cloud itself goes wrong, and old executions are forgotten."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.cloud.run_v2.services.executions.transports import ExecutionsGrpcTransport
from google.cloud.run_v2.services.jobs.transports import JobsGrpcTransport
from google.cloud.run_v2.services.tasks.transports import TasksGrpcTransport

from local_cloud.run import deploy, executions
from local_cloud.run.executions import Executions
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, inside
from tests.local_cloud.run_client import IMAGE, Runner, done, http, runner


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Runner]:
    with inside(tmp_path / "state") as place, runner(place, tmp_path / "image") as made:
        made.place.loop.call_soon_threadsafe(made.place.loop.set_exception_handler, lambda *_: None)  # type: ignore[union-attr]
        yield made


async def broken(*_: object, **__: object) -> None:
    await asyncio.sleep(0)
    raise KeyError("unforeseen")


def test_deployment_that_fails_unforeseen_ends_and_says_so(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "_see_it_serve", broken)
    with pytest.raises(exceptions.InternalServerError, match="unforeseen"):
        run.create("odd")
    kept = run.services.get_service(name=f"{PARENT}/services/odd")
    assert not kept.reconciling
    assert kept.terminal_condition.state == run_v2.Condition.State.CONDITION_FAILED


def test_execution_that_fails_unforeseen_ends_and_says_so(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = run_v2.JobsClient(transport=JobsGrpcTransport(channel=run.channel))
    job = run_v2.Job(template={"template": {"containers": [{"image": IMAGE}]}})
    made = done(jobs.create_job(parent=PARENT, job=job, job_id="odd"))
    monkeypatch.setattr(Executions, "_attempt", broken)
    with pytest.raises(exceptions.InternalServerError, match="unforeseen"):
        done(jobs.run_job(name=made.name))
    latest = jobs.get_job(name=made.name).latest_created_execution
    assert latest.completion_status == run_v2.ExecutionReference.CompletionStatus.EXECUTION_FAILED


@pins(
    "run",
    "Jobs",
    "The latest 1,000 executions of a job are kept, and any that ended in the last seven days",
    documented="Execute jobs",
)
def test_old_executions_beyond_the_latest_are_forgotten(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "MOST_KEPT", 2)
    jobs = run_v2.JobsClient(transport=JobsGrpcTransport(channel=run.channel))
    job = run_v2.Job(template={"template": {"containers": [{"image": IMAGE}]}})
    made = done(jobs.create_job(parent=PARENT, job=job, job_id="often"))
    listed = run_v2.ExecutionsClient(transport=ExecutionsGrpcTransport(channel=run.channel))
    ran = [done(jobs.run_job(name=made.name)).name for _ in range(3)]
    assert {e.name for e in listed.list_executions(parent=made.name)} == set(ran), "all are young"
    body = json.dumps({"seconds": 7 * 86400 + 1}).encode()
    assert http(f"{run.place.rest}/_sluice/clock:advance", method="POST", body=body).status == 200
    ran.append(done(jobs.run_job(name=made.name)).name)
    assert {e.name for e in listed.list_executions(parent=made.name)} == set(ran[2:])
    assert jobs.get_job(name=made.name).execution_count == 2
    tasks = run_v2.TasksClient(transport=TasksGrpcTransport(channel=run.channel))
    assert {t.name.rpartition("/tasks/")[0] for t in tasks.list_tasks(parent=f"{made.name}/executions/-")} == set(
        ran[2:]
    )
