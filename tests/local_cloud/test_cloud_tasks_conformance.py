"""What the real Cloud Tasks answered, asked of the local cloud: in process and as a process, over gRPC and REST.

The recorded facts are pinned here, so that the test stands by itself; where the record is at hand, the copy is checked.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.api_core import exceptions
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2  # type: ignore[import-untyped]

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PLACES, ROOT, Place

pins(
    "cloud_tasks",
    "Queues",
    "Messages and details of errors in the record",
    observed="conformance record",
)

pins(
    "cloud_tasks",
    "Queues",
    "A queue name that is no resource name answers NOT_FOUND",
    ours=True,
)

RECORD = ROOT.parent / "shared" / "conformance" / "cloud_tasks.yaml"

#: The official client, which also takes dicts for messages; its annotations do not say so.
Client = Any

NO_QUEUE = "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize."
USED = "The queue cannot be created because a queue with this name existed too recently."
NOT_FORMATTED = 'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".'
BAD_ID = (
    'Task ID "not a valid id" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), or underscores (_). '
    "Task ID must between 1 and 500 characters."
)
CODES: dict[str, type[exceptions.GoogleAPICallError]] = {
    "ALREADY_EXISTS": exceptions.AlreadyExists,
    "FAILED_PRECONDITION": exceptions.FailedPrecondition,
    "INVALID_ARGUMENT": exceptions.InvalidArgument,
    "NOT_FOUND": exceptions.NotFound,
    "PERMISSION_DENIED": exceptions.PermissionDenied,
}
#: Google's REST errors share statuses; the client's REST transport then gives the wider class.
WIDER: dict[str, type[exceptions.GoogleAPICallError]] = {
    "ALREADY_EXISTS": exceptions.Conflict,
    "FAILED_PRECONDITION": exceptions.BadRequest,
    "INVALID_ARGUMENT": exceptions.BadRequest,
}


@dataclass(frozen=True)
class Case:
    """One recorded answer. `calls` are the ways to get it; each must."""

    name: str
    code: str
    message: str
    calls: tuple[Callable[[Client, str], object], ...]
    details: tuple[type[Any], ...] = ()
    #: Calls whose path no REST URL can carry.
    grpc_only: bool = False


def queue(**fields: Any) -> Callable[[Client, str], object]:
    return lambda client, name: client.create_queue(parent=PARENT, queue={"name": name, **fields})


def task(**fields: Any) -> Callable[[Client, str], object]:
    def create(client: Client, name: str) -> object:
        client.create_queue(parent=PARENT, queue={"name": name})
        client.pause_queue(name=name)
        made = {"http_request": {"url": "http://127.0.0.1:9/x"}, **fields}
        return client.create_task(parent=name, task=made)

    return create


def twice(call: Callable[[Client, str], object]) -> Callable[[Client, str], object]:
    def both(client: Client, name: str) -> object:
        call(client, name)
        return call(client, name)

    return both


def after_delete(call: Callable[[Client, str], object]) -> Callable[[Client, str], object]:
    def then(client: Client, name: str) -> object:
        client.create_queue(parent=PARENT, queue={"name": name})
        client.delete_queue(name=name)
        return call(client, name)

    return then


def plain_task(client: Client, name: str, task_id: str = "") -> object:
    made: dict[str, Any] = {"http_request": {"url": "http://127.0.0.1:9/x"}}
    if task_id:
        made["name"] = f"{name}/tasks/{task_id}"
    return client.create_task(parent=name, task=made)


def named_twice(client: Client, name: str) -> object:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    plain_task(client, name, "same")
    return plain_task(client, name, "same")


def named_after_delete(client: Client, name: str) -> object:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    plain_task(client, name, "same")
    client.delete_task(name=f"{name}/tasks/same")
    return plain_task(client, name, "same")


def bad_task_id(client: Client, name: str) -> object:
    client.create_queue(parent=PARENT, queue={"name": name})
    return plain_task(client, name, "not a valid id")


def missing_task(verb: str) -> Callable[[Client, str], object]:
    def call(client: Client, name: str) -> object:
        client.create_queue(parent=PARENT, queue={"name": name})
        return getattr(client, verb)(name=f"{name}/tasks/never-was")

    return call


def deadline(seconds: float) -> Callable[[Client, str], object]:
    return task(dispatch_deadline=duration_pb2.Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9)))


CASES = [
    Case("create an existing queue", "ALREADY_EXISTS", "Queue already exists", (twice(queue()),)),
    Case("create a queue whose name was deleted recently", "FAILED_PRECONDITION", USED, (after_delete(queue()),)),
    Case(
        "create a queue named 'not-a-valid-queue-name'",
        "INVALID_ARGUMENT",
        NOT_FORMATTED,
        (lambda client, _: client.create_queue(parent=PARENT, queue={"name": "not-a-valid-queue-name"}),),
        (error_details_pb2.Help,),
    ),
    Case(
        "create a queue under the parent 'not-a-valid-parent'",
        "PERMISSION_DENIED",
        "Permission denied on resource project not-a-valid-parent.",
        (lambda client, name: client.create_queue(parent="not-a-valid-parent", queue={"name": name}),),
        (error_details_pb2.ErrorInfo, error_details_pb2.LocalizedMessage, error_details_pb2.Help),
        grpc_only=True,
    ),
    Case(
        "min_backoff above max_backoff",
        "INVALID_ARGUMENT",
        "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        (queue(retry_config={"min_backoff": {"seconds": 9}, "max_backoff": {"seconds": 8}}),),
    ),
    Case(
        "min_backoff below zero",
        "INVALID_ARGUMENT",
        "RetryConfig.minBackoff cannot be negative.",
        (queue(retry_config={"min_backoff": {"seconds": -1}}),),
    ),
    Case(
        "max_attempts below -1",
        "INVALID_ARGUMENT",
        "RetryConfig.maxAttempts must be greater or equal to -1.",
        (queue(retry_config={"max_attempts": -2}),),
    ),
    Case(
        "max_concurrent_dispatches below zero",
        "INVALID_ARGUMENT",
        "RateLimits.maxConcurrentDispatches cannot be negative.",
        (queue(rate_limits={"max_concurrent_dispatches": -1}),),
    ),
    Case(
        "max_dispatches_per_second above 500",
        "INVALID_ARGUMENT",
        "RateLimits.maxDispatchesPerSecond must be less than or equal to 500.",
        (
            queue(rate_limits={"max_dispatches_per_second": 501}),
            queue(rate_limits={"max_dispatches_per_second": 500.1}),
        ),
    ),
    Case("get a queue that never was", "NOT_FOUND", NO_QUEUE, (lambda client, name: client.get_queue(name=name),)),
    Case(
        "pause, resume or purge a queue that never was",
        "NOT_FOUND",
        NO_QUEUE,
        (
            lambda client, name: client.pause_queue(name=name),
            lambda client, name: client.resume_queue(name=name),
            lambda client, name: client.purge_queue(name=name),
        ),
    ),
    Case(
        "create a task in a queue that is not there (never was or deleted)",
        "NOT_FOUND",
        NO_QUEUE,
        (plain_task, after_delete(plain_task)),
    ),
    Case(
        "create a task under a name in use or used recently",
        "ALREADY_EXISTS",
        "Requested entity already exists",
        (named_twice, named_after_delete),
    ),
    Case("task id 'not a valid id'", "INVALID_ARGUMENT", BAD_ID, (bad_task_id,), (error_details_pb2.Help,)),
    Case("empty http_request.url", "INVALID_ARGUMENT", "HttpRequest.url is required.", (task(http_request={}),)),
    Case(
        "url 'example.com/path'",
        "INVALID_ARGUMENT",
        "HttpTarget.url must start with 'http://' or 'https://'.",
        (task(http_request={"url": "example.com/path"}),),
    ),
    Case(
        "dispatch_deadline outside its range",
        "INVALID_ARGUMENT",
        "Task.dispatchDeadline must be between [15s, 30m].",
        (deadline(14.9), deadline(1801), deadline(0)),
    ),
    Case(
        "get or delete a task that never was",
        "NOT_FOUND",
        "Requested entity was not found.",
        (missing_task("get_task"), missing_task("delete_task"), missing_task("run_task")),
    ),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Place]]:
    """Every place once, started when a test first wants it."""
    made: dict[str, Place] = {}
    with ExitStack() as stack:

        def place(name: str) -> Place:
            if name not in made:
                made[name] = stack.enter_context(PLACES[name](tmp_path_factory.mktemp(name)))
            return made[name]

        yield place


@pytest.mark.parametrize("wire", ["grpc", "rest"])
@pytest.mark.parametrize("where", list(PLACES))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_errors_are_those_of_the_real_service(
    places: Callable[[str], Place], where: str, wire: str, case: Case
) -> None:
    if wire == "rest" and case.grpc_only:
        pytest.skip("no REST URL carries this name: the client refuses it by itself")
    client = places(where).client(wire)
    for call in case.calls:
        expected = WIDER.get(case.code, CODES[case.code]) if wire == "rest" else CODES[case.code]
        with pytest.raises(expected) as caught:
            call(client, f"{PARENT}/queues/q-{uuid.uuid4().hex}")
        error = caught.value
        assert isinstance(error, exceptions.GoogleAPICallError)
        if wire == "grpc":
            assert error.message == case.message
            found = {detail.DESCRIPTOR.full_name for detail in error.details}
        else:
            body = error.response.json()["error"]
            assert (body["status"], body["message"]) == (case.code, case.message)
            found = {detail["@type"].rpartition("/")[2] for detail in body.get("details", ())}
        assert {kind.DESCRIPTOR.full_name for kind in case.details} <= found


@pytest.mark.skipif(not RECORD.exists(), reason=f"the record is not at hand: {RECORD}")
def test_the_pinned_facts_are_those_of_the_record() -> None:
    record = yaml.safe_load(Path(RECORD).read_text())
    recorded = {entry["case"]: (entry["code"], entry.get("message", "")) for entry in record["errors"]}
    assert {case.name: (case.code, case.message) for case in CASES} == recorded
    detailed = {entry["case"] for entry in record["errors"] if "detail" in entry}
    assert {case.name for case in CASES if case.details} == detailed


@pytest.mark.skipif(not RECORD.exists(), reason=f"the record is not at hand: {RECORD}")
def test_the_dispatch_facts_that_the_dispatcher_is_tested_by_are_those_of_the_record() -> None:
    record = yaml.safe_load(Path(RECORD).read_text())
    assert record["dispatch"] == {
        "every_request": {
            "User-Agent": "Google-Cloud-Tasks",
            "X-CloudTasks-QueueName": "{queue}",
            "X-CloudTasks-TaskName": "{task}",
            "X-CloudTasks-TaskETA": "{eta}",
        },
        "answers": [503, 404, 429, 500, 302, 200],
        "TaskRetryCount": [0, 1, 2, 3, 4, 5],
        "TaskExecutionCount": [0, 0, 1, 2, 2, 3],
        "TaskPreviousResponse": [None, 503, 404, 429, 500, 302],
        "TaskRetryReason": [None, "", "", "", "", ""],
    }
    assert [entry["waits"] for entry in record["backoff"]] == [[10, 20, 40, 80, 160, 240, 300, 300]]
