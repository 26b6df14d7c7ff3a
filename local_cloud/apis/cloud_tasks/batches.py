"""Many tasks in one call: BatchCreateTasks and BatchDeleteTasks, with their operations, and BufferTask.

Each item of a batch is taken or refused by itself; the operation's metadata says which were refused and why. Source:
the current v2 reference (google-cloud-tasks 2.26), and the discovery document for BufferTask.
"""

from local_cloud.apis.cloud_tasks import names
from local_cloud.apis.cloud_tasks.api import API
from local_cloud.apis.cloud_tasks.state import State
from local_cloud.apis.cloud_tasks.tasks import accept, find
from local_cloud.apis.cloud_tasks.times import put_time
from local_cloud.apis.cloud_tasks.views import VIEWS, task_view
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, invalid
from local_cloud.registry import Call

BatchCreateTasksMetadata = message("google.cloud.tasks.v2.BatchCreateTasksMetadata")
BatchCreateTasksResponse = message("google.cloud.tasks.v2.BatchCreateTasksResponse")
BatchDeleteTasksMetadata = message("google.cloud.tasks.v2.BatchDeleteTasksMetadata")
BufferTaskResponse = message("google.cloud.tasks.v2.BufferTaskResponse")
Task = message("google.cloud.tasks.v2.Task")
METHODS = enum("google.cloud.tasks.v2.HttpMethod")

#: The most tasks of one BatchCreateTasks and of one BatchDeleteTasks.
MAX_CREATE, MAX_DELETE = 100, 1000
#: What a buffered task is sent to when its queue does not override the address: nowhere.
NO_ADDRESS = "http://invalid.invalid/"


@API.rpc("BatchCreateTasks", permission="cloudtasks.tasks.create")
async def batch_create_tasks(cloud: Cloud, call: Call, request: Message) -> Message:
    """Creates up to 100 tasks of one queue."""
    queue = cloud.use(State).queue(cloud, request.parent)
    if not 0 < len(request.requests) <= MAX_CREATE:
        raise invalid(f"A batch must have between 1 and {MAX_CREATE} requests.")
    if any(cloud.canonical(one.parent or queue.name) != queue.name for one in request.requests):
        raise invalid("The parent of every request must be the parent of the batch.")
    response, metadata = BatchCreateTasksResponse(), BatchCreateTasksMetadata()
    for index, one in enumerate(request.requests):
        try:
            if one.response_view == VIEWS["FULL"]:
                cloud.iam.require(call.principal, "cloudtasks.tasks.fullView", queue.name)
            response.tasks.append(task_view(queue, accept(cloud, call, queue, one.task), one.response_view))
        except ApiError as error:
            metadata.failed_requests[index].CopyFrom(error.to_status())
    return _operation(cloud, call, queue.name, metadata, asked=len(request.requests), response=response)


@API.rpc("BatchDeleteTasks", permission="cloudtasks.tasks.delete")
async def batch_delete_tasks(cloud: Cloud, call: Call, request: Message) -> Message:
    """Deletes up to 1000 tasks of one queue."""
    state = cloud.use(State)
    queue = state.queue(cloud, request.parent)
    if not 0 < len(request.names) <= MAX_DELETE:
        raise invalid(f"A batch must have between 1 and {MAX_DELETE} names.")
    metadata = BatchDeleteTasksMetadata()
    for index, name in enumerate(request.names):
        try:
            owner, task = find(cloud, name)
            if owner is not queue:
                raise invalid(f"The task '{name}' is not in the queue '{queue.name}'.")
            state.dispatcher.delete(queue, task)
        except ApiError as error:
            metadata.failed_requests[index].CopyFrom(error.to_status())
    return _operation(cloud, call, queue.name, metadata, asked=len(request.names))


@API.rpc("BufferTask", permission="cloudtasks.tasks.create")
async def buffer_task(cloud: Cloud, call: Call, request: Message) -> Message:
    """A task from nothing but a body; where it goes is the queue's http_target."""
    queue = cloud.use(State).queue(cloud, request.queue)
    if not queue.spec.http_target.uri_override.host:
        raise invalid("BufferTask needs a queue with httpTarget.uriOverride.host set.")
    given = Task(http_request={"url": NO_ADDRESS, "http_method": METHODS["POST"], "body": request.body.data})
    if request.body.content_type:
        given.http_request.headers["Content-Type"] = request.body.content_type
    if request.task_id:
        given.name = f"{queue.name}/tasks/{request.task_id}"
    return BufferTaskResponse(task=task_view(queue, accept(cloud, call, queue, given), VIEWS["BASIC"]))


def _operation(
    cloud: Cloud, call: Call, queue: str, metadata: Message, *, asked: int, response: Message | None = None
) -> Message:
    """The finished operation of a batch."""
    put_time(metadata.start_time, call.now)
    put_time(metadata.end_time, cloud.now())
    failed = len(metadata.failed_requests)
    states = enum(f"{metadata.DESCRIPTOR.full_name}.State")
    metadata.state = states["SUCCEEDED" if not failed else "PARTIALLY_SUCCEEDED" if failed < asked else "FAILED"]
    error = None
    if failed == asked:
        kind = metadata.DESCRIPTOR.name
        error = ApiError(
            "ABORTED",
            f"None of the requests succeeded, refer to {kind}.failed_requests for individual error details",
        )
    return cloud.operations.done(names.parent_of(queue), response, metadata, error)
