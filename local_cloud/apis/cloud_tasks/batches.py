"""Many tasks in one call: BatchCreateTasks and BatchDeleteTasks, with their operations, and BufferTask.

Each item of a batch is taken or refused by itself; the operation's metadata says which were refused and why. A batch
that comes again under its request_id is answered with the operation that it led to. Source: the current v2 reference
(google-cloud-tasks 2.26), and the discovery document for BufferTask.
"""

from local_cloud.apis.cloud_tasks import names
from local_cloud.apis.cloud_tasks.api import API
from local_cloud.apis.cloud_tasks.state import State
from local_cloud.apis.cloud_tasks.targets import NOWHERE
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
MAX_REQUEST_ID = 256
#: What a buffered task has for a URL until its queue's parts are in it; the scheme's default is HTTPS.
NO_ADDRESS = f"https://{NOWHERE}/"
#: What a buffered body is when nobody says (HttpTarget.header_overrides).
CONTENT_TYPE = "application/json"


@API.rpc("BatchCreateTasks", permission="cloudtasks.tasks.create")
async def batch_create_tasks(cloud: Cloud, call: Call, request: Message) -> Message:
    """Creates up to 100 tasks of one queue."""
    queue = cloud.use(State).queue(cloud, request.parent)
    if not 0 < len(request.requests) <= MAX_CREATE:
        raise invalid(f"A batch must have between 1 and {MAX_CREATE} requests.")
    if any(cloud.canonical(one.parent or queue.name) != queue.name for one in request.requests):
        raise invalid("The parent of every request must be the parent of the batch.")
    if (before := _before(cloud, call, queue.name, request.request_id)) is not None:
        return before
    response, metadata = BatchCreateTasksResponse(), BatchCreateTasksMetadata()
    for index, one in enumerate(request.requests):
        try:
            if one.response_view == VIEWS["FULL"]:
                cloud.iam.require(call.principal, "cloudtasks.tasks.fullView", queue.name)
            response.tasks.append(task_view(queue, accept(cloud, call, queue, one.task), one.response_view, new=True))
        except ApiError as error:
            metadata.failed_requests[index].CopyFrom(error.to_status())
    return _operation(cloud, call, queue.name, metadata, request, asked=len(request.requests), response=response)


@API.rpc("BatchDeleteTasks", permission="cloudtasks.tasks.delete")
async def batch_delete_tasks(cloud: Cloud, call: Call, request: Message) -> Message:
    """Deletes up to 1000 tasks of one queue."""
    state = cloud.use(State)
    queue = state.queue(cloud, request.parent)
    if not 0 < len(request.names) <= MAX_DELETE:
        raise invalid(f"A batch must have between 1 and {MAX_DELETE} names.")
    if (before := _before(cloud, call, queue.name, request.request_id)) is not None:
        return before
    metadata = BatchDeleteTasksMetadata()
    for index, name in enumerate(request.names):
        try:
            owner, task = find(cloud, name)
            if owner is not queue:
                raise invalid(f"The task '{name}' is not in the queue '{queue.name}'.")
            state.dispatcher.delete(queue, task)
        except ApiError as error:
            metadata.failed_requests[index].CopyFrom(error.to_status())
    return _operation(cloud, call, queue.name, metadata, request, asked=len(request.names))


@API.rpc("BufferTask", permission="cloudtasks.tasks.create")
async def buffer_task(cloud: Cloud, call: Call, request: Message) -> Message:
    """A task from nothing but a body; where it goes is the queue's http_target."""
    queue = cloud.use(State).queue(cloud, request.queue)
    if not queue.spec.http_target.uri_override.host:
        raise invalid("BufferTask needs a queue with httpTarget.uriOverride.host set.")
    given = Task(http_request={"url": NO_ADDRESS, "http_method": METHODS["POST"], "body": request.body.data})
    given.http_request.headers["Content-Type"] = request.body.content_type or CONTENT_TYPE
    if request.task_id:
        given.name = f"{queue.name}/tasks/{request.task_id}"
    return BufferTaskResponse(task=task_view(queue, accept(cloud, call, queue, given), VIEWS["BASIC"], new=True))


def _operation(
    cloud: Cloud,
    call: Call,
    queue: str,
    metadata: Message,
    request: Message,
    *,
    asked: int,
    response: Message | None = None,
) -> Message:
    """The finished operation of a batch."""
    put_time(metadata.start_time, call.now)
    put_time(metadata.end_time, cloud.now())
    failed = len(metadata.failed_requests)
    states = enum(f"{metadata.DESCRIPTOR.full_name}.State")
    metadata.state = states[
        "PARTIALLY_SUCCEEDED" if failed else "SUCCEEDED"
    ]  # FAILED: the operation itself did not end
    error = None
    if failed == asked:
        kind = metadata.DESCRIPTOR.name
        error = ApiError(
            "ABORTED",
            f"None of the requests succeeded, refer to {kind}.failed_requests for individual error details",
        )
    known_as = _known_as(cloud, call, queue, request.request_id)
    return cloud.operations.done(names.parent_of(queue), response, metadata, error, known_as=known_as)


def _before(cloud: Cloud, call: Call, queue: str, request_id: str) -> Message | None:
    """The operation of the same batch, asked for before."""
    if len(request_id) > MAX_REQUEST_ID:
        raise invalid(f"The request_id must be at most {MAX_REQUEST_ID} characters.")
    if not request_id:
        return None
    try:
        return cloud.operations.get(f"{names.parent_of(queue)}/operations/{_known_as(cloud, call, queue, request_id)}")
    except ApiError:  # none, or forgotten, as operations are after days
        return None


def _known_as(cloud: Cloud, call: Call, queue: str, request_id: str) -> str:
    """What the operation of a batch with a request id is named: the id lives and goes with it."""
    return cloud.identity.key_for(f"batch {call.method} {queue} {request_id}")[:24] if request_id else ""
