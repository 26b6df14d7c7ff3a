"""What the real Cloud Tasks v2 answered, case by case, and how each is asked of a local cloud.

The record's facts are pinned here, so that the tests stand by themselves; test_conformance.py compares the
copy with the record where that is at hand.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
import requests
from google.api_core import exceptions
from google.protobuf import duration_pb2

from tests.local_cloud.cloud_places import PARENT, Place
from tests.local_cloud.cloud_tasks.tasks_target import advance, idle, listening

#: The official client, which also takes dicts for messages; its annotations do not say so.
Client = Any

NO_QUEUE = "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize."
USED = "The queue cannot be created because a queue with this name existed too recently."
NOT_FORMATTED = 'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".'
BAD_ID = (
    'Task ID "not a valid id" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), or underscores (_). '
    "Task ID must between 1 and 500 characters."
)
HELP = "google.rpc.Help"
REFERENCE = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations"
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


class Case(Protocol):
    """One entry of the record."""

    @property
    def name(self) -> str:
        """As in the record."""

    def prove(self, place: Place, wire: str) -> None:
        """Asks the place over a wire; fails where the answer is another."""


@dataclass(frozen=True)
class Refusal:
    """One recorded error. `calls` are the ways to get it; each must."""

    name: str
    code: str
    message: str
    calls: tuple[Callable[[Client, str], object], ...]
    #: The details that come with it, by type; a Help detail links to `link`.
    details: tuple[str, ...] = ()
    link: str = ""
    #: No REST URL can carry the name: the client refuses it by itself, and the front end knows no such path.
    unroutable: str = ""

    def prove(self, place: Place, wire: str) -> None:
        """Every call is refused with the recorded code, message and details."""
        client = place.client(wire)
        for call in self.calls:
            name = f"{PARENT}/queues/q-{uuid.uuid4().hex}"
            if wire == "rest" and self.unroutable:
                with pytest.raises(ValueError, match="Invalid request"):
                    call(client, name)
                assert (
                    requests.post(f"{place.rest}{self.unroutable}", json={"name": name}, timeout=30).status_code == 404
                )
                continue
            expected = WIDER.get(self.code, CODES[self.code]) if wire == "rest" else CODES[self.code]
            with pytest.raises(expected) as caught:
                call(client, name)
            self._check(caught.value, wire)

    def _check(self, error: Any, wire: str) -> None:
        if wire == "grpc":
            assert error.message == self.message
            found = {detail.DESCRIPTOR.full_name for detail in error.details}
            links = {link.url for detail in error.details for link in getattr(detail, "links", ())}
        else:
            body = error.response.json()["error"]
            assert (body["status"], body["message"]) == (self.code, self.message)
            details = body.get("details", ())
            found = {detail["@type"].rpartition("/")[2] for detail in details}
            links = {link["url"] for detail in details for link in detail.get("links", ())}
        assert set(self.details) <= found
        assert {self.link} - {""} <= links


@dataclass(frozen=True)
class Dispatch:
    """One HTTP task, answered by a script: the headers of its requests."""

    name: str = "dispatch"
    answers: tuple[int, ...] = (503, 404, 429, 500, 302, 200)
    headers: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "TaskRetryCount": [0, 1, 2, 3, 4, 5],
            "TaskExecutionCount": [0, 0, 1, 2, 2, 3],
            "TaskPreviousResponse": [None, 503, 404, 429, 500, 302],
            "TaskRetryReason": [None, "", "", "", "", ""],
        }
    )

    def prove(self, place: Place, wire: str) -> None:
        """The headers are those recorded, request by request."""
        client = place.client(wire)
        with listening() as target, _queue(client, min_backoff={"seconds": 1}, max_backoff={"seconds": 1}) as queue:
            target.script = list(self.answers)
            request = {"url": target.url, "headers": {"x-MiXed": "Kept"}, "body": b"body"}
            client.create_task(parent=queue, task={"name": f"{queue}/tasks/t", "http_request": request})
            for _ in self.answers:
                idle(place)
                advance(place, 1)
            seen = target.wait(len(self.answers))
            assert len(seen) == len(self.answers)
            for name, values in self.headers.items():
                expected = [None if value is None else str(value) for value in values]
                assert [headers.get(f"X-CloudTasks-{name}") for _, headers, _ in seen] == expected, name
            for _, headers, body in seen:
                assert headers["User-Agent"] == "Google-Cloud-Tasks"
                assert headers["X-CloudTasks-QueueName"] == queue.rpartition("/")[2]
                assert headers["X-CloudTasks-TaskName"] == "t"
                whole, dot, fraction = headers["X-CloudTasks-TaskETA"].partition(".")
                assert (whole + fraction).isdigit()
                assert dot
                assert (headers["x-MiXed"], body) == ("Kept", b"body")
                assert "Content-Type" not in headers


@dataclass(frozen=True)
class Backoff:
    """A task that keeps failing at once: the seconds between its attempts."""

    name: str = "backoff"
    min_backoff: int = 10
    max_backoff: int = 300
    max_doublings: int = 3
    waits: tuple[int, ...] = (10, 20, 40, 80, 160, 240, 300, 300)

    def prove(self, place: Place, wire: str) -> None:
        """After each failure the task is scheduled so much later."""
        client = place.client(wire)
        retry = {
            "min_backoff": {"seconds": self.min_backoff},
            "max_backoff": {"seconds": self.max_backoff},
            "max_doublings": self.max_doublings,
        }
        with listening() as target, _queue(client, **retry) as queue:
            target.status = 500
            made = client.create_task(parent=queue, task={"http_request": {"url": target.url}})
            for attempt, wait in enumerate(self.waits, start=1):
                target.wait(attempt)
                idle(place)
                task = client.get_task(name=made.name)
                assert task.dispatch_count == attempt
                after = (task.schedule_time - task.last_attempt.response_time).total_seconds()
                assert after == pytest.approx(wait, abs=0.001)
                advance(place, wait)


@contextmanager
def _queue(client: Client, **retry: Any) -> Iterator[str]:
    name = f"{PARENT}/queues/q-{uuid.uuid4().hex}"
    client.create_queue(parent=PARENT, queue={"name": name, "retry_config": retry})
    yield name
    client.delete_queue(name=name)


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


CASES: list[Case] = [
    Refusal("create an existing queue", "ALREADY_EXISTS", "Queue already exists", (twice(queue()),)),
    Refusal("create a queue whose name was deleted recently", "FAILED_PRECONDITION", USED, (after_delete(queue()),)),
    Refusal(
        "create a queue named 'not-a-valid-queue-name'",
        "INVALID_ARGUMENT",
        NOT_FORMATTED,
        (lambda client, _: client.create_queue(parent=PARENT, queue={"name": "not-a-valid-queue-name"}),),
        (HELP,),
        f"{REFERENCE}.queues#Queue.FIELDS.name",
    ),
    Refusal(
        "create a queue under the parent 'not-a-valid-parent'",
        "PERMISSION_DENIED",
        "Permission denied on resource project not-a-valid-parent.",
        (lambda client, name: client.create_queue(parent="not-a-valid-parent", queue={"name": name}),),
        ("google.rpc.ErrorInfo", "google.rpc.LocalizedMessage", HELP),
        "https://console.developers.google.com",
        unroutable="/v2/not-a-valid-parent/queues",
    ),
    Refusal(
        "min_backoff above max_backoff",
        "INVALID_ARGUMENT",
        "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        (queue(retry_config={"min_backoff": {"seconds": 9}, "max_backoff": {"seconds": 8}}),),
    ),
    Refusal(
        "min_backoff below zero",
        "INVALID_ARGUMENT",
        "RetryConfig.minBackoff cannot be negative.",
        (queue(retry_config={"min_backoff": {"seconds": -1}}),),
    ),
    Refusal(
        "max_attempts below -1",
        "INVALID_ARGUMENT",
        "RetryConfig.maxAttempts must be greater or equal to -1.",
        (queue(retry_config={"max_attempts": -2}),),
    ),
    Refusal(
        "max_concurrent_dispatches below zero",
        "INVALID_ARGUMENT",
        "RateLimits.maxConcurrentDispatches cannot be negative.",
        (queue(rate_limits={"max_concurrent_dispatches": -1}),),
    ),
    Refusal(
        "max_dispatches_per_second above 500",
        "INVALID_ARGUMENT",
        "RateLimits.maxDispatchesPerSecond must be less than or equal to 500.",
        (
            queue(rate_limits={"max_dispatches_per_second": 501}),
            queue(rate_limits={"max_dispatches_per_second": 500.1}),
        ),
    ),
    Refusal("get a queue that never was", "NOT_FOUND", NO_QUEUE, (lambda client, name: client.get_queue(name=name),)),
    Refusal(
        "pause, resume or purge a queue that never was",
        "NOT_FOUND",
        NO_QUEUE,
        (
            lambda client, name: client.pause_queue(name=name),
            lambda client, name: client.resume_queue(name=name),
            lambda client, name: client.purge_queue(name=name),
        ),
    ),
    Refusal(
        "create a task in a queue that is not there (never was or deleted)",
        "NOT_FOUND",
        NO_QUEUE,
        (plain_task, after_delete(plain_task)),
    ),
    Refusal(
        "create a task under a name in use or used recently",
        "ALREADY_EXISTS",
        "Requested entity already exists",
        (named_twice, named_after_delete),
    ),
    Refusal(
        "task id 'not a valid id'",
        "INVALID_ARGUMENT",
        BAD_ID,
        (bad_task_id,),
        (HELP,),
        f"{REFERENCE}.queues.tasks#Task.FIELDS.name",
    ),
    Refusal("empty http_request.url", "INVALID_ARGUMENT", "HttpRequest.url is required.", (task(http_request={}),)),
    Refusal(
        "url 'example.com/path'",
        "INVALID_ARGUMENT",
        "HttpTarget.url must start with 'http://' or 'https://'.",
        (task(http_request={"url": "example.com/path"}),),
    ),
    Refusal(
        "dispatch_deadline outside its range",
        "INVALID_ARGUMENT",
        "Task.dispatchDeadline must be between [15s, 30m].",
        (deadline(14.9), deadline(1801), deadline(0)),
    ),
    Refusal(
        "get or delete a task that never was",
        "NOT_FOUND",
        "Requested entity was not found.",
        (missing_task("get_task"), missing_task("delete_task"), missing_task("run_task")),
    ),
    Dispatch(),
    Backoff(),
]
