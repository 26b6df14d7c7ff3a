"""The RPCs of queues.

Permissions of the declaration are checked by the server on the resource of the URL; what more a call needs is asked
here. Messages are in names.py, rules in queue_rules.py.
"""

from local_cloud.apis.cloud_tasks import names, paging, queue_rules
from local_cloud.apis.cloud_tasks.api import API
from local_cloud.apis.cloud_tasks.filters import predicate
from local_cloud.apis.cloud_tasks.state import QUEUE_NAME_KEPT, STATES, State, act_as, may_route
from local_cloud.apis.cloud_tasks.times import put_time
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import already_exists, failed_precondition
from local_cloud.registry import Call

Queue = message("google.cloud.tasks.v2.Queue")
Empty = message("google.protobuf.Empty")
ListQueuesResponse = message("google.cloud.tasks.v2.ListQueuesResponse")

#: The largest page of ListQueues.
MAX_PAGE = 9800


def _exists(cloud: Cloud, name: str) -> None:
    cloud.use(State).queue(cloud, name)


API.iam_policies(
    "projects/*/locations/*/queues/*", permission="cloudtasks.queues", exists=_exists, service="CloudTasks"
)


@API.rpc("ListQueues", permission="cloudtasks.queues.list")
async def list_queues(cloud: Cloud, call: Call, request: Message) -> Message:
    """Queues of a location in the order of their names."""
    parent = cloud.canonical(request.parent)
    names.check_parent(parent)
    fits = predicate(request.filter)
    start = paging.after(request.page_token, f"{parent} {request.filter}", call.now)
    size = paging.size(request.page_size, MAX_PAGE)
    configs = cloud.use(State).configs
    found = [configs[name] for name in sorted(configs) if name.startswith(f"{parent}/queues/") and name > start]
    page = [config for config in found[:size] if fits(config)]
    token = paging.token(found[size - 1].name, f"{parent} {request.filter}", call.now) if len(found) > size else ""
    return ListQueuesResponse(queues=page, next_page_token=token)


@API.rpc("GetQueue", permission="cloudtasks.queues.get")
async def get_queue(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One queue."""
    return cloud.use(State).queue(cloud, request.name).spec


@API.rpc("CreateQueue", permission="cloudtasks.queues.create")
async def create_queue(cloud: Cloud, call: Call, request: Message) -> Message:
    """A new queue, unless there is one of the name, or was within the last 7 days."""
    parent = cloud.canonical(request.parent)
    names.check_parent(parent)
    return _create(cloud, call, parent, request.queue)


@API.rpc("UpdateQueue", permission="cloudtasks.queues.update")
async def update_queue(cloud: Cloud, call: Call, request: Message) -> Message:
    """Changes what the mask names (empty: everything); creates the queue when there is none."""
    state, name = cloud.use(State), cloud.canonical(request.queue.name)
    queue = state.dispatcher.queues.get(name)
    if queue is None:
        parent = names.parent_of(name)
        names.check_queue_name(name, parent)
        cloud.iam.require(call.principal, "cloudtasks.queues.create", parent)
        return _create(cloud, call, parent, request.queue)
    config = queue_rules.merge(queue.spec, request.queue, request.update_mask.paths)
    queue_rules.check(config)
    _may_target(cloud, call, request.queue)
    queue_rules.fill(config)
    _fill_routing(state, config)
    state.configs[name] = config
    queue.spec = config
    state.dispatcher.reshape(queue, queue_rules.limits(config))
    return config


@API.rpc("DeleteQueue", permission="cloudtasks.queues.delete")
async def delete_queue(cloud: Cloud, call: Call, request: Message) -> Message:
    """Removes the queue with its tasks; its name is refused for 7 days."""
    state = cloud.use(State)
    queue = state.dispatcher.queues.get(cloud.canonical(request.name))
    if queue is None:
        raise names.no_queue_to_delete()
    state.dispatcher.close(queue)
    state.watch.forget(queue.name)
    del state.configs[queue.name]
    state.deleted[queue.name] = call.now + QUEUE_NAME_KEPT
    cloud.iam.forget(queue.name)
    return Empty()


@API.rpc("PurgeQueue", permission="cloudtasks.queues.purge")
async def purge_queue(cloud: Cloud, call: Call, request: Message) -> Message:
    """Removes every task that was created before."""
    state = cloud.use(State)
    queue = state.queue(cloud, request.name)
    state.dispatcher.purge(queue)
    put_time(queue.spec.purge_time, call.now)
    state.configs.save(queue.name)
    return queue.spec


@API.rpc("PauseQueue", permission="cloudtasks.queues.pause")
async def pause_queue(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Stops dispatching; tasks can still be created."""
    return _set_state(cloud, request.name, "PAUSED")


@API.rpc("ResumeQueue", permission="cloudtasks.queues.resume")
async def resume_queue(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Dispatches again."""
    return _set_state(cloud, request.name, "RUNNING")


def _create(cloud: Cloud, call: Call, parent: str, given: Message) -> Message:
    state, name = cloud.use(State), cloud.canonical(given.name)
    names.check_queue_name(name, parent)
    if name in state.configs:
        raise already_exists("Queue already exists")
    if state.deleted.get(name) is not None:
        if state.deleted[name] > call.now:
            raise failed_precondition(
                "The queue cannot be created because a queue with this name existed too recently."
            )
        del state.deleted[name]
    config = queue_rules.merge(Queue(name=name), given, ())
    queue_rules.check(config)
    _may_target(cloud, call, given)
    queue_rules.fill(config)
    _fill_routing(state, config)
    config.state = STATES["RUNNING"]
    state.configs[name] = config
    state.open(config)
    return config


def _may_target(cloud: Cloud, call: Call, given: Message) -> None:
    """A queue that overrides whose token its tasks carry, or their routing, needs what a task would need."""
    target = given.http_target
    if email := target.oidc_token.service_account_email or target.oauth_token.service_account_email:
        act_as(cloud, call, email)
    if given.HasField("app_engine_routing_override"):
        may_route(cloud, call)


def _fill_routing(state: State, config: Message) -> None:
    if config.HasField("app_engine_routing_override"):
        state.application.fill(config.app_engine_routing_override)


def _set_state(cloud: Cloud, name: str, value: str) -> Message:
    state = cloud.use(State)
    queue = state.queue(cloud, name)
    queue.spec.state = STATES[value]
    state.configs.save(queue.name)
    state.dispatcher.set_paused(queue, value != "RUNNING")
    return queue.spec
