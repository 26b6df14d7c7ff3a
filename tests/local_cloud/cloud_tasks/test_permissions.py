"""Who may do what at a queue: its policies, and what enqueueing needs."""

import uuid
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.iam.v1 import options_pb2  # type: ignore[import-untyped]

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, account, bearer, call

#: Over REST the client knows wider classes of some errors.
ABORTED = (exceptions.Aborted, exceptions.Conflict)


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
    door = f"http://127.0.0.1:{place.ports['service_rest']}"
    headers = bearer(place, sender)
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
