"""Jobs as they are kept: lookups, defaults, checks, and what a run may override.

Owns the job's message; running one is executions.py's.
Sources: google/cloud/run/v2/{job,task_template}.proto, https://cloud.google.com/run/docs/execute/jobs (overrides).
"""

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, not_found
from local_cloud.plain import Plain
from local_cloud.run.containers import (
    JOB_RESERVED_ENV,
    check_containers,
    check_volumes,
    fill_in_resources,
    violation,
)
from local_cloud.run.rules import MAX_JOB_TIMEOUT

JOB = "google.cloud.run.v2.Job"
#: What Cloud Run fills in: one task of ten minutes that is tried three times more.
DEFAULT_TIMEOUT, DEFAULT_RETRIES = 600, 3
MAX_TASKS, MAX_RETRIES = 10_000, 10


class Jobs(Plain):
    """The jobs of the project."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, JOB, noun="Job")

    def get(self, name: str) -> Message:
        """A job as it is kept, or NOT_FOUND in Cloud Run's words."""
        found = self.kept.get(name)
        if found is None:
            _, project, _, region, _, job = name.split("/")
            raise not_found(
                f"Resource '{job}' of kind 'JOB' in region '{region}' in project '{project}' does not exist."
            )
        return found


def check_etag(found: Message, etag: str) -> None:
    """Refuse a change that was made to something older."""
    if etag and etag != found.etag:
        raise ApiError("ABORTED", f"Conflict for resource '{found.name}': the etag {etag} is not the current one.")


def fill_in(job: Message, default_account: str) -> None:
    """Put Cloud Run's defaults where the caller said nothing, as a later read shows them."""
    if not job.launch_stage:
        job.launch_stage = enum("google.api.LaunchStage")["GA"]
    task = job.template.template
    job.template.task_count = job.template.task_count or 1
    if not task.HasField("timeout"):
        task.timeout.FromSeconds(DEFAULT_TIMEOUT)
    if task.WhichOneof("retries") is None:
        task.max_retries = DEFAULT_RETRIES
    if not task.service_account:
        task.service_account = default_account
    fill_in_resources(task.containers, serves=False)


def check(template: Message, where: str) -> None:
    """Refuse an execution template that Cloud Run would refuse at once."""
    task, at = template.template, f"{where}.template"
    if not task.containers:
        raise violation(f"{at}.containers", "at least one container is required.")
    check_volumes(task.volumes, f"{at}.volumes")
    check_containers(task.containers, f"{at}.containers", volumes=task.volumes, reserved=JOB_RESERVED_ENV)
    if not 1 <= task.timeout.ToSeconds() <= MAX_JOB_TIMEOUT:
        raise violation(f"{at}.timeout", f"must be between 1s and {MAX_JOB_TIMEOUT}s.")
    if not 0 <= task.max_retries <= MAX_RETRIES:
        raise violation(f"{at}.max_retries", f"must be between 0 and {MAX_RETRIES}.")
    if not 1 <= template.task_count <= MAX_TASKS:
        raise violation(f"{where}.task_count", f"must be between 1 and {MAX_TASKS}.")
    if not 0 <= template.parallelism <= template.task_count:
        raise violation(f"{where}.parallelism", f"must be between 0 and task_count {template.task_count}.")


def overridden(job: Message, overrides: Message) -> Message:
    """The job's execution template with what one run says otherwise."""
    made = message("google.cloud.run.v2.ExecutionTemplate")()
    made.CopyFrom(job.template)
    if overrides.task_count:
        made.task_count = overrides.task_count
        made.parallelism = min(made.parallelism, made.task_count)
    if overrides.HasField("timeout"):
        made.template.timeout.CopyFrom(overrides.timeout)
    for index, change in enumerate(overrides.container_overrides):
        _override(made.template, change, f"RunJobRequest.overrides.container_overrides[{index}]")
    check(made, "RunJobRequest.overrides")
    return made


def _override(task: Message, change: Message, where: str) -> None:
    fitting = [c for c in task.containers if c.name == change.name] if change.name else task.containers[:1]
    if not fitting:
        raise violation(f"{where}.name", f"the job has no container '{change.name}'.")
    container = fitting[0]
    if change.args and change.clear_args:
        raise violation(f"{where}.clear_args", "must not be set together with args.")
    if change.args or change.clear_args:
        container.args[:] = change.args
    for variable in change.env:
        kept = [v for v in container.env if v.name != variable.name]
        del container.env[:]
        container.env.extend([*kept, variable])
