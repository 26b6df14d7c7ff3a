"""Cloud Scheduler v1: jobs created, changed, paused, resumed, run; what they do is in local_cloud/schedules.py.

HTTP targets are emulated, with OIDC and OAuth tokens. Pub/Sub and App Engine targets are refused by name.
Source: google/cloud/scheduler/v1/cloudscheduler.proto, https://cloud.google.com/scheduler/quotas.
"""

import re

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.engines.cron import ScheduleError, parse
from local_cloud.errors import ApiError, already_exists, invalid, not_found
from local_cloud.plain import merge, page
from local_cloud.registry import Api, Call
from local_cloud.schedules import DEFAULT_DEADLINE, JOB, STATES, Jobs, check_uri

API = Api("cloudscheduler", services=["google.cloud.scheduler.v1.CloudScheduler"])

_JOB_ID = re.compile(r"[a-zA-Z\d_-]{1,500}")
#: An attempt may take this long (seconds); retries at most.
MIN_DEADLINE, MAX_DEADLINE, MAX_RETRIES = 15, 1800, 5
#: Defaults of RetryConfig, in seconds.
MIN_BACKOFF, MAX_BACKOFF, MAX_DOUBLINGS = 5, 3600, 5
POST = enum("google.cloud.scheduler.v1.HttpMethod")["POST"]


@API.on_start
async def start(cloud: Cloud) -> None:
    """Take the kept jobs up again."""
    jobs = Jobs(cloud)
    cloud.provide(jobs)
    jobs.start()


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """Drop connections."""
    cloud.use(Jobs).stop()


def _get(cloud: Cloud, name: str) -> Message:
    found = cloud.use(Jobs).kept.get(name)
    if found is None:
        raise not_found("Job not found.")
    return found


@API.rpc("CreateJob", permission="cloudscheduler.jobs.create")
async def create_job(cloud: Cloud, call: Call, request: Message) -> Message:
    """Create a job; it is enabled."""
    jobs, job = cloud.use(Jobs), message(JOB)()
    job.CopyFrom(request.job)
    job.name = cloud.canonical(job.name) or f"{request.parent}/jobs/{call.now:.0f}"
    parent, _, job_id = job.name.rpartition("/jobs/")
    if parent != request.parent or not _JOB_ID.fullmatch(job_id):
        raise invalid(
            'Job name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/jobs/<JOB_ID>", '
            f"not '{job.name}'."
        )
    if job.name in jobs.kept:
        raise already_exists(f"Job {job.name} already exists.")
    _check(cloud, call, job)
    job.state = STATES["ENABLED"]
    return _save(cloud, job)


@API.rpc("UpdateJob", permission="cloudscheduler.jobs.update")
async def update_job(cloud: Cloud, call: Call, request: Message) -> Message:
    """Change a job; without a mask all of it."""
    name = cloud.canonical(request.job.name)
    current = _get(cloud, name)
    job = merge(current, request.job, request.update_mask.paths)
    job.name, job.state = name, current.state
    for field in ("status", "last_attempt_time", "schedule_time"):
        job.ClearField(field)
        if current.HasField(field):
            getattr(job, field).CopyFrom(getattr(current, field))
    _check(cloud, call, job)
    return _save(cloud, job)


def _save(cloud: Cloud, job: Message) -> Message:
    job.user_update_time.FromNanoseconds(int(cloud.now() * 1e6) * 1000)
    jobs = cloud.use(Jobs)
    jobs.kept[job.name] = job
    jobs.plan(job.name)
    return job


@API.rpc("GetJob", permission="cloudscheduler.jobs.get")
async def get_job(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a job."""
    return _get(cloud, request.name)


@API.rpc("ListJobs", permission="cloudscheduler.jobs.list")
async def list_jobs(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The jobs of a location."""
    found = [job for name, job in cloud.use(Jobs).kept.items() if name.startswith(f"{request.parent}/jobs/")]
    taken, token = page(found, request.page_size, request.page_token, lambda j: str(j.name), default=500, most=500)
    return message("google.cloud.scheduler.v1.ListJobsResponse")(jobs=taken, next_page_token=token)


@API.rpc("DeleteJob", permission="cloudscheduler.jobs.delete")
async def delete_job(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Delete a job."""
    _get(cloud, request.name)
    jobs = cloud.use(Jobs)
    del jobs.kept[request.name]
    jobs.plan(request.name)
    return message("google.protobuf.Empty")()


@API.rpc("PauseJob", permission="cloudscheduler.jobs.pause")
async def pause_job(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Stop firing until it is resumed."""
    return _set_state(cloud, request.name, "PAUSED")


@API.rpc("ResumeJob", permission="cloudscheduler.jobs.enable")
async def resume_job(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Fire again; harmless where it was never paused, as the providers rely on."""
    return _set_state(cloud, request.name, "ENABLED")


def _set_state(cloud: Cloud, name: str, state: str) -> Message:
    job = _get(cloud, name)
    job.state = STATES[state]
    cloud.use(Jobs).plan(name)
    return job


@API.rpc("RunJob", permission="cloudscheduler.jobs.run")
async def run_job(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Fire once now, paused or not."""
    job = _get(cloud, request.name)
    await cloud.use(Jobs).run(request.name)
    return job


def _check(cloud: Cloud, call: Call, job: Message) -> None:
    kind = job.WhichOneof("target")
    if kind is None:
        raise invalid("Job must have a target.")
    if kind != "http_target":
        raise ApiError(
            "UNIMPLEMENTED",
            f"Jobs with a {kind} are not emulated by the local cloud: give it an http_target, or add the kind to "
            "local_cloud/schedules.py.",
        )
    if not job.schedule:
        raise invalid("Job.schedule must be set.")
    job.time_zone = job.time_zone or "Etc/UTC"
    try:
        parse(job.schedule, job.time_zone)
    except ScheduleError as error:
        raise invalid(f"Schedule or time zone is invalid: {error}.") from None
    target = job.http_target
    if not check_uri(target.uri):
        raise invalid(f"HttpTarget.uri must be an absolute http:// or https:// URL, not '{target.uri}'.")
    target.http_method = target.http_method or POST
    if not job.HasField("attempt_deadline"):
        job.attempt_deadline.FromSeconds(int(DEFAULT_DEADLINE))
    if not MIN_DEADLINE <= job.attempt_deadline.ToSeconds() <= MAX_DEADLINE:
        raise invalid(f"Job.attempt_deadline must be between {MIN_DEADLINE}s and {MAX_DEADLINE}s.")
    # A job made without retries reads back without them; those given are completed.
    if job.retry_config.ByteSize():
        _check_retries(job.retry_config)
    else:
        job.ClearField("retry_config")
    if token := target.WhichOneof("authorization_header"):
        email = getattr(target, token).service_account_email
        account = cloud.iam.accounts.find(email)
        if account is None and email.endswith(f"@{cloud.iam.accounts.domain}"):
            raise not_found(f"Service account {email} was not found.")
        text = (
            'The principal (user or service account) lacks IAM permission "iam.serviceAccounts.actAs" for the '
            f'resource "{email}" (or the resource may not exist).'
        )
        cloud.iam.require(call.principal, "iam.serviceAccounts.actAs", cloud.iam.accounts.name(email), text)
        if token == "oidc_token" and not target.oidc_token.audience:
            target.oidc_token.audience = target.uri


def _check_retries(config: Message) -> None:
    if not 0 <= config.retry_count <= MAX_RETRIES:
        raise invalid(f"RetryConfig.retry_count must be between 0 and {MAX_RETRIES}.")
    if config.max_doublings < 0:
        raise invalid("RetryConfig.max_doublings must not be negative.")
    defaults = {"max_retry_duration": 0, "min_backoff_duration": MIN_BACKOFF, "max_backoff_duration": MAX_BACKOFF}
    for field, seconds in defaults.items():
        duration = getattr(config, field)
        if not config.HasField(field):
            duration.FromSeconds(seconds)
        if duration.ToNanoseconds() < 0:
            raise invalid(f"RetryConfig.{field} must not be negative.")
    if config.min_backoff_duration.ToNanoseconds() > config.max_backoff_duration.ToNanoseconds():
        raise invalid("RetryConfig.min_backoff_duration must not be greater than max_backoff_duration.")
    config.max_doublings = config.max_doublings or MAX_DOUBLINGS
