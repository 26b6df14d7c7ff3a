"""Cloud Run Admin v2, jobs: kept, changed, deleted and run.

What a job must be is local_cloud/run/jobs.py's; what becomes of a run is local_cloud/run/executions.py's.
Source: google/cloud/run/v2/job.proto.
"""

import uuid

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import already_exists
from local_cloud.plain import merge, page
from local_cloud.registry import Api, Call
from local_cloud.run.deploy import check_account, default_account
from local_cloud.run.execution_status import nanoseconds
from local_cloud.run.executions import Executions
from local_cloud.run.jobs import JOB, Jobs, check, check_etag, fill_in, overridden
from local_cloud.run.rules import check_metadata, check_service_id
from local_cloud.run.services import Services
from local_cloud.secrets import stamp

API = Api("run_jobs", services=["google.cloud.run.v2.Jobs"], host="run.googleapis.com")

SUCCEEDED = enum("google.cloud.run.v2.Condition.State")["CONDITION_SUCCEEDED"]
#: Fields that the platform writes; what a caller sends in them is passed over.
OUTPUT_ONLY = (
    "uid", "generation", "create_time", "update_time", "delete_time", "expire_time", "creator", "last_modifier",
    "observed_generation", "terminal_condition", "conditions", "execution_count", "latest_created_execution",
    "reconciling", "satisfies_pzs", "etag",
)  # fmt: skip


@API.on_start
async def start(cloud: Cloud) -> None:
    """Jobs are there again."""
    cloud.provide(Jobs(cloud))


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
    """Forget a job, its policy and its executions; those that run are cancelled."""
    jobs, executions = cloud.use(Jobs), cloud.use(Executions)
    found = jobs.get(request.name)
    check_etag(found, request.etag)
    if not request.validate_only:
        jobs.delete(request.name)
        cloud.iam.forget(request.name)
        for execution in executions.of_job(request.name):
            await executions.delete(execution.name)
        found.delete_time.FromNanoseconds(nanoseconds(cloud))
    return cloud.operations.done(request.name.rpartition("/jobs/")[0], found, found)


@API.rpc("RunJob", permission="run.jobs.run")
async def run_job(cloud: Cloud, call: Call, request: Message) -> Message:
    """Execute a job; the operation ends with the execution."""
    job, executions = cloud.use(Jobs).get(request.name), cloud.use(Executions)
    check_etag(job, request.etag)
    template = job.template
    if request.HasField("overrides"):
        cloud.iam.require(call.principal, "run.jobs.runWithOverrides", request.name)
        template = overridden(job, request.overrides)
    execution, parent = executions.draft(job, template, call.principal.email), request.name.rpartition("/jobs/")[0]
    if request.validate_only:
        return cloud.operations.done(parent, execution, execution)
    operation = cloud.operations.begin(parent, execution)
    executions.begin(execution, operation.name)
    return operation


def _keep(
    cloud: Cloud, call: Call, name: str, wanted: Message, current: Message | None, *, only_check: bool
) -> Message:
    made = message(JOB)()
    made.CopyFrom(wanted if current is None else merge(current, wanted, ()))
    if current is not None:
        check_etag(current, wanted.etag)
    for field in OUTPUT_ONLY:
        made.ClearField(field)
    made.name = name
    where = "CreateJobRequest.job" if current is None else "UpdateJobRequest.job"
    account = default_account(cloud)
    fill_in(made, account)
    if current is None:
        check_metadata(made.labels, made.annotations, where)
        check_metadata(made.template.labels, made.template.annotations, f"{where}.template")
    check(made.template, f"{where}.template")
    if made.template.template.service_account != account:
        check_account(cloud, call.principal, made.template.template.service_account)
    cloud.use(Services).pushed.may_have(call.principal, made.template.template.containers)
    now = int(cloud.now() * 1_000_000) * 1000
    made.uid = current.uid if current is not None else str(uuid.uuid4())
    made.creator = current.creator if current is not None else call.principal.email
    if current is not None:
        made.execution_count = current.execution_count
        made.latest_created_execution.CopyFrom(current.latest_created_execution)
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
    parent = name.rpartition("/jobs/")[0]
    if only_check:
        return cloud.operations.done(parent, made, made)
    return _kept(cloud, call, made, parent)


def _kept(cloud: Cloud, call: Call, job: Message, parent: str) -> Message:
    """Keep a job, and execute it where it carries a token to do so by: once for each token."""
    executions, kind = cloud.use(Executions), job.WhichOneof("create_execution")
    draft = None
    if kind is not None:
        cloud.iam.require(call.principal, "run.jobs.run", job.name)
        draft = executions.draft(job, job.template, call.principal.email, getattr(job, kind))
    cloud.use(Jobs).kept[job.name] = job
    if draft is None or draft.name in executions.executions:
        return cloud.operations.done(parent, job, job)
    if kind == "start_execution_token":
        executions.begin(draft)
        return cloud.operations.done(parent, job, job)
    operation = cloud.operations.begin(parent, job)
    executions.begin(draft, operation.name, answer="job")
    return operation
