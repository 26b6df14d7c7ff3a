"""The official client with real dispatch, over gRPC and REST: everyday calls from the queue to the answer."""

import json
from typing import Any

import pytest
from google.api_core import exceptions, retry

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, advance, call, idle, item


def test_a_task_goes_out_as_it_was_set(place: Place, client: Any, name: str, target: Target) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    body = {"url": f"{target.url}/work?x=1", "body": b"\x00payload", "headers": {"X-CuStom": "1", "Host": "evil"}}
    made = client.create_task(parent=name, task={"http_request": body})
    assert made.name.startswith(f"{name}/tasks/")
    assert made.view.name == "BASIC"
    assert made.http_request.body == b""
    assert made.http_request.http_method.name == "POST"
    assert made.http_request.headers["User-Agent"] == "Google-Cloud-Tasks"
    assert made.dispatch_deadline.total_seconds() == 600
    path, headers, sent = target.wait(1)[0]
    assert (path, sent) == ("/work?x=1", b"\x00payload")
    assert headers["X-CuStom"] == "1"
    assert headers["User-Agent"] == "Google-Cloud-Tasks"
    assert headers["Host"] == target.url.removeprefix("http://")
    assert "Content-Type" not in headers
    idle(place)
    with pytest.raises(exceptions.NotFound):
        client.get_task(name=made.name)


@pins(
    "cloud_tasks",
    "Dispatch",
    "An attempt's status reads `UNAVAILABLE(14): HTTP status code 503`",
    observed="public issue threads",
)
def test_run_sends_a_task_of_a_paused_queue_and_reports_the_attempt(
    place: Place, client: Any, name: str, target: Target
) -> None:
    target.status = 503
    retry = {"min_backoff": {"seconds": 100}, "max_backoff": {"seconds": 100}}
    client.create_queue(parent=PARENT, queue={"name": name, "retry_config": retry})
    client.pause_queue(name=name)
    made = client.create_task(parent=name, task={"http_request": {"url": target.url}})
    ran = client.run_task(name=made.name)
    assert ran.dispatch_count == 1
    assert "response_time" not in ran.last_attempt
    target.wait(1)
    idle(place)
    after = client.get_task(name=made.name)
    assert (after.dispatch_count, after.response_count) == (1, 1)
    assert after.last_attempt.response_status.code == 14
    assert after.last_attempt.response_status.message == "UNAVAILABLE(14): HTTP status code 503"
    assert after.first_attempt.dispatch_time == after.last_attempt.dispatch_time
    assert 99 < (after.schedule_time - after.last_attempt.dispatch_time).total_seconds() < 101


@pins(
    "cloud_tasks",
    "Tasks",
    "A task's own retry_config overrides the queue's",
    documented="Task.retry_config",
)
@pins(
    "cloud_tasks",
    "Dispatch",
    "A dropped task is a WARNING of the cloud with its reason (Google tells nobody); 403, 404 and no "
    "answer give a hint, once a minute for each queue",
    ours=True,
)
def test_tasks_have_their_own_retry_law(place: Place, client: Any, name: str, target: Target) -> None:
    target.status = 500
    client.create_queue(parent=PARENT, queue={"name": name})
    retry = {"max_attempts": 2, "min_backoff": {"seconds": 50}, "max_backoff": {"seconds": 50}}
    client.create_task(parent=name, task={"http_request": {"url": target.url}, "retry_config": retry})
    target.wait(1)
    advance(place, 200)
    assert len(target.seen) == 2
    assert list(client.list_tasks(parent=name)) == []
    events = call(place, "GET", "/_sluice/log")["events"]
    assert any(event["severity"] == "WARNING" and "2 attempts were made" in event["message"] for event in events)


@pins(
    "cloud_tasks",
    "Queues",
    "BufferTask takes a body, sent where the queue's http_target says; JSON where nobody says what it is",
    documented="HttpTarget",
    ours=True,
)
def test_a_queues_http_target_takes_buffered_bodies(place: Place, client: Any, name: str, target: Target) -> None:
    host, _, port = target.url.removeprefix("http://").partition(":")
    override = {"scheme": 1, "host": host, "port": int(port), "path_override": {"path": "/in"}}
    headers = [{"header": {"key": "X-Over", "value": "1"}}]
    http_target = {"uri_override": override, "header_overrides": headers}
    client.create_queue(parent=PARENT, queue={"name": name, "http_target": http_target})
    call(place, "POST", f"/v2/{name}/tasks/from-buffer:buffer", {"any": "json"})
    path, sent, body = target.wait(1)[0]
    assert path == "/in"
    assert sent["X-Over"] == "1"
    assert sent["X-CloudTasks-TaskName"] == "from-buffer"
    assert json.loads(body) == {"any": "json"}


def test_status_shows_state_and_depth(place: Place, client: Any, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    client.create_task(parent=name, task={"http_request": {"url": "http://h/"}})
    queues = call(place, "GET", "/_sluice/status")["queues"]
    counts = {"attempts": 0, "succeeded": 0, "dropped": 0}
    assert queues[name.rpartition("/")[2]] == {"state": "PAUSED", "depth": 1, "running": 0, **counts}


@pins(
    "cloud_tasks",
    "Dispatch",
    "Operation logs (TaskActivityLog) by sampling_ratio, with method and URL as the target's address",
    documented="Cloud Tasks logging",
    observed="entries in public issue threads",
)
def test_operations_are_logged_when_a_queue_asks_for_it(place: Place, client: Any, name: str, target: Target) -> None:
    logging = {"sampling_ratio": 1.0}
    client.create_queue(parent=PARENT, queue={"name": name, "stackdriver_logging_config": logging})
    client.create_task(parent=name, task={"http_request": {"url": target.url}})
    target.wait(1)
    idle(place)
    queue_id = name.rpartition("/")[2]
    body = {"resourceNames": [f"projects/{PROJECT}"], "filter": f'resource.labels.queue_id="{queue_id}"'}
    entries = call(place, "POST", "/v2/entries:list", body)["entries"]
    assert {entry["resource"]["type"] for entry in entries} == {"cloud_tasks_queue"}
    logs = {key: entry["jsonPayload"][key] for entry in entries for key in entry["jsonPayload"] if key.endswith("Log")}
    assert logs["taskCreationLog"]["status"] == "OK"
    assert logs["attemptResponseLog"]["status"] == "OK"
    assert logs["attemptResponseLog"]["dispatchCount"] == "1"
    assert {log["targetAddress"] for log in logs.values()} == {f"POST {target.url}"}
    kinds = {entry["jsonPayload"]["@type"].rpartition("/")[2] for entry in entries}
    assert kinds == {"google.cloud.tasks.logging.v1.TaskActivityLog"}


async def test_the_asynchronous_client_does_it_all(place: Place, aio: Any, name: str, target: Target) -> None:
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
