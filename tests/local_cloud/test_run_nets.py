"""Deployments and executions end even when the local cloud itself goes wrong: nothing stays open for ever."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.cloud.run_v2.services.jobs.transports import JobsGrpcTransport

from local_cloud.run import deploy
from local_cloud.run.executions import Executions
from tests.local_cloud.cloud_places import PARENT, inside
from tests.local_cloud.run_client import IMAGE, Runner, done, runner


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
