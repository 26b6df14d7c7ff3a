"""Cloud Run Admin v1, jobs: what `gcloud run jobs` speaks. Every call is one of v2's, as in run_v1.py.

Source: the discovery document of run v1.
"""

from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import not_found
from local_cloud.registry import Api, Call, HttpRequest
from local_cloud.run.jobs import Jobs
from local_cloud.run.knative import jobs, objects
from local_cloud.run.knative.ask import ask, ask_all, begun, read
from local_cloud.run.knative.jobs import API as VERSION
from local_cloud.run.knative.objects import RUN_V1
from local_cloud.run.knative.shape import JOB, RUN_JOB, checked
from local_cloud.server.json_codec import encode

API = Api("run_v1_jobs", host="run.googleapis.com")

Json = dict[str, Any]

_SPACE = f"/apis/{VERSION}/namespaces/{{namespace}}"

API.iam_policies(
    "projects/*/locations/*/jobs/*",
    permission="run.jobs",
    exists=lambda cloud, name: cloud.use(Jobs).get(name) and None,
)


@API.route("GET", f"{_SPACE}/jobs")
async def list_jobs(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """The jobs of a region, or of all where the host names none."""
    found = await ask_all(cloud, call, "Jobs.ListJobs", "jobs", parent=objects.place(cloud, request, "-"))
    return objects.listed([jobs.job(cloud, each) for each in found], request, VERSION, "Job")


@API.route("POST", f"{_SPACE}/jobs")
async def create_job(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Keep a new job."""
    given, place = checked(request.json, JOB, "job"), objects.place(cloud, request)
    name = objects.check_identity(cloud, given, VERSION, "Job")
    fields = {"parent": place, "job_id": name, "job": read("Job", jobs.to_v2(given))}
    operation = await ask(cloud, call, "Jobs.CreateJob", **fields, validate_only=request.arg("dryRun") == "all")
    return jobs.job(cloud, encode(begun(operation, "Job")))


@API.route("GET", f"{_SPACE}/jobs/{{name}}")
async def get_job(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Read a job."""
    return jobs.job(cloud, encode(await ask(cloud, call, "Jobs.GetJob", name=_job(cloud, request))))


@API.route("PUT", f"{_SPACE}/jobs/{{name}}")
async def replace_job(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Change a job; the call carries all of it."""
    given, name = checked(request.json, JOB, "job"), _job(cloud, request)
    objects.check_identity(cloud, given, VERSION, "Job", request.params["name"])
    current = await ask(cloud, call, "Jobs.GetJob", name=name)
    objects.check_version(given, current.etag)
    made = read("Job", jobs.to_v2(given, encode(current)))
    made.name = name
    operation = await ask(cloud, call, "Jobs.UpdateJob", job=made, validate_only=request.arg("dryRun") == "all")
    return jobs.job(cloud, encode(begun(operation, "Job")))


@API.route("DELETE", f"{_SPACE}/jobs/{{name}}")
async def delete_job(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Delete a job with its executions."""
    name = _job(cloud, request)
    kept = encode(await ask(cloud, call, "Jobs.GetJob", name=name))
    await ask(cloud, call, "Jobs.DeleteJob", name=name)
    return objects.deleted(RUN_V1, "jobs", kept)


@API.route("POST", f"{_SPACE}/jobs/{{name}}:run")
async def run_job(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Execute a job; the answer is the execution as it begins."""
    fields: Json = {"name": _job(cloud, request)}
    if overrides := checked(request.json, RUN_JOB, "run_job_request").get("overrides"):
        fields["overrides"] = read("RunJobRequest.Overrides", jobs.overrides(overrides))
    operation = await ask(cloud, call, "Jobs.RunJob", **fields)
    return jobs.execution(cloud, encode(begun(operation, "Execution")))


@API.route("GET", f"{_SPACE}/executions")
async def list_executions(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """The executions of a region, newest first; a selector picks those of one job."""
    found = await _executions(cloud, call, request, "-")
    return objects.listed([jobs.execution(cloud, each) for each in found], request, VERSION, "Execution")


@API.route("GET", f"{_SPACE}/executions/{{name}}")
async def get_execution(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Read an execution."""
    return jobs.execution(cloud, await _execution(cloud, call, request))


@API.route("DELETE", f"{_SPACE}/executions/{{name}}")
async def delete_execution(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Delete an execution with its tasks."""
    kept = await _execution(cloud, call, request)
    await ask(cloud, call, "Executions.DeleteExecution", name=kept["name"])
    return objects.deleted(RUN_V1, "executions", kept)


@API.route("POST", f"{_SPACE}/executions/{{name}}:cancel")
async def cancel_execution(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Stop an execution."""
    kept = await _execution(cloud, call, request)
    operation = await ask(cloud, call, "Executions.CancelExecution", name=kept["name"])
    return jobs.execution(cloud, encode(begun(operation, "Execution")))


@API.route("GET", f"{_SPACE}/tasks")
async def list_tasks(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """The tasks of a region; a selector picks those of one execution."""
    parent = f"{objects.place(cloud, request, '-')}/jobs/-/executions/-"
    found = await ask_all(cloud, call, "Tasks.ListTasks", "tasks", parent=parent)
    return objects.listed([jobs.task(cloud, each) for each in found], request, VERSION, "Task")


@API.route("GET", f"{_SPACE}/tasks/{{name}}")
async def get_task(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Read a task."""
    parent = f"{objects.place(cloud, request)}/jobs/-/executions/-"
    found = await ask_all(cloud, call, "Tasks.ListTasks", "tasks", parent=parent)
    return jobs.task(cloud, _named(cloud, found, request, "TASK"))


def _job(cloud: Cloud, request: HttpRequest) -> str:
    return f"{objects.place(cloud, request)}/jobs/{request.params['name']}"


async def _executions(cloud: Cloud, call: Call, request: HttpRequest, default: str = "") -> list[Json]:
    place = objects.place(cloud, request, default)
    found = await ask_all(cloud, call, "Executions.ListExecutions", "executions", parent=f"{place}/jobs/-")
    return [each for each in found if place.endswith("/-") or each["name"].startswith(f"{place}/")]


async def _execution(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """An execution by its name alone: v1 says it without its job."""
    return _named(cloud, await _executions(cloud, call, request), request, "EXECUTION")


def _named(cloud: Cloud, found: list[Json], request: HttpRequest, kind: str) -> Json:
    name, region = request.params["name"], objects.region(cloud, request)
    for each in found:
        if each["name"].endswith(f"/{name}"):
            return each
    where = f"in region '{region}' in project '{cloud.project}'"
    raise not_found(f"Resource '{name}' of kind '{kind}' {where} does not exist.")
