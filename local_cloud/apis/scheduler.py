"""Cloud Scheduler v1: jobs created, changed, paused, resumed, run; what they do is in local_cloud/schedules/.

Source: google/cloud/scheduler/v1/cloudscheduler.proto, https://cloud.google.com/scheduler/quotas.
"""

import re
import secrets

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import already_exists, invalid, not_found
from local_cloud.plain import merge, page
from local_cloud.registry import Api, Call
from local_cloud.schedules.jobs import JOB, STATES, Jobs
from local_cloud.schedules.rules import check

API = Api("cloudscheduler", services=["google.cloud.scheduler.v1.CloudScheduler"])

_JOB_ID = re.compile(r"[a-zA-Z\d_-]{1,500}")


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
    job.name = cloud.canonical(job.name) or f"{request.parent}/jobs/{secrets.token_hex(10)}"
    parent, _, job_id = job.name.rpartition("/jobs/")
    if parent != request.parent or not _JOB_ID.fullmatch(job_id):
        raise invalid(
            'Job name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/jobs/<JOB_ID>", '
            f"not '{job.name}'."
        )
    if job.name in jobs.kept:
        raise already_exists(f"Job {job.name} already exists.")
    check(cloud, call.principal, job)
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
    check(cloud, call.principal, job)
    cloud.use(Jobs).let_go(name)
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
    jobs.let_go(request.name)
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
    if state == "PAUSED":
        cloud.use(Jobs).let_go(name)
    return job


@API.rpc("RunJob", permission="cloudscheduler.jobs.run")
async def run_job(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Fire once now, paused or not."""
    job = _get(cloud, request.name)
    cloud.use(Jobs).run(request.name)
    return job
