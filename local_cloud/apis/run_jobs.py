"""Cloud Run Admin v2, jobs: a plain control plane. A job is checked, kept, read back, changed and deleted; none is run.

Running one would need a database that takes its account's token, and what the system's one job does, `sluice up` does.
Source: google/cloud/run/v2/job.proto.
"""

import uuid

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, already_exists, not_found
from local_cloud.plain import Plain, merge, page
from local_cloud.registry import Api, Call
from local_cloud.run.containers import check_containers, violation
from local_cloud.run.rules import MAX_JOB_TIMEOUT, check_service_id
from local_cloud.secrets import stamp

API = Api("run_jobs", services=["google.cloud.run.v2.Jobs"], host="run.googleapis.com")

JOB = "google.cloud.run.v2.Job"
SUCCEEDED = enum("google.cloud.run.v2.Condition.State")["CONDITION_SUCCEEDED"]
#: What Cloud Run fills in: one task of ten minutes that is tried three times more.
DEFAULT_TIMEOUT, DEFAULT_RETRIES = 600, 3
#: Fields that the platform writes; what a caller sends in them is passed over.
OUTPUT_ONLY = (
    "uid", "generation", "create_time", "update_time", "delete_time", "expire_time", "creator", "last_modifier",
    "observed_generation", "terminal_condition", "conditions", "execution_count", "latest_created_execution",
    "reconciling", "satisfies_pzs", "etag",
)  # fmt: skip


class Jobs(Plain):
    """The jobs of the project."""

    def get(self, name: str) -> Message:
        """A job as it is kept, or NOT_FOUND in Cloud Run's words."""
        found = self.kept.get(name)
        if found is None:
            _, project, _, region, _, job = name.split("/")
            raise not_found(
                f"Resource '{job}' of kind 'JOB' in region '{region}' in project '{project}' does not exist."
            )
        return found


@API.on_start
async def start(cloud: Cloud) -> None:
    """Jobs are there again."""
    cloud.provide(Jobs(cloud, JOB, noun="Job"))


API.iam_policies(
    "projects/*/locations/*/jobs/*",
    permission="run.jobs",
    exists=lambda cloud, name: cloud.use(Jobs).get(name) and None,
    service="Jobs",
)


@API.rpc("CreateJob", permission="run.jobs.create")
async def create_job(cloud: Cloud, call: Call, request: Message) -> Message:
    """Keep a new job."""
    check_service_id(request.job_id, "CreateJobRequest.job_id")
    name = f"{request.parent}/jobs/{request.job_id}"
    if name in cloud.use(Jobs).kept:
        raise already_exists(f"Resource '{request.job_id}' already exists.")
    return _keep(cloud, call, name, request.job, None, only_check=request.validate_only)


@API.rpc("GetJob", permission="run.jobs.get")
async def get_job(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a job."""
    return cloud.use(Jobs).get(request.name)


@API.rpc("ListJobs", permission="run.jobs.list")
async def list_jobs(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All jobs of a region; `-` means every region."""
    region = request.parent.rpartition("/")[2]
    found = [job for name, job in cloud.use(Jobs).kept.items() if region in ("-", name.split("/")[3])]
    taken, token = page(found, request.page_size, request.page_token, lambda job: str(job.name))
    return message("google.cloud.run.v2.ListJobsResponse")(jobs=taken, next_page_token=token)


@API.rpc("UpdateJob", permission="run.jobs.update")
async def update_job(cloud: Cloud, call: Call, request: Message) -> Message:
    """Change a job; the call carries all of it."""
    jobs, name = cloud.use(Jobs), cloud.canonical(request.job.name)
    if name not in jobs.kept and request.allow_missing:
        cloud.iam.require(call.principal, "run.jobs.create", name.rpartition("/jobs/")[0])
        check_service_id(name.rpartition("/")[2], "UpdateJobRequest.job.name")
        return _keep(cloud, call, name, request.job, None, only_check=request.validate_only)
    return _keep(cloud, call, name, request.job, jobs.get(name), only_check=request.validate_only)


@API.rpc("DeleteJob", permission="run.jobs.delete")
async def delete_job(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a job and its policy."""
    jobs = cloud.use(Jobs)
    found = jobs.get(request.name)
    _check_etag(found, request.etag)
    if not request.validate_only:
        jobs.delete(request.name)
        cloud.iam.forget(request.name)
    return cloud.operations.done(request.name.rpartition("/jobs/")[0], found, found)


@API.rpc("RunJob", permission="run.jobs.run")
async def run_job(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Refused: nothing here executes a job."""
    cloud.use(Jobs).get(request.name)
    raise ApiError(
        "UNIMPLEMENTED",
        f"RunJob of '{request.name}': this local cloud keeps jobs and does not run them, since its database knows no "
        "IAM logins. What the migration job does on Google Cloud, `sluice up` does here before it deploys.",
    )


def _keep(
    cloud: Cloud, call: Call, name: str, wanted: Message, current: Message | None, *, only_check: bool
) -> Message:
    made = message(JOB)()
    made.CopyFrom(wanted if current is None else merge(current, wanted, ()))
    if current is not None:
        _check_etag(current, wanted.etag)
    for field in OUTPUT_ONLY:
        made.ClearField(field)
    made.name = name
    _fill_in(cloud, made)
    _check(made, "CreateJobRequest.job" if current is None else "UpdateJobRequest.job")
    now = int(cloud.now() * 1_000_000) * 1000
    made.uid = current.uid if current is not None else str(uuid.uuid4())
    made.creator = current.creator if current is not None else call.principal.email
    if current is not None:
        made.create_time.CopyFrom(current.create_time)
    else:
        made.create_time.FromNanoseconds(now)
    made.update_time.FromNanoseconds(now)
    made.last_modifier = call.principal.email
    made.generation = 1 if current is None else current.generation + 1
    made.observed_generation = made.generation
    made.terminal_condition.type, made.terminal_condition.state = "Ready", SUCCEEDED
    made.terminal_condition.last_transition_time.FromNanoseconds(now)
    stamp(made)
    if not only_check:
        cloud.use(Jobs).kept[name] = made
    return cloud.operations.done(name.rpartition("/jobs/")[0], made, made)


def _fill_in(cloud: Cloud, job: Message) -> None:
    if not job.launch_stage:
        job.launch_stage = enum("google.api.LaunchStage")["GA"]
    task = job.template.template
    job.template.task_count = job.template.task_count or 1
    if not task.HasField("timeout"):
        task.timeout.FromSeconds(DEFAULT_TIMEOUT)
    if task.WhichOneof("retries") is None:
        task.max_retries = DEFAULT_RETRIES
    if not task.service_account:
        task.service_account = f"{cloud.settings.project_number}-compute@developer.gserviceaccount.com"
    for container in task.containers:
        if not container.resources.limits:
            container.resources.limits["cpu"] = "1000m"
            container.resources.limits["memory"] = "512Mi"


def _check(job: Message, where: str) -> None:
    task, at = job.template.template, f"{where}.template.template"
    if not task.containers:
        raise violation(f"{at}.containers", "at least one container is required.")
    check_containers(task.containers, f"{at}.containers")
    if not 1 <= task.timeout.ToSeconds() <= MAX_JOB_TIMEOUT:
        raise violation(f"{at}.timeout", f"must be between 1s and {MAX_JOB_TIMEOUT}s.")
    if not 0 <= task.max_retries <= 10:
        raise violation(f"{at}.max_retries", "must be between 0 and 10.")


def _check_etag(job: Message, etag: str) -> None:
    if etag and etag != job.etag:
        raise ApiError("ABORTED", f"Conflict for resource '{job.name}': the etag {etag} is not the current one.")
