"""Jobs that are run, by Google's own clients: tasks, attempts, overrides, cancellation, logs, the cloud's own death."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.cloud.run_v2.services.executions.transports import ExecutionsGrpcTransport
from google.cloud.run_v2.services.jobs.transports import JobsGrpcTransport
from google.cloud.run_v2.services.tasks.transports import TasksGrpcTransport
from google.protobuf import duration_pb2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, Place, process
from tests.local_cloud.image import until
from tests.local_cloud.run_client import IMAGE, Runner, done, http, runner

STATUS = run_v2.ExecutionReference.CompletionStatus
STATE = run_v2.Condition.State
REASON = run_v2.Condition.ExecutionReason


class Batch:
    """The clients of jobs at one place."""

    def __init__(self, run: Runner) -> None:
        self.run = run
        self.jobs = run_v2.JobsClient(transport=JobsGrpcTransport(channel=run.channel))
        self.executions = run_v2.ExecutionsClient(transport=ExecutionsGrpcTransport(channel=run.channel))
        self.tasks = run_v2.TasksClient(transport=TasksGrpcTransport(channel=run.channel))

    def job(self, job_id: str, *args: str, tasks: int = 1, parallelism: int = 0, **more: Any) -> run_v2.Job:
        container = {"image": IMAGE, "args": args, **more.pop("container", {})}
        template = {"max_retries": 0, "containers": [container], **more.pop("template", {})}
        job = run_v2.Job(template={"template": template, "task_count": tasks, "parallelism": parallelism}, **more)
        return done(self.jobs.create_job(parent=PARENT, job=job, job_id=job_id))  # type: ignore[no-any-return]

    def latest(self, job: run_v2.Job) -> run_v2.Execution:
        return next(iter(self.executions.list_executions(parent=job.name)))

    def until_started(self, job: run_v2.Job, *files: Path) -> run_v2.Execution:
        asyncio.run(until(lambda: all(file.exists() for file in files)))
        return self.latest(job)


@pytest.fixture(scope="module")
def batch(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batch]:
    with runner(place, tmp_path_factory.mktemp("image")) as made:
        yield Batch(made)


def condition(of: Any, kind: str = "Completed") -> Any:
    return next(c for c in of.conditions if c.type_ == kind)


@pins(
    "run",
    "Jobs",
    "RunJob's operation ends with its execution, which all tasks must have done well",
    documented="RunJob",
)
@pins("run", "Jobs", "The job tells of its latest execution and how many there are", documented="job.proto")
def test_run_job_ends_with_the_execution_of_all_its_tasks(batch: Batch) -> None:
    made = batch.job("good", tasks=3)
    execution = done(batch.jobs.run_job(name=made.name))
    assert execution.name.startswith(f"{made.name}/executions/good-")
    assert (execution.task_count, execution.succeeded_count, execution.failed_count) == (3, 3, 0)
    assert (condition(execution).state, condition(execution, "Started").state) == (
        STATE.CONDITION_SUCCEEDED,
        STATE.CONDITION_SUCCEEDED,
    )
    assert execution.completion_time >= execution.start_time >= execution.create_time
    assert batch.executions.get_execution(name=execution.name) == execution
    job = batch.jobs.get_job(name=made.name)
    assert (job.execution_count, job.latest_created_execution.name) == (1, execution.name.rpartition("/")[2])
    assert job.latest_created_execution.completion_status == STATUS.EXECUTION_SUCCEEDED
    tasks = list(batch.tasks.list_tasks(parent=execution.name))
    assert [task.index for task in tasks] == [0, 1, 2]
    assert batch.tasks.get_task(name=tasks[1].name) == tasks[1]
    assert tasks[1].name == f"{execution.name}/tasks/{job.latest_created_execution.name}-task1"


@pins(
    "run",
    "Jobs",
    "CLOUD_RUN_JOB, _EXECUTION, _TASK_INDEX, _TASK_ATTEMPT and _TASK_COUNT; no PORT",
    documented="Container contract",
)
@pins(
    "run",
    "Jobs",
    "Overrides of arguments, variables, tasks and timeout hold for one run",
    documented="RunJobRequest.Overrides",
)
def test_a_task_sees_what_it_is_and_what_the_run_overrides(batch: Batch, tmp_path: Path) -> None:
    env = [{"name": "KEPT", "value": "1"}, {"name": "CHANGED", "value": "1"}]
    made = batch.job("told", "exit", "9", container={"env": env, "working_dir": str(tmp_path)})
    change = {"args": ["env", str(tmp_path)], "env": [{"name": "CHANGED", "value": "2"}]}
    overrides = {"container_overrides": [change], "task_count": 2, "timeout": duration_pb2.Duration(seconds=77)}
    execution = done(batch.jobs.run_job(request={"name": made.name, "overrides": overrides}))
    assert (execution.task_count, execution.template.timeout.seconds) == (2, 77)
    seen = json.loads((tmp_path / "1").read_text())
    assert seen["argv"][1:] == ["env", str(tmp_path)]
    assert seen["cwd"] == str(tmp_path)
    env_seen: Mapping[str, str] = seen["env"]
    assert (env_seen["KEPT"], env_seen["CHANGED"]) == ("1", "2")
    expected = {"JOB": "told", "TASK_INDEX": "1", "TASK_ATTEMPT": "0", "TASK_COUNT": "2"}
    assert {name: env_seen[f"CLOUD_RUN_{name}"] for name in expected} == expected
    assert env_seen["CLOUD_RUN_EXECUTION"] == execution.name.rpartition("/")[2]
    assert "PORT" not in env_seen
    assert "K_SERVICE" not in env_seen
    cleared = {"container_overrides": [{"clear_args": True}]}
    again = done(batch.jobs.run_job(request={"name": made.name, "overrides": cleared}))
    assert (again.succeeded_count, list(again.template.containers[0].args)) == (1, [])
    assert batch.jobs.get_job(name=made.name).template.task_count == 1
    for wrong in ({"container_overrides": [{"name": "nobody"}]}, {"task_count": 10_001}):
        with pytest.raises(exceptions.InvalidArgument, match=r"RunJobRequest\.overrides"):
            batch.jobs.run_job(request={"name": made.name, "overrides": wrong})


@pins(
    "run",
    "Jobs",
    "A task that fails is tried again up to max_retries; its last attempt's exit code is kept",
    documented="max_retries",
)
def test_a_task_is_tried_again_as_often_as_the_job_says(batch: Batch) -> None:
    made = batch.job("flaky", "flaky", "2", template={"max_retries": 2})
    execution = done(batch.jobs.run_job(name=made.name))
    [task] = batch.tasks.list_tasks(parent=execution.name)
    assert (task.retried, execution.retried_count, execution.succeeded_count) == (2, 1, 1)
    made = batch.job("hopeless", "exit", "3", template={"max_retries": 1}, tasks=2)
    with pytest.raises(exceptions.Aborted, match=r"task0 failed with message: The container exited with an error\."):
        done(batch.jobs.run_job(name=made.name))
    execution = batch.latest(made)
    assert (execution.failed_count, execution.retried_count) == (2, 2)
    assert condition(execution).execution_reason == REASON.NON_ZERO_EXIT_CODE
    tasks = list(batch.tasks.list_tasks(parent=execution.name))
    assert [(task.retried, task.last_attempt_result.exit_code) for task in tasks] == [(1, 3), (1, 3)]
    job = batch.jobs.get_job(name=made.name)
    assert job.latest_created_execution.completion_status == STATUS.EXECUTION_FAILED


@pins(
    "run",
    "Jobs",
    "The timeout is an attempt's, by the cloud's clock: SIGTERM, 10 s, SIGKILL",
    documented="Task timeout",
)
def test_an_attempt_ends_at_its_timeout_by_the_clouds_clock(batch: Batch, tmp_path: Path) -> None:
    made = batch.job("slow", "wait", str(tmp_path / "go"), template={"timeout": "600s"})
    operation = batch.jobs.run_job(name=made.name)
    batch.until_started(made, tmp_path / "go.0.0")
    url = f"{batch.run.place.rest}/_sluice/clock:advance"
    assert http(url, method="POST", body=json.dumps({"seconds": 601}).encode()).status == 200
    with pytest.raises(exceptions.Aborted, match="The configured timeout was reached"):
        done(operation)
    [task] = batch.tasks.list_tasks(parent=batch.latest(made).name)
    assert task.last_attempt_result.term_signal == 15


@pins(
    "run",
    "Jobs",
    "Tasks run side by side up to parallelism, and 16 of an execution here",
    documented="parallelism",
    ours="two cores",
)
def test_parallelism_is_kept(batch: Batch, tmp_path: Path) -> None:
    made = batch.job("narrow", "wait", str(tmp_path / "go"), tasks=3, parallelism=2)
    operation = batch.jobs.run_job(name=made.name)
    execution = batch.until_started(made, tmp_path / "go.0.0", tmp_path / "go.1.0")
    assert (execution.running_count, (tmp_path / "go.2.0").exists()) == (2, False)
    (tmp_path / "go").touch()
    assert done(operation).succeeded_count == 3


@pins(
    "run",
    "Jobs",
    "A cancelled execution stops its tasks and begins no more; RunJob's operation then answers without an error",
    observed="apache/airflow#67767",
)
def test_a_cancelled_execution_stops_what_runs_and_begins_nothing_more(batch: Batch, tmp_path: Path) -> None:
    made = batch.job("endless", "wait", str(tmp_path / "never"), tasks=2, parallelism=1, template={"max_retries": 3})
    operation = batch.jobs.run_job(name=made.name)
    execution = batch.until_started(made, tmp_path / "never.0.0")
    cancelled = done(batch.executions.cancel_execution(name=execution.name))
    assert (cancelled.cancelled_count, cancelled.failed_count, cancelled.running_count) == (2, 0, 0)
    assert condition(cancelled).execution_reason == REASON.CANCELLED
    assert done(operation).cancelled_count == 2
    assert not (tmp_path / "never.1.0").exists()
    job = batch.jobs.get_job(name=made.name)
    assert job.latest_created_execution.completion_status == STATUS.EXECUTION_CANCELLED
    with pytest.raises(exceptions.FailedPrecondition, match="it is over"):
        batch.executions.cancel_execution(name=execution.name)


@pins("run", "Jobs", "Deleting an execution or its job cancels what runs", documented="DeleteExecution, DeleteJob")
def test_deletion_takes_what_runs_along(batch: Batch, tmp_path: Path) -> None:
    made = batch.job("doomed", "wait", str(tmp_path / "never"))
    batch.jobs.run_job(name=made.name)
    execution = batch.until_started(made, tmp_path / "never.0.0")
    gone = done(batch.executions.delete_execution(name=execution.name))
    assert gone.delete_time
    assert gone.cancelled_count == 1
    with pytest.raises(exceptions.NotFound, match="of kind 'EXECUTION'"):
        batch.executions.get_execution(name=execution.name)
    assert batch.jobs.get_job(name=made.name).execution_count == 0
    second = batch.jobs.run_job(
        request={"name": made.name, "overrides": {"container_overrides": [{"args": ["wait", str(tmp_path / "more")]}]}}
    )
    batch.until_started(made, tmp_path / "more.0.0")
    done(batch.jobs.delete_job(name=made.name))
    assert done(second).cancelled_count == 1
    with pytest.raises(exceptions.NotFound):
        batch.tasks.get_task(name=f"{execution.name}/tasks/x")


@pins(
    "run",
    "Jobs",
    "Executions are listed newest first, tasks by index, in pages; `-` is every job or execution",
    documented="ListExecutions, ListTasks",
)
def test_executions_and_tasks_are_listed_in_pages(batch: Batch) -> None:
    made = batch.job("many", tasks=5)
    names = [done(batch.jobs.run_job(name=made.name)).name for _ in range(3)]
    pages = batch.executions.list_executions(request={"parent": made.name, "page_size": 2}).pages
    assert [[e.name for e in page.executions] for page in pages] == [names[:0:-1], names[:1]]
    pages = batch.tasks.list_tasks(request={"parent": names[0], "page_size": 2}).pages
    assert [[t.index for t in page.tasks] for page in pages] == [[0, 1], [2, 3], [4]]
    assert len(list(batch.tasks.list_tasks(parent=f"{made.name}/executions/-"))) == 15
    every = [e.name for e in batch.executions.list_executions(parent=f"{PARENT}/jobs/-")]
    assert set(names) <= set(every)
    with pytest.raises(exceptions.NotFound, match="of kind 'JOB'"):
        batch.executions.list_executions(parent=f"{PARENT}/jobs/nobody")


@pins(
    "run",
    "Jobs",
    "run.jobs.run is asked of who runs a job, run.jobs.runWithOverrides beside it with overrides",
    documented="IAM permissions",
)
def test_running_a_job_and_overriding_it_are_permissions_of_their_own(batch: Batch) -> None:
    made = batch.job("guarded")
    caller = batch.run.account("job-caller")
    batch.run.bind_job(made.name, "roles/run.jobsExecutor", f"serviceAccount:{caller}")
    url = f"http://127.0.0.1:{batch.run.place.ports['service_rest']}/v2/{made.name}:run"
    headers = {"Authorization": f"Bearer {batch.run.access_token(caller)}", "Content-Type": "application/json"}
    assert http(url, method="POST", body=b"{}", headers=headers).status == 200
    refused = http(url, method="POST", body=b'{"overrides": {"taskCount": 2}}', headers=headers)
    assert (refused.status, b"run.jobs.runWithOverrides" in refused.body) == (403, True)


@pins("run", "Jobs", "validate_only and etags are checked before anything runs", documented="RunJobRequest")
def test_a_run_may_be_only_checked(batch: Batch) -> None:
    made = batch.job("dry")
    assert done(batch.jobs.run_job(request={"name": made.name, "validate_only": True})).task_count == 1
    assert list(batch.executions.list_executions(parent=made.name)) == []
    with pytest.raises(exceptions.Aborted, match="etag"):
        batch.jobs.run_job(request={"name": made.name, "etag": '"stale"'})
    with pytest.raises(exceptions.NotFound):
        batch.jobs.run_job(name=f"{PARENT}/jobs/nobody")


@pins(
    "run",
    "Jobs",
    "start_execution_token and run_execution_token run a job as it is kept, once each",
    documented="job.proto",
)
def test_a_token_runs_the_job_that_is_kept_with_it(batch: Batch) -> None:
    made = batch.job("tokened", run_execution_token="first")
    assert [e.name for e in batch.executions.list_executions(parent=made.name)] == [
        f"{made.name}/executions/tokened-first"
    ]
    assert made.latest_created_execution.completion_status == STATUS.EXECUTION_SUCCEEDED
    done(batch.jobs.update_job(job=batch.jobs.get_job(name=made.name)))
    assert batch.jobs.get_job(name=made.name).execution_count == 1


@pins(
    "run",
    "Jobs",
    "A command takes the place of the image's entry point; `python` is the image's own",
    documented="Container.command",
)
@pins(
    "run",
    "Jobs",
    "Output and the platform's word on an exit are entries of the cloud_run_job, labelled by execution and task",
    documented="Logging",
)
def test_a_command_replaces_the_entry_point_and_its_output_is_logged(batch: Batch) -> None:
    code = "import sys, tiny_app; print(*sys.argv[1:]); sys.exit(4)"
    made = batch.job("spoken", "hello", container={"command": ["python", "-c", code]})
    with pytest.raises(exceptions.Aborted):
        done(batch.jobs.run_job(name=made.name))
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        body = {"resourceNames": [f"projects/{PROJECT}"], "filter": 'resource.labels.job_name="spoken"'}
        answer = http(f"{batch.run.place.rest}/v2/entries:list", method="POST", body=json.dumps(body).encode())
        found[:] = answer.json.get("entries", [])
        return {"hello", "Container called exit(4)."} <= {entry.get("textPayload") for entry in found}

    asyncio.run(until(arrived))
    assert {entry["resource"]["type"] for entry in found} == {"cloud_run_job"}
    labels = found[0]["labels"]
    assert labels["run.googleapis.com/execution_name"] == batch.latest(made).name.rpartition("/")[2]
    assert labels["run.googleapis.com/task_index"] == "0"


@pins(
    "run",
    "Jobs",
    "An unknown image, or a secret that may not be read, fails the task and says why",
    ours="nothing is pulled",
)
def test_what_cannot_start_fails_with_the_reason(batch: Batch) -> None:
    made = batch.job("lost", container={"image": IMAGE.replace("a" * 64, "b" * 64)})
    with pytest.raises(exceptions.Aborted, match=r"task0 failed with message: Image .* not found.*_sluice/images"):
        done(batch.jobs.run_job(name=made.name))
    made = batch.job("nowhere", container={"working_dir": "/not/there"})
    with pytest.raises(exceptions.Aborted, match="/not/there"):
        done(batch.jobs.run_job(name=made.name))


@pins(
    "run",
    "Jobs",
    "Attempts that ran when the cloud was killed count as failed and are tried again at its restart; the rest goes on",
    ours="attempts live in the cloud's process group",
)
def test_an_execution_goes_on_after_the_cloud_was_killed(tmp_path: Path) -> None:
    with process(tmp_path / "state") as place, runner(place, tmp_path / "image") as run:
        batch = Batch(run)
        made = batch.job("lasting", "wait", str(tmp_path / "go"), tasks=2, parallelism=1, template={"max_retries": 1})
        once = batch.job("once", "wait", str(tmp_path / "go2"))
        operation = batch.jobs.run_job(name=made.name).operation.name
        batch.jobs.run_job(name=once.name)
        batch.until_started(made, tmp_path / "go.0.0", tmp_path / "go2.0.0")
        place.kill()
    (tmp_path / "go").touch()
    with process(tmp_path / "state") as place, runner(place, tmp_path / "image") as run:
        batch = Batch(run)
        url = f"{place.rest}/v2/{operation}"
        asyncio.run(until(lambda: bool(http(url).json.get("done"))))
        assert http(url).json["response"]["succeededCount"] == 2
        tasks = list(batch.tasks.list_tasks(parent=batch.latest(made).name))
        assert [task.retried for task in tasks] == [1, 0]
        asyncio.run(until(lambda: bool(batch.latest(once).completion_time)))
        assert "lost when the local cloud ended" in condition(batch.latest(once)).message
