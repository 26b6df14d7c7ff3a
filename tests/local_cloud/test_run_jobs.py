"""Cloud Run jobs by Google's own client: kept, read back, changed, deleted (test_run_executions.py runs them)."""

from collections.abc import Iterator

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.cloud.run_v2.services.jobs.transports import JobsGrpcTransport

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, inside
from tests.local_cloud.run_client import done

IMAGE = "us-central1-docker.pkg.dev/p/r/i@sha256:" + "a" * 64


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[run_v2.JobsClient]:
    with inside(tmp_path_factory.mktemp("jobs")) as place:
        channel = grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}")
        yield run_v2.JobsClient(transport=JobsGrpcTransport(channel=channel))
        channel.close()


def job(*names: str, **task: object) -> run_v2.Job:
    container = run_v2.Container(image=IMAGE, args=["up"], env=[run_v2.EnvVar(name=name, value="x") for name in names])
    return run_v2.Job(template={"template": {"containers": [container], **task}})


@pins(
    "run",
    "Jobs",
    "CreateJob, GetJob, ListJobs, UpdateJob, DeleteJob and the IAM methods; defaults: one task, 600 s, 3 retries",
    documented="Jobs",
)
def test_a_job_is_kept_changed_and_deleted(jobs: run_v2.JobsClient) -> None:
    made = done(jobs.create_job(parent=PARENT, job=job("A"), job_id="migrate"))
    task = made.template.template
    assert (made.name, made.generation) == (f"{PARENT}/jobs/migrate", 1)
    assert (task.max_retries, task.timeout.seconds, made.template.task_count) == (3, 600, 1)
    assert jobs.get_job(name=made.name) == made

    wanted = job("B", max_retries=0)
    wanted.name = made.name
    changed = done(jobs.update_job(job=wanted))
    assert (changed.generation, changed.uid, changed.template.template.max_retries) == (2, made.uid, 0)
    assert [found.name for found in jobs.list_jobs(parent=PARENT)] == [made.name]

    wanted.etag = made.etag
    with pytest.raises(exceptions.Aborted, match="etag"):
        jobs.update_job(job=wanted)
    done(jobs.delete_job(name=made.name))
    with pytest.raises(exceptions.NotFound, match="of kind 'JOB'"):
        jobs.get_job(name=made.name)


@pytest.mark.parametrize(
    ("wanted", "job_id", "what"),
    [
        (job(), "Upper", "job_id"),
        (run_v2.Job(), "empty", "containers"),
        (job("A", "A"), "twice", "env"),
        (job(max_retries=11), "often", "max_retries"),
        (job(timeout="0s"), "short", "timeout"),
    ],
)
def test_a_wrong_job_is_refused_with_its_field(
    jobs: run_v2.JobsClient, wanted: run_v2.Job, job_id: str, what: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=what):
        jobs.create_job(parent=PARENT, job=wanted, job_id=job_id)


def test_a_job_exists_once_and_validate_only_keeps_nothing(jobs: run_v2.JobsClient) -> None:
    request = run_v2.CreateJobRequest(parent=PARENT, job=job(), job_id="once", validate_only=True)
    done(jobs.create_job(request=request))
    with pytest.raises(exceptions.NotFound):
        jobs.get_job(name=f"{PARENT}/jobs/once")
    done(jobs.create_job(parent=PARENT, job=job(), job_id="once"))
    with pytest.raises(exceptions.AlreadyExists):
        jobs.create_job(parent=PARENT, job=job(), job_id="once")
