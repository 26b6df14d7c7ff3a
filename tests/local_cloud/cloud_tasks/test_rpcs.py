"""The rarer calls of the official clients: batches with operations, CMEK, masks, filters, policies, async."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import jwt
import pytest
import requests
from google.api_core import exceptions, retry
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from google.iam.v1 import options_pb2  # type: ignore[import-untyped]
from google.protobuf import field_mask_pb2

from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.cloud_places import LOCATION, PARENT, PROJECT, Place, inside
from tests.local_cloud.cloud_tasks.tasks_target import Target, account, advance, idle

URL = {"http_request": {"url": "http://h.example/"}}
#: Over REST the client knows wider classes of some errors.
ABORTED = (exceptions.Aborted, exceptions.Conflict)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture(params=["grpc", "rest"])
def client(place: Place, request: pytest.FixtureRequest) -> Any:
    return place.client(request.param)


@pytest.fixture
async def aio(place: Place) -> AsyncIterator[Any]:
    """The asynchronous client."""
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{place.ports['grpc']}")
    made: Any = tasks_v2.CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
    yield made
    await made.transport.close()


@pytest.fixture
def name() -> str:
    return f"{PARENT}/queues/q-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def queue(client: Any, name: str) -> str:
    """A paused queue."""
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    return name


def item(queue: str, task_id: str) -> dict[str, Any]:
    return {"parent": queue, "task": {"name": f"{queue}/tasks/{task_id}", **URL}}


@pins(
    "cloud_tasks",
    "Tasks",
    "A batch's operation can be polled; its metadata has the state, times and each failed item by index",
    documented="BatchCreateTasksMetadata, BatchDeleteTasksMetadata",
)
def test_a_batchs_operation_is_there_to_be_asked_again(client: Any, queue: str) -> None:
    made = client.batch_create_tasks(request={"parent": queue, "requests": [item(queue, "a"), item(queue, "b")]})
    assert made.done()
    assert isinstance(made.result(), tasks_v2.BatchCreateTasksResponse)
    assert isinstance(made.metadata, tasks_v2.BatchCreateTasksMetadata)
    assert made.metadata.state.name == "SUCCEEDED"
    begun: Any = made.metadata.start_time
    assert begun <= made.metadata.end_time
    assert made.operation.name.startswith(f"{PARENT}/operations/")
    polled = client.transport.operations_client.get_operation(made.operation.name)
    assert polled == made.operation
    gone = client.batch_delete_tasks(request={"parent": queue, "names": [f"{queue}/tasks/a", f"{queue}/tasks/b"]})
    assert gone.result() is not None
    assert isinstance(gone.metadata, tasks_v2.BatchDeleteTasksMetadata)
    assert gone.metadata.state.name == "SUCCEEDED"
    assert list(client.list_tasks(parent=queue)) == []


@pins(
    "cloud_tasks",
    "Tasks",
    "A batch of which nothing succeeded ends with ABORTED in Google's words, and its metadata says why for each",
    documented="BatchDeleteTasksMetadata.State",
)
def test_a_batch_of_failures_is_aborted(client: Any, queue: str) -> None:
    client.create_task(parent=queue, task=item(queue, "there")["task"])
    made = client.batch_create_tasks(request={"parent": queue, "requests": [item(queue, "there")]})
    with pytest.raises(exceptions.Aborted, match="refer to BatchCreateTasksMetadata"):
        made.result()
    assert made.metadata.state.name == "PARTIALLY_SUCCEEDED"
    assert made.metadata.failed_requests[0].message == "Requested entity already exists"
    gone = client.batch_delete_tasks(request={"parent": queue, "names": [f"{queue}/tasks/never"]})
    with pytest.raises(exceptions.Aborted, match="None of the requests succeeded, refer to BatchDeleteTasksMetadata"):
        gone.result()
    assert gone.metadata.failed_requests[0].code == 5


@pins(
    "cloud_tasks",
    "Tasks",
    "A batch that comes again under its request_id is answered with its first operation",
    documented="BatchCreateTasksRequest.request_id",
)
def test_a_request_id_makes_a_batch_safe_to_repeat(place: Place, client: Any, queue: str) -> None:
    request = {"parent": queue, "requests": [item(queue, "a"), {"parent": queue, "task": URL}], "request_id": "r-1"}
    first, again = (client.batch_create_tasks(request=request) for _ in range(2))
    assert first.operation.name == again.operation.name
    assert len(list(client.list_tasks(parent=queue))) == 2
    names = [task.name for task in first.result().tasks]
    first, again = (
        client.batch_delete_tasks(request={"parent": queue, "names": names, "request_id": "r-1"}) for _ in range(2)
    )
    assert first.operation.name == again.operation.name
    assert not again.metadata.failed_requests
    with pytest.raises(exceptions.GoogleAPICallError, match="request_id"):
        client.batch_create_tasks(request={**request, "request_id": "x" * 300})


@pins("cloud_tasks", "Tasks", "At most 100 tasks are created and 1000 deleted at once", documented="BatchCreateTasks")
def test_batches_have_their_sizes(client: Any, queue: str) -> None:
    with pytest.raises(exceptions.GoogleAPICallError, match="between 1 and 100"):
        client.batch_create_tasks(request={"parent": queue, "requests": [{"parent": queue, "task": URL}] * 101})
    with pytest.raises(exceptions.GoogleAPICallError, match="between 1 and 1000"):
        client.batch_delete_tasks(request={"parent": queue, "names": [f"{queue}/tasks/x"] * 1001})
    with pytest.raises(exceptions.GoogleAPICallError, match="between 1 and 100"):
        client.batch_create_tasks(request={"parent": queue})
    other = {"parent": f"{queue}-other", "task": URL}
    with pytest.raises(exceptions.GoogleAPICallError, match="must be the parent of the batch"):
        client.batch_create_tasks(request={"parent": queue, "requests": [other]})
    client.batch_create_tasks(request={"parent": queue, "requests": [{"parent": queue, "task": URL}] * 100}).result()
    listed = list(client.list_tasks(parent=queue))
    assert len(listed) == 100
    client.batch_delete_tasks(request={"parent": queue, "names": [task.name for task in listed]}).result()
    assert list(client.list_tasks(parent=queue)) == []


@pins(
    "cloud_tasks",
    "Queues",
    "GetCmekConfig, UpdateCmekConfig: kept for each location and read back",
    documented="CmekConfig",
)
@pins("cloud_tasks", "Queues", "The key of a CMEK configuration encrypts nothing here", ours="there is no Cloud KMS")
def test_a_key_is_kept_for_its_location(client: Any) -> None:
    location = f"region-{uuid.uuid4().hex[:8]}"
    config = f"projects/{PROJECT}/locations/{location}/cmekConfig"
    key = f"projects/p/locations/{location}/keyRings/ring/cryptoKeys/key"
    assert client.get_cmek_config(name=config) == tasks_v2.CmekConfig(name=config)
    made = client.update_cmek_config(cmek_config={"name": config, "kms_key": key}, update_mask={"paths": ["kms_key"]})
    assert made == client.get_cmek_config(name=config) == tasks_v2.CmekConfig(name=config, kms_key=key)
    same = client.update_cmek_config(cmek_config={"name": config}, update_mask={"paths": ["name"]})
    assert same.kms_key == key
    for wrong, match in (
        ({"name": config, "kms_key": "key"}, "must be formatted"),
        ({"name": config, "kms_key": key.replace(location, "elsewhere")}, "must be in the location"),
    ):
        with pytest.raises(exceptions.GoogleAPICallError, match=match):
            client.update_cmek_config(cmek_config=wrong)
    with pytest.raises(exceptions.GoogleAPICallError, match="update mask"):
        client.update_cmek_config(cmek_config={"name": config}, update_mask={"paths": ["key"]})
    assert client.get_cmek_config(name=config).kms_key == key
    assert client.update_cmek_config(cmek_config={"name": config}).kms_key == ""
    assert client.get_cmek_config(name=config).kms_key == ""


def test_a_key_is_for_those_who_may_see_it(place: Place) -> None:
    email = account(place, f"key-{uuid.uuid4().hex[:8]}")
    door = f"http://127.0.0.1:{place.ports['service_rest']}/v2/projects/{PROJECT}/locations/{LOCATION}/cmekConfig"
    grant = requests.post(
        f"{place.rest}/v1/projects/-/serviceAccounts/{email}:generateAccessToken",
        json={"scope": ["https://www.googleapis.com/auth/cloud-platform"]},
        timeout=30,
    ).json()
    asked = {"Authorization": f"Bearer {grant['accessToken']}"}
    assert requests.get(door, timeout=30).status_code == 401
    refused = requests.get(door, headers=asked, timeout=30)
    assert refused.status_code == 403
    assert "cloudtasks.cmekConfig.get" in refused.text
    refused = requests.patch(door, json={"kmsKey": ""}, headers=asked, timeout=30)
    assert refused.status_code == 403
    assert "cloudtasks.cmekConfig.update" in refused.text


@pins(
    "cloud_tasks",
    "Queues",
    "An update mask takes nested paths, camelCase and `*`; what a path names and the caller leaves out goes back to "
    "its default; unknown paths are refused",
    documented="UpdateQueueRequest, FieldMask",
)
def test_masks_reach_into_a_queue(place: Place, client: Any, queue: str) -> None:
    given = {
        "name": queue,
        "rate_limits": {"max_dispatches_per_second": 7, "max_concurrent_dispatches": 8},
        "retry_config": {"max_attempts": 9, "max_doublings": 3, "min_backoff": {"seconds": 2}},
        "stackdriver_logging_config": {"sampling_ratio": 0.5},
    }
    client.update_queue(queue=given)
    cases: list[tuple[str, Callable[[Any], bool]]] = [
        ("rate_limits.max_dispatches_per_second", lambda q: q.rate_limits.max_dispatches_per_second == 500),
        ("retry_config.max_attempts", lambda q: q.retry_config.max_attempts == 100),
        ("retry_config.min_backoff", lambda q: q.retry_config.min_backoff.total_seconds() == 0.1),
        ("stackdriver_logging_config.sampling_ratio", lambda q: q.stackdriver_logging_config.sampling_ratio == 0),
    ]
    for path, read in cases:
        changed = client.update_queue(queue={"name": queue}, update_mask=field_mask_pb2.FieldMask(paths=[path]))
        assert read(changed), path
    assert changed.rate_limits.max_concurrent_dispatches == 8
    assert changed.retry_config.max_doublings == 3
    whole = client.update_queue(queue={"name": queue}, update_mask=field_mask_pb2.FieldMask(paths=["*"]))
    assert (whole.rate_limits.max_concurrent_dispatches, whole.retry_config.max_doublings) == (1000, 16)
    assert whole.state.name == "PAUSED"
    answer = requests.patch(
        f"{place.rest}/v2/{queue}?updateMask=retryConfig.maxAttempts,rateLimits.maxDispatchesPerSecond",
        json={"retryConfig": {"maxAttempts": 4, "maxDoublings": 9}, "rateLimits": {"maxDispatchesPerSecond": 3}},
        timeout=30,
    ).json()
    assert (answer["retryConfig"]["maxAttempts"], answer["retryConfig"]["maxDoublings"]) == (4, 16)
    assert answer["rateLimits"]["maxDispatchesPerSecond"] == 3
    whole = client.get_queue(name=queue)
    for path in ("rate_limits.nonsense", "retry_config.max_attempts.more", "type", "rate_limits."):
        with pytest.raises(exceptions.GoogleAPICallError, match="update mask"):
            client.update_queue(queue={"name": queue}, update_mask=field_mask_pb2.FieldMask(paths=[path]))
    for path in ("name", "state", "purge_time", "rate_limits.max_burst_size"):
        ignored = client.update_queue(
            queue={"name": queue, "state": 1, "rate_limits": {"max_burst_size": 7}},
            update_mask=field_mask_pb2.FieldMask(paths=[path]),
        )
        assert ignored == whole


@pins(
    "cloud_tasks",
    "Queues",
    "max_burst_size is output only: what a caller says, even a negative number, is ignored",
    documented="RateLimits",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
def test_a_burst_that_a_caller_names_is_ignored(client: Any, name: str) -> None:
    made = client.create_queue(parent=PARENT, queue={"name": name, "rate_limits": {"max_burst_size": -1}})
    assert made.rate_limits.max_burst_size == 100


@pins(
    "cloud_tasks",
    "Queues",
    "At most 5000 concurrent dispatches, negative numbers refused, each in Google's words",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate_limits": {"max_dispatches_per_second": -1}}, "RateLimits.maxDispatchesPerSecond cannot be negative."),
        (
            {"rate_limits": {"max_concurrent_dispatches": 5001}},
            "RateLimits.maxConcurrentDispatches must be less than or equal to 5000.",
        ),
        ({"retry_config": {"max_doublings": -1}}, "RetryConfig.maxDoublings cannot be negative."),
        ({"retry_config": {"max_backoff": {"seconds": -1}}}, "RetryConfig.maxBackoff cannot be negative."),
        (
            {"stackdriver_logging_config": {"sampling_ratio": 1.1}},
            "StackdriverLoggingConfig.samplingRatio must be between 0.0 and 1.0, inclusive.",
        ),
    ],
)
def test_numbers_out_of_range_are_refused_in_googles_words(
    client: Any, name: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(exceptions.GoogleAPICallError) as refused:
        client.create_queue(parent=PARENT, queue={"name": name, **fields})
    assert message in refused.value.message


@pins(
    "cloud_tasks",
    "Queues",
    "A queue is made under the location that its name is in",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
def test_a_queue_belongs_to_its_parent(client: Any) -> None:
    elsewhere = f"projects/{PROJECT}/locations/us-east1/queues/q"
    with pytest.raises(exceptions.GoogleAPICallError) as refused:
        client.create_queue(parent=PARENT, queue={"name": elsewhere})
    assert f"{elsewhere} must begin with {PARENT}." in refused.value.message


@pins(
    "cloud_tasks",
    "Queues",
    "Deleting a queue that is not there has words of its own",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
def test_deleting_what_is_not_there(client: Any, name: str) -> None:
    with pytest.raises(exceptions.NotFound, match="Requested entity was not found"):
        client.delete_queue(name=name)


@pins(
    "cloud_tasks",
    "Tasks",
    "A task that was there recently is NOT_FOUND in words of its own, where it was named",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
    ours="for a name that the service chose Google says it too",
)
def test_a_task_that_was_there_recently_is_told_apart(client: Any, queue: str) -> None:
    client.create_task(parent=queue, task=item(queue, "once")["task"])
    client.delete_task(name=f"{queue}/tasks/once")
    for call in (client.get_task, client.delete_task, client.run_task):
        with pytest.raises(
            exceptions.NotFound, match="no longer exists, though a task with this name existed recently"
        ):
            call(name=f"{queue}/tasks/once")


@pins(
    "cloud_tasks",
    "Tasks",
    "The name of another queue's task is refused in Google's words",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
@pins(
    "cloud_tasks",
    "Tasks",
    "A URL with a wrong escape is taken: it fails when it is dispatched",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
@pins(
    "cloud_tasks",
    "Tasks",
    "A schedule time too far ahead is named in the time of California",
    observed="public issue threads",
)
def test_details_of_creating_a_task(client: Any, queue: str) -> None:
    with pytest.raises(exceptions.GoogleAPICallError) as refused:
        client.create_task(parent=queue, task=item(f"{queue}-other", "x")["task"])
    assert (
        f"The queue name from request ('{queue}') must be the same as the queue name in the named task "
        f"('{queue}-other')." in refused.value.message
    )
    made = client.create_task(parent=queue, task={"http_request": {"url": "http://h.example/%zz"}})
    assert made.http_request.url == "http://h.example/%zz"
    with pytest.raises(exceptions.GoogleAPICallError) as refused:
        client.create_task(parent=queue, task={**URL, "schedule_time": {"seconds": 4_102_444_800}})
    assert "The Task.scheduleTime, 2099-12-31T16:00:00-08:00, is too far in the future." in refused.value.message


@pins(
    "cloud_tasks",
    "Tasks",
    "The size that is limited is that of the stored form with name and times: 1,048,569 bytes",
    observed="task sizes measured by aertje/cloud-tasks-emulator",
)
def test_the_largest_task_is_measured_as_it_is_stored(place: Place, queue: str) -> None:
    client = place.client("grpc")

    def stored(body: int) -> int:
        task = {"name": f"{queue}/tasks/size", "http_request": {"url": "http://h.example/", "body": b"x" * body}}
        made = client.create_task(request={"parent": queue, "task": task, "response_view": 2})
        client.delete_task(name=made.name)
        advance(place, 86401)
        size: int = tasks_v2.Task.pb(made).ByteSize()
        return size

    # The view adds two bytes for its own field; times take more or fewer bytes as their fractions fall.
    over = stored(1_000_000) - 1_000_000
    fits = 1_048_569 - over - 8
    assert stored(fits) <= 1_048_569 + 2
    with pytest.raises(exceptions.InvalidArgument, match="Task size too large"):
        stored(fits + 24)


@pins("cloud_tasks", "Queues", "Policies have etags: a stale one is ABORTED, as of IAM", documented="IAM Policy.etag")
def test_a_stale_policy_is_not_written(client: Any, queue: str) -> None:
    policy = client.get_iam_policy(resource=queue)
    policy.bindings.add(role="roles/cloudtasks.viewer", members=["allUsers"])
    kept = client.set_iam_policy(request={"resource": queue, "policy": policy})
    assert kept.etag != policy.etag
    with pytest.raises(ABORTED, match="concurrent"):
        client.set_iam_policy(request={"resource": queue, "policy": policy})
    version = options_pb2.GetPolicyOptions(requested_policy_version=3)
    assert client.get_iam_policy(request={"resource": queue, "options": version}) == kept
    wanted = ["cloudtasks.tasks.create", "cloudtasks.queues.pause"]
    assert list(client.test_iam_permissions(resource=queue, permissions=wanted).permissions) == wanted
    with pytest.raises(exceptions.GoogleAPICallError):
        client.test_iam_permissions(resource=queue, permissions=["cloudtasks.*"])


@pins(
    "cloud_tasks", "Queues", "Page tokens are for the filter that they were made with", documented="ListQueuesRequest"
)
def test_a_page_token_belongs_to_its_filter(client: Any, queue: str, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": f"{name}-b"})
    page = client.list_queues(request={"parent": PARENT, "page_size": 1, "filter": "state: PAUSED"})
    token = page.next_page_token
    assert token
    client.list_queues(request={"parent": PARENT, "page_size": 9, "filter": "state: PAUSED", "page_token": token})
    with pytest.raises(exceptions.GoogleAPICallError, match="page token"):
        client.list_queues(request={"parent": PARENT, "page_token": token})
    with pytest.raises(exceptions.GoogleAPICallError, match="negative"):
        client.list_queues(request={"parent": PARENT, "page_size": -1})
    assert client.list_queues(request={"parent": PARENT, "page_size": 100_000}).queues
    with pytest.raises(exceptions.GoogleAPICallError, match="negative"):
        client.list_tasks(request={"parent": queue, "page_size": -1})
    for text, found in (
        ('state="PAUSED" AND rateLimits.maxConcurrentDispatches>=1000', True),
        ("retry_config.max_attempts < 100", False),
        ("state != RUNNING", True),
        (f"name: {queue.rpartition('/')[2]}", True),
    ):
        listed = [each.name for each in client.list_queues(request={"parent": PARENT, "filter": text})]
        assert (queue in listed) is found, text


def test_a_page_token_is_good_for_two_hours(place: Place, client: Any, queue: str) -> None:
    for _ in range(2):
        client.create_task(parent=queue, task=URL)
    token = client.list_tasks(request={"parent": queue, "page_size": 1}).next_page_token
    advance(place, 7000)
    assert len(client.list_tasks(request={"parent": queue, "page_size": 1, "page_token": token}).tasks) == 1
    advance(place, 300)
    with pytest.raises(exceptions.GoogleAPICallError, match="2 hours"):
        client.list_tasks(request={"parent": queue, "page_size": 1, "page_token": token})


def test_locations_are_listed(client: Any) -> None:
    from google.cloud.location import locations_pb2  # type: ignore[import-untyped]

    listed = client.list_locations(locations_pb2.ListLocationsRequest(name=f"projects/{PROJECT}"))
    assert [location.location_id for location in listed.locations] == [LOCATION]
    assert client.get_location(locations_pb2.GetLocationRequest(name=PARENT)).name == PARENT


async def test_the_asynchronous_client_does_it_all(place: Place, aio: Any, name: str) -> None:
    target = Target()
    try:
        await aio.create_queue(parent=PARENT, queue={"name": name})
        assert (await aio.get_queue(name=name)).state.name == "RUNNING"
        assert name in [queue.name async for queue in await aio.list_queues(parent=PARENT)]
        await aio.pause_queue(name=name)
        made = [await aio.create_task(parent=name, task={"http_request": {"url": target.url}}) for _ in range(5)]
        pages = await aio.list_tasks(request={"parent": name, "page_size": 2})
        assert [len(page.tasks) async for page in pages.pages] == [2, 2, 1]
        assert (await aio.get_task(name=made[0].name)).name == made[0].name
        assert (await aio.run_task(name=made[0].name)).dispatch_count == 1
        await aio.delete_task(name=made[1].name)
        batch = await aio.batch_create_tasks(request={"parent": name, "requests": [item(name, "a")]})
        assert [task.name for task in (await batch.result()).tasks] == [f"{name}/tasks/a"]
        gone = await aio.batch_delete_tasks(request={"parent": name, "names": [f"{name}/tasks/a"]})
        await gone.result()
        await aio.update_queue(queue={"name": name, "retry_config": {"max_attempts": 3}})
        await aio.resume_queue(name=name)
        target.wait(4)
        idle(place)
        await aio.purge_queue(name=name)
        policy = await aio.get_iam_policy(resource=name)
        await aio.set_iam_policy(request={"resource": name, "policy": policy})
        tested = await aio.test_iam_permissions(resource=name, permissions=["cloudtasks.queues.get"])
        assert list(tested.permissions) == ["cloudtasks.queues.get"]
        config = f"{PARENT}/cmekConfig"
        assert (await aio.get_cmek_config(name=config)).name == config
        assert (await aio.update_cmek_config(cmek_config={"name": config})).kms_key == ""
        await aio.delete_queue(name=name)
        with pytest.raises(exceptions.NotFound):
            await aio.get_queue(name=name)
    finally:
        target.server.shutdown()


def test_retries_and_timeouts_of_a_caller_are_its_own(client: Any, name: str) -> None:
    tried: list[Exception] = []
    again = retry.Retry(
        predicate=retry.if_exception_type(exceptions.NotFound),
        initial=0.001,
        maximum=0.001,
        timeout=0.05,
        on_error=tried.append,
    )
    with pytest.raises(exceptions.RetryError):
        client.get_queue(name=name, retry=again, timeout=5)
    assert tried
    client.create_queue(parent=PARENT, queue={"name": name})
    assert client.get_queue(name=name, retry=again, timeout=5, metadata=[("x-own", "1")]).name == name


@pins(
    "cloud_tasks",
    "Tasks",
    "A created task is answered as it was before any attempt",
    documented="CreateTask",
)
def test_a_created_task_is_answered_as_it_was_made(client: Any, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    made = client.create_task(parent=name, task={"http_request": {"url": "http://127.0.0.1:9/"}})
    assert (made.dispatch_count, "first_attempt" in made, "last_attempt" in made) == (0, False, False)
    client.delete_queue(name=name)


@pins(
    "cloud_tasks",
    "Tasks",
    "A task that is to carry the token of an account that does not exist is refused, NOT_FOUND, whoever asks",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
    ours="the wording",
)
def test_an_account_that_does_not_exist_is_found_out_at_once(client: Any, queue: str) -> None:
    token = {"oidc_token": {"service_account_email": f"never@{PROJECT}.iam.gserviceaccount.com"}}
    with pytest.raises(exceptions.NotFound, match="Service account never@"):
        client.create_task(parent=queue, task={"http_request": {"url": "https://h.example/", **token}})


@pins("cloud_tasks", "Tasks", "With IAM off a token is made for any account that a task names", ours=True)
async def test_without_iam_any_account_has_a_token(tmp_path: Path) -> None:
    target = Target()
    async with Running(Settings(state=tmp_path, iam_mode="off")) as running:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{running.cloud.ports['grpc']}")
        client: Any = tasks_v2.CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
        name = f"{PARENT}/queues/q"
        await client.create_queue(parent=PARENT, queue={"name": name})
        token = {"oidc_token": {"service_account_email": "emulator@service.test"}}
        await client.create_task(parent=name, task={"http_request": {"url": f"{target.url}/x?y=z", **token}})
        await running.cloud.clock.settle()
        _, headers, _ = target.seen[0]
        claims = jwt.decode(headers["Authorization"].removeprefix("Bearer "), options={"verify_signature": False})
        assert (claims["email"], claims["aud"]) == ("emulator@service.test", f"{target.url}/x?y=z")
        await client.transport.close()
    target.server.shutdown()


@pins("cloud_tasks", "Queues", "max_retry_duration is cut to whole seconds", documented="RetryConfig")
@pins(
    "cloud_tasks",
    "Queues",
    "max_attempts and max_doublings of 0 mean the default: the wire cannot tell 0 from unset",
    ours=True,
)
def test_what_a_retry_config_reads_back_as(client: Any, name: str) -> None:
    given = {"max_retry_duration": {"seconds": 9, "nanos": 900_000_000}, "max_attempts": 0, "max_doublings": 0}
    retried = client.create_queue(parent=PARENT, queue={"name": name, "retry_config": given}).retry_config
    assert retried.max_retry_duration.total_seconds() == 9
    assert (retried.max_attempts, retried.max_doublings) == (100, 16)


@pins("cloud_tasks", "Queues", "Any location is accepted", ours=True)
@pins("cloud_tasks", "Queues", "There is no limit to the number of queues (Google: 1,000 a region)", ours=True)
def test_what_google_limits_and_the_local_cloud_does_not(client: Any) -> None:
    parent = f"projects/{PROJECT}/locations/moon-{uuid.uuid4().hex[:8]}"
    made = client.create_queue(parent=parent, queue={"name": f"{parent}/queues/q"})
    assert [queue.name for queue in client.list_queues(parent=parent)] == [made.name]


@pins(
    "cloud_tasks",
    "Tasks",
    "Calls with a gRPC deadline above 30 s are refused",
    observed="google-cloud-go, issue 1577",
)
def test_a_call_that_may_last_longer_than_thirty_seconds_is_refused(place: Place, name: str) -> None:
    client = place.client("grpc")
    with pytest.raises(
        exceptions.InvalidArgument, match=r"deadline is \S+-0[78]:00\. The deadline cannot be more than 30s"
    ):
        client.create_queue(parent=PARENT, queue={"name": name}, timeout=60)
    client.create_queue(parent=PARENT, queue={"name": name}, timeout=30)
