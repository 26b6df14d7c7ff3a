"""Everyday calls of the official google-cloud-tasks client, over gRPC and REST, with real dispatch."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests
from google.api_core import exceptions
from google.protobuf import duration_pb2, timestamp_pb2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import LOCATION, PARENT, PROJECT, Place, inside
from tests.local_cloud.cloud_tasks.tasks_target import Target, account, advance, call, idle

pins(
    "cloud_tasks",
    "Tasks",
    "CreateTask, GetTask, ListTasks, DeleteTask, RunTask, BatchCreateTasks, BatchDeleteTasks",
    documented="Service CloudTasks",
)

FULL = 2


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture(params=["grpc", "rest"])
def client(place: Place, request: pytest.FixtureRequest) -> Any:
    return place.client(request.param)


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.server.shutdown()


@pytest.fixture
def name() -> str:
    return f"{PARENT}/queues/q-{uuid.uuid4().hex[:12]}"


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


def test_tasks_are_listed_in_pages_each_once(client: Any, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    made = {client.create_task(parent=name, task={"http_request": {"url": "http://h/"}}).name for _ in range(7)}
    page = client.list_tasks(request={"parent": name, "page_size": 3})
    assert len(page.tasks) == 3
    listed = [task.name for task in client.list_tasks(request={"parent": name, "page_size": 3})]
    assert len(listed) == 7
    assert set(listed) == made
    client.purge_queue(name=name)
    assert list(client.list_tasks(parent=name)) == []
    assert client.get_queue(name=name).purge_time is not None


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
    "Tasks",
    "Batches are carried out at once; their operation is done when it is answered",
    ours="BatchCreateTasks",
)
def test_batches_say_which_items_failed(client: Any, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    good = {"parent": name, "task": {"name": f"{name}/tasks/a", "http_request": {"url": "http://h/"}}}
    bad = {"parent": name, "task": {"http_request": {}}}
    operation = client.batch_create_tasks(request={"parent": name, "requests": [good, bad]})
    assert [task.name for task in operation.result().tasks] == [f"{name}/tasks/a"]
    assert operation.metadata.state.name == "PARTIALLY_SUCCEEDED"
    assert operation.metadata.failed_requests[1].message == "HttpRequest.url is required."
    names = [f"{name}/tasks/a", f"{name}/tasks/never"]
    gone = client.batch_delete_tasks(request={"parent": name, "names": names})
    gone.result()
    assert gone.metadata.failed_requests[1].code == 5
    assert list(client.list_tasks(parent=name)) == []


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


def test_tokens_are_made_for_the_account_and_audience(place: Place, client: Any, name: str, target: Target) -> None:
    email = account(place, f"inv-{uuid.uuid4().hex[:8]}")
    client.create_queue(parent=PARENT, queue={"name": name})
    for token in ({"service_account_email": email}, {"service_account_email": email, "audience": "https://aud"}):
        client.create_task(parent=name, task={"http_request": {"url": f"{target.url}/x", "oidc_token": token}})
    seen = target.wait(2)
    keys = jwt.PyJWKClient(f"{place.rest}/oauth2/v3/certs")
    audiences = set()
    for _, headers, _ in seen:
        kind, _, raw = headers["Authorization"].partition(" ")
        assert kind == "Bearer"
        signing = keys.get_signing_key_from_jwt(raw)
        claims = jwt.decode(raw, signing.key, ["RS256"], options={"verify_aud": False, "verify_iat": False})
        assert claims["email"] == email
        audiences.add(claims["aud"])
    assert audiences == {f"{target.url}/x", "https://aud"}


@pins(
    "cloud_tasks",
    "Tasks",
    "Creating needs cloudtasks.tasks.create on the queue and iam.serviceAccounts.actAs on the "
    "token's account; the FULL view needs cloudtasks.tasks.fullView",
    documented="Task.View, OidcToken",
)
def test_enqueueing_needs_create_on_the_queue_and_act_as_on_the_account(
    place: Place, name: str, target: Target
) -> None:
    owner = place.client("rest")
    owner.create_queue(parent=PARENT, queue={"name": name})
    owner.pause_queue(name=name)
    tag = uuid.uuid4().hex[:8]
    sender, invoker = account(place, f"snd-{tag}"), account(place, f"inv-{tag}")
    role = f"taskCreator{tag}"
    body = {"roleId": role, "role": {"title": "t", "includedPermissions": ["cloudtasks.tasks.create"]}}
    call(place, "POST", f"/v1/projects/{PROJECT}/roles", body)
    grant = call(
        place,
        "POST",
        f"/v1/projects/-/serviceAccounts/{sender}:generateAccessToken",
        {"scope": ["https://www.googleapis.com/auth/cloud-platform"]},
    )
    door = f"http://127.0.0.1:{place.ports['service_rest']}"
    headers = {"Authorization": f"Bearer {grant['accessToken']}"}
    task: dict[str, Any] = {"task": {"httpRequest": {"url": target.url, "oidcToken": {"serviceAccountEmail": invoker}}}}

    def create(**more: Any) -> Any:
        return requests.post(f"{door}/v2/{name}/tasks", json={**task, **more}, headers=headers, timeout=30)

    assert requests.post(f"{door}/v2/{name}/tasks", json=task, timeout=30).status_code == 401
    refused = create()
    assert refused.status_code == 403
    assert '"cloudtasks.tasks.create"' in refused.json()["error"]["message"]
    member = f"serviceAccount:{sender}"
    policy = {"policy": {"bindings": [{"role": f"projects/{PROJECT}/roles/{role}", "members": [member]}]}}
    call(place, "POST", f"/v2/{name}:setIamPolicy", policy)
    refused = create()
    assert refused.status_code == 403
    assert "iam.serviceAccounts.actAs" in refused.text
    act_as = {"policy": {"bindings": [{"role": "roles/iam.serviceAccountUser", "members": [member]}]}}
    call(place, "POST", f"/v1/projects/{PROJECT}/serviceAccounts/{invoker}:setIamPolicy", act_as)
    created = create()
    assert created.status_code == 200
    assert create(responseView="FULL").status_code == 403
    for verb, path in (("GET", created.json()["name"]), ("POST", f"{created.json()['name']}:run"), ("GET", name)):
        answer = requests.request(verb, f"{door}/v2/{path}", headers=headers, timeout=30)
        assert answer.status_code == 403, path


def test_policies_of_queues_have_etags(client: Any, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    policy = client.get_iam_policy(resource=name)
    assert list(policy.bindings) == []
    policy.bindings.add(role="roles/cloudtasks.enqueuer", members=["allUsers"])
    kept = client.set_iam_policy(request={"resource": name, "policy": policy})
    assert client.get_iam_policy(resource=name) == kept
    tested = client.test_iam_permissions(resource=name, permissions=["cloudtasks.queues.get"])
    assert list(tested.permissions) == ["cloudtasks.queues.get"]
    with pytest.raises(exceptions.NotFound, match="Queue does not exist"):
        client.get_iam_policy(resource=f"{name}-never")


def test_the_projects_number_names_the_same_queue(client: Any, name: str) -> None:
    numbered = name.replace(PROJECT, "123456789012")
    parent = f"projects/123456789012/locations/{LOCATION}"
    made = client.create_queue(parent=parent, queue={"name": numbered})
    assert made.name == name
    assert client.get_queue(name=numbered).name == name


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
