"""The RPCs of tasks.

A created task is answered when it is on disk: the server waits for the store before it answers. Rules are in
task_rules.py, the view that callers get in views.py.
"""

import heapq
import random

from local_cloud.apis.cloud_tasks import names, paging, task_rules
from local_cloud.apis.cloud_tasks.api import API
from local_cloud.apis.cloud_tasks.state import State, act_as, may_route
from local_cloud.apis.cloud_tasks.targets import retry_of
from local_cloud.apis.cloud_tasks.times import seconds
from local_cloud.apis.cloud_tasks.views import VIEWS, task_view
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.engines.queues import Queue
from local_cloud.engines.tasks import Task
from local_cloud.errors import already_exists
from local_cloud.registry import Call

Empty = message("google.protobuf.Empty")
ListTasksResponse = message("google.cloud.tasks.v2.ListTasksResponse")

#: The largest page of ListTasks.
MAX_PAGE = 1000


@API.rpc("CreateTask", permission="cloudtasks.tasks.create")
async def create_task(cloud: Cloud, call: Call, request: Message) -> Message:
    """Accepts a task; what is due goes out at once."""
    state = cloud.use(State)
    queue = state.queue(cloud, request.parent)
    _check_view(cloud, call, queue, request.response_view)
    task = accept(cloud, call, queue, request.task)
    cloud.store.flush()  # the change is whole: the disk may begin while the answer is made
    return task_view(queue, task, request.response_view, new=True)


@API.rpc("GetTask", permission="cloudtasks.tasks.get")
async def get_task(cloud: Cloud, call: Call, request: Message) -> Message:
    """One task."""
    queue, task = find(cloud, request.name)
    _check_view(cloud, call, queue, request.response_view)
    return task_view(queue, task, request.response_view)


@API.rpc("ListTasks", permission="cloudtasks.tasks.list")
async def list_tasks(cloud: Cloud, call: Call, request: Message) -> Message:
    """Tasks of a queue, in the order of their ids."""
    queue = cloud.use(State).queue(cloud, request.parent)
    _check_view(cloud, call, queue, request.response_view)
    start = paging.after(request.page_token, queue.name, call.now)
    size = paging.size(request.page_size, MAX_PAGE)
    ids = heapq.nsmallest(size + 1, (task_id for task_id in queue.tasks if task_id > start))
    token = paging.token(ids[size - 1], queue.name, call.now) if len(ids) > size else ""
    page = [task_view(queue, queue.tasks[task_id], request.response_view) for task_id in ids[:size]]
    return ListTasksResponse(tasks=page, next_page_token=token)


@API.rpc("DeleteTask", permission="cloudtasks.tasks.delete")
async def delete_task(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Removes a task; an attempt of it that runs finishes without consequences."""
    queue, task = find(cloud, request.name)
    cloud.use(State).dispatcher.delete(queue, task)
    return Empty()


@API.rpc("RunTask", permission="cloudtasks.tasks.run")
async def run_task(cloud: Cloud, call: Call, request: Message) -> Message:
    """Dispatches a task now, whatever its queue and its schedule say."""
    queue, task = find(cloud, request.name)
    _check_view(cloud, call, queue, request.response_view)
    cloud.use(State).dispatcher.run(queue, task)
    return task_view(queue, task, request.response_view)


def find(cloud: Cloud, name: str) -> tuple[Queue, Task]:
    """A task and its queue; NOT_FOUND in the service's words."""
    parts = names.split_task(cloud.canonical(name))
    queue = cloud.use(State).dispatcher.queues.get(parts.queue) if parts else None
    task = queue.tasks.get(parts.id) if queue and parts else None
    if queue is None or task is None:
        recently = queue is not None and cloud.use(State).journal.is_buried(cloud.canonical(name))
        raise names.no_task(recently=recently)
    return queue, task


def accept(cloud: Cloud, call: Call, queue: Queue, given: Message) -> Task:
    """Checks a new task and hands it to the dispatcher."""
    state = cloud.use(State)
    named = bool(given.name)
    task_id = names.check_task_name(cloud.canonical(given.name), queue.name) if named else _new_id(queue)
    task_rules.check(given, call.now)
    if email := task_rules.account(given):
        act_as(cloud, call, email)
        if cloud.iam.mode != "off" and cloud.iam.accounts.find(email) is None:
            raise names.no_account(email)
    if given.app_engine_http_request.HasField("app_engine_routing"):
        may_route(cloud, call)
    if named and (task_id in queue.tasks or state.journal.is_buried(f"{queue.name}/tasks/{task_id}")):
        raise already_exists("Requested entity already exists")
    spec = task_rules.stored(given, state.application)
    wanted = seconds(given.schedule_time) if given.HasField("schedule_time") else 0.0
    task = Task(
        task_id,
        spec,
        created=call.now,
        schedule=max(wanted, call.now),
        named=named,
        retry=retry_of(spec) if given.HasField("retry_config") else None,
    )
    task_rules.check_size(queue.name, task)
    state.dispatcher.add(queue, task)
    state.watch.created(queue, task, given.http_request.url or given.app_engine_http_request.relative_uri)
    return task


def _check_view(cloud: Cloud, call: Call, queue: Queue, view: int) -> None:
    """Bodies are shown to those who may see them."""
    if view == VIEWS["FULL"]:
        cloud.iam.require(call.principal, "cloudtasks.tasks.fullView", queue.name)


def _new_id(queue: Queue) -> str:
    """An id as Google makes them: digits, at random, so that it needs no memory of used ones."""
    while (made := str(random.getrandbits(64))) in queue.tasks:
        pass
    return made
