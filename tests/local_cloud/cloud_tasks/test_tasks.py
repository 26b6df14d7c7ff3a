"""Tasks through the official client, over gRPC and REST: what is taken, refused and read back."""

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import tasks_v2
from google.protobuf import duration_pb2, timestamp_pb2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, Place
from tests.local_cloud.cloud_tasks.tasks_target import URL, Target, advance, idle, item

pins(
    "cloud_tasks",
    "Tasks",
    "CreateTask, GetTask, ListTasks, DeleteTask, RunTask, BatchCreateTasks, BatchDeleteTasks",
    documented="Service CloudTasks",
)


FULL = 2


@pins(
    "cloud_tasks",
    "Tasks",
    "Views show the header User-Agent, no body in BASIC; the audience defaults to the URL",
    observed="conformance record, OidcToken",
    documented="conformance record, OidcToken",
)
def test_views_hide_and_show_bodies(client: Any, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    request = {"url": "http://127.0.0.1:9/", "body": b"secret"}
    made = client.create_task(parent=name, task={"name": f"{name}/tasks/one", "http_request": request})
    assert client.get_task(name=made.name).http_request.body == b""
    full = client.get_task(request={"name": made.name, "response_view": FULL})
    assert (full.http_request.body, full.view.name) == (b"secret", "FULL")
    listed = list(client.list_tasks(request={"parent": name, "response_view": FULL}))
    assert [task.http_request.body for task in listed] == [b"secret"]


@pins(
    "cloud_tasks",
    "Tasks",
    "A used name is refused for 24 hours (the reference: about an hour; the platform: up to 24)",
    ours="CreateTaskRequest",
)
def test_a_name_is_free_again_a_day_after_its_task_ended(place: Place, client: Any, name: str, target: Target) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    task = {"name": f"{name}/tasks/once", "http_request": {"url": target.url}}
    client.create_task(parent=name, task=task)
    target.wait(1)
    idle(place)
    with pytest.raises(exceptions.Conflict):
        client.create_task(parent=name, task=task)
    advance(place, 86401)
    client.create_task(parent=name, task=task)
    target.wait(2)


@pins(
    "cloud_tasks",
    "Tasks",
    "Schedule time at most 720 h ahead, with the message; a past one becomes now",
    observed="public issue threads",
)
@pins(
    "cloud_tasks",
    "Tasks",
    '"Task size too large" above 1,048,569 bytes as stored',
    observed="quotas page, public issue threads",
)
@pins(
    "cloud_tasks",
    "Tasks",
    "URL at most 2083 characters after encoding, headers under 80 KB, body only with POST, PUT, PATCH",
    documented="HttpRequest",
)
@pins(
    "cloud_tasks",
    "Tasks",
    "A token needs an https URL; loopback hosts are exempt here",
    observed="public issue threads",
    ours=True,
)
@pins(
    "cloud_tasks",
    "Tasks",
    "Header values of more than one line and names that are none are refused",
    ours=True,
)
@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (
            {"http_request": {"url": "http://h/"}, "schedule_time": timestamp_pb2.Timestamp(seconds=9_000_000_000)},
            "too far in the future.*720h",
        ),
        ({"http_request": {"url": "http://h/", "http_method": 2, "body": b"x"}}, "POST, PUT, or PATCH"),
        ({"http_request": {"url": "http://h/" + "x" * 2080}}, "2083"),
        ({"http_request": {"url": "http://h/" + "é" * 400}}, "2083"),
        ({"http_request": {"url": "http://"}}, "no host"),
        ({"http_request": {"url": "http://h:99999/"}}, "not a valid URL"),
        ({"http_request": {"url": "http://h/", "body": b"x" * 1_048_570}}, "Task size too large"),
        ({"http_request": {"url": "http://h/", "headers": {"a": "x" * 81920}}}, "80KB"),
        ({"http_request": {"url": "http://h/", "headers": {"a": "x\r\nEvil: y"}}}, "one line"),
        ({"http_request": {"url": "http://h/", "headers": {"a b": "x"}}}, "not a header name"),
        ({"http_request": {"url": "http://far.example/", "oidc_token": {"service_account_email": "a@b"}}}, "https://"),
        ({"http_request": {"url": "http://127.0.0.1/", "oidc_token": {}}}, "must name a service account"),
        ({}, "payload_type is not set"),
        ({"retry_config": {"max_attempts": -2}, "http_request": {"url": "http://h/"}}, "maxAttempts"),
    ],
)
def test_what_google_refuses_is_refused(client: Any, name: str, fields: dict[str, Any], match: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    with pytest.raises((exceptions.BadRequest, exceptions.FailedPrecondition), match=match):
        client.create_task(parent=name, task=fields)
    assert list(client.list_tasks(parent=name)) == []


def test_limits_themselves_are_allowed(client: Any, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name, "rate_limits": {"max_concurrent_dispatches": 5000}})
    client.pause_queue(name=name)
    for seconds in (15, 1800):
        deadline = duration_pb2.Duration(seconds=seconds)
        client.create_task(parent=name, task={"http_request": {"url": "http://h/"}, "dispatch_deadline": deadline})
    client.create_task(parent=name, task={"http_request": {"url": "http://h/", "body": b"x" * 1_000_000}})


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
