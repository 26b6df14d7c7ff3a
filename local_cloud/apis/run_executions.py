"""Cloud Run Admin v2: executions of jobs and their tasks.

The law is in local_cloud/run/executions.py; RunJob, which makes them, is run_jobs.py's.
Source: google/cloud/run/v2/{execution,task}.proto.
"""

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.plain import newest_first, page
from local_cloud.registry import Api, Call
from local_cloud.run.executions import Executions
from local_cloud.run.jobs import Jobs, check_etag
from local_cloud.run.services import FIRST_LOOK, Services

API = Api(
    "run_executions",
    services=["google.cloud.run.v2.Executions", "google.cloud.run.v2.Tasks"],
    host="run.googleapis.com",
)


@API.on_start
async def start(cloud: Cloud) -> None:
    """Executions are there again, and those that were not over go on."""
    executions = Executions(cloud)
    cloud.provide(executions)
    services = cloud.use(Services)
    used = [revision.containers for revision in services.revisions.values()]
    used += [execution.template.containers for execution in executions.executions.values()]
    services.pushed.keep_only(container.image for containers in used for container in containers)
    cloud.clock.call_later(FIRST_LOOK, executions.resume)


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """End what runs."""
    await cloud.use(Executions).stop()


@API.rpc("GetExecution", permission="run.executions.get")
async def get_execution(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read an execution."""
    return cloud.use(Executions).get(request.name)


@API.rpc("ListExecutions", permission="run.executions.list")
async def list_executions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The executions of a job, newest first; `-` means every job."""
    executions = cloud.use(Executions)
    if request.parent.endswith("/jobs/-"):
        found = [execution for _, execution in executions.executions.items()]
    else:
        cloud.use(Jobs).get(request.parent)
        found = executions.of_job(request.parent)
    taken, token = newest_first(found, request.page_size, request.page_token)
    return message("google.cloud.run.v2.ListExecutionsResponse")(executions=taken, next_page_token=token)


@API.rpc("CancelExecution", permission="run.executions.cancel")
async def cancel_execution(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Stop an execution; the operation ends when the last task has."""
    executions = cloud.use(Executions)
    found = executions.get(request.name)
    check_etag(found, request.etag)
    if request.validate_only:
        return cloud.operations.done(request.name.rpartition("/jobs/")[0], found, found)
    return executions.cancel(request.name)


@API.rpc("DeleteExecution", permission="run.executions.delete")
async def delete_execution(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Delete an execution with its tasks, stopping what runs."""
    executions = cloud.use(Executions)
    found = executions.get(request.name)
    check_etag(found, request.etag)
    if not request.validate_only:
        found = await executions.delete(request.name)
    return cloud.operations.done(request.name.rpartition("/jobs/")[0], found, found)


@API.rpc("GetTask", permission="run.tasks.get")
async def get_task(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a task."""
    return cloud.use(Executions).task(request.name)


@API.rpc("ListTasks", permission="run.tasks.list")
async def list_tasks(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The tasks of an execution, by index; `-` means every execution of the job, or of every job."""
    executions = cloud.use(Executions)
    if "-" in request.parent.split("/")[5::2]:
        wanted = request.parent.split("/")
        found = [task for name, task in executions.tasks.items() if _below(name.split("/"), wanted)]
    else:
        executions.get(request.parent)
        found = executions.tasks_of(request.parent)
    taken, token = page(found, request.page_size, request.page_token, lambda t: f"{t.execution}/{t.index:08}")
    return message("google.cloud.run.v2.ListTasksResponse")(tasks=taken, next_page_token=token)


def _below(name: list[str], wanted: list[str]) -> bool:
    return all(asked in ("-", part) for part, asked in zip(name, wanted, strict=False))
