"""Where HTTP tasks go: the overrides of a queue's http_target, field by field, BufferTask, and masks over both."""

import json
from typing import Any

import pytest
import requests
from google.api_core import exceptions

from local_cloud.apis.cloud_tasks.state import State
from local_cloud.cloud import Cloud
from local_cloud.engines.attempt import Target as Sent
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, account

ACCOUNT = "invoker"


@pytest.fixture(scope="module")
def email(place: Place) -> str:
    return account(place, ACCOUNT)


@pytest.fixture
def client(place: Place) -> Any:
    return place.client("grpc")


def sent(place: Place, queue: str) -> Sent:
    """What would go out for the queue's one task."""

    async def ask(cloud: Cloud) -> Sent:
        state = cloud.use(State)
        held = state.dispatcher.queues[queue]
        return state.dispatcher._target_of(held, next(iter(held.tasks.values())))

    return place.do(ask)


ALWAYS = 2
IF_NOT_EXISTS = 1


@pins(
    "cloud_tasks",
    "Queues",
    "uri_override replaces scheme, host, port (0 clears it), path and query of each task's URL, also of one that waits",
    documented="UriOverride",
)
@pins(
    "cloud_tasks",
    "Queues",
    "IF_NOT_EXISTS sets the port, path and query that a task's URL does not have",
    documented="UriOverrideEnforceMode",
    ours="part by part",
)
@pytest.mark.parametrize(
    ("url", "override", "expected"),
    [
        ("https://www.google.com/", {"host": "example.net"}, "https://example.net/"),
        ("https://a.example:8443/p?q=1", {"host": "b.example"}, "https://b.example:8443/p?q=1"),
        ("https://a.example/p", {"scheme": 1}, "http://a.example/p"),
        ("http://a.example/p", {"scheme": 2}, "https://a.example/p"),
        ("http://a.example/p", {"scheme": 0}, "https://a.example/p"),
        ("https://www.example.com/example", {"port": 123}, "https://www.example.com:123/example"),
        ("https://a.example:99/p", {"port": 0}, "https://a.example/p"),
        ("https://a.example/p?q=1", {"path_override": {"path": "/new"}}, "https://a.example/new?q=1"),
        ("https://a.example/p?q=1", {"path_override": {"path": ""}}, "https://a.example/?q=1"),
        ("https://a.example/p?q=1", {"query_override": {"query_params": "x=2&y=3"}}, "https://a.example/p?x=2&y=3"),
        ("https://a.example/p?q=1", {"query_override": {"query_params": ""}}, "https://a.example/p"),
        ("https://a.example/p", {"path_override": {"path": "/a b"}}, "https://a.example/a%20b"),
        ("https://a.example/p", {"host": "[::1]", "port": 8}, "https://[::1]:8/p"),
        (
            "https://a.example/",
            {
                "host": "b.example",
                "port": 9,
                "scheme": 1,
                "path_override": {"path": "/new"},
                "query_override": {"query_params": "x=1"},
                "uri_override_enforce_mode": IF_NOT_EXISTS,
            },
            "https://a.example:9/new?x=1",
        ),
        (
            "https://a.example:7/old?o=1",
            {
                "port": 9,
                "path_override": {"path": "/new"},
                "query_override": {"query_params": "x=1"},
                "uri_override_enforce_mode": IF_NOT_EXISTS,
            },
            "https://a.example:7/old?o=1",
        ),
        (
            "https://a.example:7/old?o=1",
            {"port": 9, "path_override": {"path": "/new"}, "uri_override_enforce_mode": ALWAYS},
            "https://a.example:9/new?o=1",
        ),
    ],
)
def test_a_queues_parts_stand_in_the_url(
    *, place: Place, client: Any, name: str, url: str, override: dict[str, Any], expected: str
) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    client.create_task(parent=name, task={"http_request": {"url": url}})
    made = client.update_queue(
        queue={"name": name, "http_target": {"uri_override": override}},
        update_mask={"paths": ["http_target.uri_override"]},
    )
    assert made == client.get_queue(name=name)
    assert sent(place, name).url == expected
    client.delete_queue(name=name)


@pins(
    "cloud_tasks",
    "Queues",
    "http_target overrides method (GET and the like drop the body), headers and token of every task",
    documented="HttpTarget",
)
def test_a_queues_method_headers_and_token_stand_for_the_tasks_own(
    place: Place, client: Any, name: str, email: str
) -> None:
    token = {"service_account_email": email, "audience": "https://queue"}
    header = {"header": {"key": "x-KEPT", "value": "queue"}}
    client.create_queue(parent=PARENT, queue={"name": name, "http_target": {"oidc_token": token}})
    client.pause_queue(name=name)
    own = {"oauth_token": {"service_account_email": email}, "headers": {"X-Kept": "task", "X-Own": "1"}, "body": b"x"}
    client.create_task(parent=name, task={"http_request": {"url": "https://a.example/", **own}})
    found = sent(place, name)
    assert found.identity == (email, "https://queue", "")
    assert (found.method, found.body) == ("POST", b"x")
    client.update_queue(
        queue={"name": name, "http_target": {"http_method": "GET", "header_overrides": [header]}},
        update_mask={"paths": ["httpTarget.httpMethod", "httpTarget.headerOverrides"]},
    )
    found = sent(place, name)
    assert found.identity == (email, "https://queue", "")
    assert (found.method, found.body) == ("GET", b"")
    assert [pair for pair in found.headers if pair[0].lower() == "x-kept"] == [("x-KEPT", "queue")]
    assert ("X-Own", "1") in found.headers
    oauth = {"oauth_token": {"service_account_email": email, "scope": "https://s"}}
    client.update_queue(queue={"name": name, "http_target": oauth}, update_mask={"paths": ["http_target.oauth_token"]})
    assert sent(place, name).identity == (email, "", "https://s")


@pins(
    "cloud_tasks",
    "Queues",
    "A mask reaches into http_target, and what it empties part by part is gone: a token without an account, a target "
    "without overrides",
    ours="so that gcloud's --clear-http-... flags clear",
)
def test_a_mask_that_empties_a_token_takes_it_out(client: Any, name: str, email: str) -> None:
    target = {
        "oidc_token": {"service_account_email": email, "audience": "a"},
        "uri_override": {"host": "h.example"},
    }
    client.create_queue(parent=PARENT, queue={"name": name, "http_target": target})
    paths = ["http_target.oidc_token.service_account_email", "http_target.oidc_token.audience"]
    cleared = client.update_queue(queue={"name": name}, update_mask={"paths": paths})
    assert "oidc_token" not in cleared.http_target
    assert cleared.http_target.uri_override.host == "h.example"
    gone = client.update_queue(queue={"name": name}, update_mask={"paths": ["http_target.uri_override"]})
    assert "http_target" not in gone


@pins("cloud_tasks", "Queues", "An overriding host is not empty, a port not negative", documented="UriOverride")
@pytest.mark.parametrize(
    ("target", "match"),
    [
        ({"uri_override": {"host": ""}}, "must be a host name"),
        ({"uri_override": {"host": "https://h.example"}}, "must be a host name"),
        ({"uri_override": {"host": "h.example/p"}}, "must be a host name"),
        ({"uri_override": {"port": -1}}, "positive integer"),
        ({"uri_override": {"port": 70000}}, "positive integer"),
        ({"oidc_token": {"service_account_email": "a@b"}}, "account and the audience"),
        ({"oauth_token": {"scope": "s"}}, "account and the audience or scope"),
        ({"header_overrides": [{"header": {"key": "a b", "value": "x"}}]}, "not a header name"),
        ({"header_overrides": [{"header": {"key": "a", "value": "x\r\ny: z"}}]}, "one line"),
        ({"header_overrides": [{"header": {"key": "a", "value": "x" * 81920}}]}, "80KB"),
    ],
)
def test_what_cannot_be_overridden_is_refused(client: Any, name: str, target: dict[str, Any], match: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=match):
        client.create_queue(parent=PARENT, queue={"name": name, "http_target": target})
    with pytest.raises(exceptions.NotFound):
        client.get_queue(name=name)


@pins(
    "cloud_tasks",
    "Tasks",
    "BufferTask needs cloudtasks.tasks.create on the queue and a queue with an overriding host",
    documented="BufferTask",
    ours="the wording",
)
def test_buffering_needs_the_permission_and_a_place_to_go(
    place: Place, client: Any, name: str, target: Target, email: str
) -> None:
    host, _, port = target.url.removeprefix("http://").partition(":")
    client.create_queue(parent=PARENT, queue={"name": name})
    refused = requests.post(f"{place.rest}/v2/{name}/tasks:buffer", data=b"x", timeout=30)
    assert refused.status_code == 400
    assert "uriOverride.host" in refused.json()["error"]["message"]
    override = {"scheme": 1, "host": host, "port": int(port), "query_override": {"query_params": "q=1"}}
    client.update_queue(queue={"name": name, "http_target": {"uri_override": override}})
    door = f"http://127.0.0.1:{place.ports['service_rest']}/v2/{name}/tasks:buffer"
    assert requests.post(door, data=b"x", timeout=30).status_code == 401
    grant = requests.post(
        f"{place.rest}/v1/projects/-/serviceAccounts/{email}:generateAccessToken",
        json={"scope": ["https://www.googleapis.com/auth/cloud-platform"]},
        timeout=30,
    ).json()
    asked = {"Authorization": f"Bearer {grant['accessToken']}"}
    refused = requests.post(door, data=b"x", headers=asked, timeout=30)
    assert refused.status_code == 403
    assert '"cloudtasks.tasks.create"' in refused.json()["error"]["message"]
    binding = {"role": "roles/cloudtasks.enqueuer", "members": [f"serviceAccount:{email}"]}
    client.set_iam_policy(request={"resource": name, "policy": {"bindings": [binding]}})
    made = requests.post(door, json={"a": 1}, headers=asked, timeout=30).json()["task"]
    assert made["name"].startswith(f"{name}/tasks/")
    assert "body" not in made["httpRequest"]
    raw = requests.post(
        f"{place.rest}/v2/{name}/tasks/named:buffer",
        data=b"\x00raw",
        headers={"Content-Type": "application/octet-stream"},
        timeout=30,
    )
    assert raw.json()["task"]["name"] == f"{name}/tasks/named"
    seen = {body: (path, headers["Content-Type"]) for path, headers, body in target.wait(2)}
    assert seen[b"\x00raw"] == ("/?q=1", "application/octet-stream")
    plain = next(body for body in seen if body != b"\x00raw")
    assert json.loads(plain) == {"a": 1}
    assert seen[plain] == ("/?q=1", "application/json")
    again = requests.post(f"{place.rest}/v2/{name}/tasks/named:buffer", data=b"x", timeout=30)
    assert again.status_code == 409
    wrong = requests.post(f"{place.rest}/v2/{name}/tasks/not.an.id:buffer", data=b"x", timeout=30)
    assert wrong.status_code == 400
    assert 'Task ID "not.an.id"' in wrong.json()["error"]["message"]
