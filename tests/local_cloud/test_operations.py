"""google.longrunning over both wires: waiting that waits, lists in pages and by state, deletion, cancellation."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.errors import ApiError
from local_cloud.operations import KIND
from local_cloud.registry import discover
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

PARENT = "projects/sluice-local/locations/us-central1"


async def asleep(cloud: Cloud, waiting: "asyncio.Task[Any]") -> None:
    """Until the call has come to where it waits."""
    while not cloud.operations._waiting:
        assert not waiting.done()
        await asyncio.sleep(0)


@pins(
    "front_end",
    "Operations, clock, state",
    "WaitOperation waits until the operation is done, or for its timeout by the cloud's clock; a move of the clock "
    "does not wait for it",
    documented="operations.proto",
)
async def test_waiting_ends_when_the_operation_does(cloud: Cloud, rest: Rest) -> None:
    operation = cloud.operations.begin(PARENT)
    path = f"/v2/{operation.name}:wait"
    for finish in (True, False):
        body = {"timeout": "60s"}
        waiting = asyncio.create_task(rest.ok("POST", path, body))
        await asleep(cloud, waiting)
        if finish:
            assert cloud.clock.in_flight() == {}
            await cloud.clock.advance(61)
            assert await waiting == {"name": operation.name}
        else:
            cloud.operations.finish(operation.name, error=ApiError("ABORTED", "no"))
            assert (await waiting)["error"]["message"] == "no"
    assert (await rest.ok("POST", path, {"timeout": "60s"}))["done"] is True
    assert (await rest("POST", f"/v2/{PARENT}/operations/none:wait", {}))[0] == 404


async def test_waiting_without_time_answers_at_once(cloud: Cloud, rest: Rest) -> None:
    operation = cloud.operations.begin(PARENT)
    assert await rest.ok("POST", f"/v2/{operation.name}:wait", {"timeout": "0s"}) == {"name": operation.name}


@pins(
    "front_end",
    "Operations, clock, state",
    "A deleted operation is gone and its work goes on; cancelling is best effort and stops nothing here",
    documented="operations.proto",
)
async def test_a_deleted_operation_is_gone_and_its_work_goes_on(cloud: Cloud, rest: Rest) -> None:
    operation = cloud.operations.begin(PARENT)
    assert await rest.ok("POST", f"/v2/{operation.name}:cancel", {}) == {}
    assert await rest.ok("GET", f"/v2/{operation.name}") == {"name": operation.name}
    waiting = asyncio.create_task(rest("POST", f"/v2/{operation.name}:wait", {}))
    await asleep(cloud, waiting)
    assert await rest.ok("DELETE", f"/v2/{operation.name}") == {}
    assert (await waiting)[0] == 404
    cloud.operations.finish(operation.name)
    for verb, path in (("GET", ""), ("DELETE", ""), ("POST", ":cancel")):
        assert (await rest(verb, f"/v2/{operation.name}{path}", {} if path else None))[0] == 404


@pins("front_end", "Operations, clock, state", "Lists of operations: pages, done=true and done=false", ours=True)
async def test_lists_come_in_pages_and_by_state(cloud: Cloud, rest: Rest) -> None:
    names = [cloud.operations.begin(PARENT).name for _ in range(5)]
    for name in names[::2]:
        cloud.operations.finish(name)
    path, seen, token = f"/v2/{PARENT}/operations", [], ""
    while True:
        answer = await rest.ok("GET", f"{path}?pageSize=2&pageToken={token}")
        seen += [operation["name"] for operation in answer["operations"]]
        if not (token := answer.get("nextPageToken", "")):
            break
    assert seen == names
    for said, wanted in (("true", names[::2]), ("false", names[1::2])):
        answer = await rest.ok("GET", f"{path}?filter=done%3D{said}")
        assert [operation["name"] for operation in answer["operations"]] == wanted
    assert (await rest("GET", f"{path}?filter=name%3Dx"))[0] == 400
    assert (await rest("GET", f"{path}?pageToken=nonsense"))[0] == 400


@pins("front_end", "Operations, clock, state", "Operations are kept 5 days after they end", ours="google.longrunning")
async def test_operations_are_kept_for_five_days_after_their_end(cloud: Cloud, rest: Rest) -> None:
    ended, going = cloud.operations.done(PARENT), cloud.operations.begin(PARENT)
    await cloud.clock.advance(6 * 86400)
    cloud.operations.begin(PARENT)
    assert (await rest("GET", f"/v2/{ended.name}"))[0] == 404
    assert (await rest("GET", f"/v2/{going.name}"))[0] == 200


@pytest.mark.parametrize("timeout", ["-5s", "x"])
async def test_a_strange_timeout_does_no_harm(cloud: Cloud, rest: Rest, timeout: str) -> None:
    operation = cloud.operations.begin(PARENT)
    status, _ = await rest("POST", f"/v2/{operation.name}:wait", {"timeout": timeout})
    assert status in (200, 400)


#: The metadata of each service's operations, whether it has a parent, and who may see such an operation.
OWNED = [
    ("google.cloud.run.v2.Service", PARENT, "roles/run.viewer"),
    ("google.cloud.run.v2.Execution", PARENT, "roles/run.developer"),
    ("google.cloud.tasks.v2.BatchCreateTasksMetadata", PARENT, "roles/cloudtasks.enqueuer"),
    ("google.cloud.tasks.v2.BatchDeleteTasksMetadata", PARENT, "roles/cloudtasks.taskDeleter"),
    ("google.devtools.artifactregistry.v1.OperationMetadata", PARENT, "roles/artifactregistry.reader"),
    ("google.logging.v2.BucketMetadata", PARENT, "roles/logging.viewer"),
    ("google.cloud.kms.v1.DeleteCryptoKeyMetadata", PARENT, "roles/cloudkms.viewer"),
    ("google.api.serviceusage.v1.OperationMetadata", "", "roles/serviceusage.serviceUsageViewer"),
]


def bind(cloud: Cloud, role: str) -> None:
    policy = message("google.iam.v1.Policy")()
    if role:
        policy.bindings.add(role=role, members=[f"serviceAccount:nobody@{cloud.iam.accounts.domain}"])
    cloud.iam.set_policy("projects/sluice-local", policy)


@pins(
    "front_end",
    "Operations, clock, state",
    "Operations are the services' that began them: each asks its own permission to see, list and delete them",
    documented="run.operations.*, serviceusage.operations.*",
)
@pins(
    "front_end",
    "Operations, clock, state",
    "Batches of tasks and Artifact Registry, which publish no permission for operations, ask for what is done by them",
    ours=True,
)
@pytest.mark.parametrize(("kind", "parent", "role"), OWNED)
async def test_an_operation_is_shown_to_those_whom_its_service_lets_see_it(
    cloud: Cloud, as_account: Callable[[str], Rest], kind: str, parent: str, role: str
) -> None:
    operation = cloud.operations.done(parent, message(kind)(), message(kind)())
    account, version = as_account("nobody"), "v2" if parent else "v1"
    path, listed = f"/{version}/{operation.name}", f"/{version}/{parent}/operations".replace("//", "/")
    for granted in ("", "roles/iam.roleViewer"):
        bind(cloud, granted)
        calls = [("GET", path), ("DELETE", path), ("POST", f"{path}:wait"), ("POST", f"{path}:cancel"), ("GET", listed)]
        for verb, where in calls:
            status, answer = await account(verb, where, {} if verb == "POST" else None)
            assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED"), where
    bind(cloud, role)
    assert (await account.ok("GET", path))["name"] == operation.name
    assert (await account.ok("POST", f"{path}:wait", {}))["done"] is True
    assert [one["name"] for one in (await account.ok("GET", listed))["operations"]] == [operation.name]
    if role.endswith(("viewer", "Viewer", "reader")):
        assert (await account("DELETE", path))[0] == 403
    bind(cloud, "roles/owner")
    assert await account.ok("DELETE", path) == {}


async def test_a_list_has_the_operations_of_the_services_that_may_be_listed(
    cloud: Cloud, rest: Rest, as_account: Callable[[str], Rest]
) -> None:
    kinds = [kind for kind, parent, _ in OWNED if parent]
    names = {kind: cloud.operations.done(PARENT, None, message(kind)()).name for kind in kinds}
    nobodys = cloud.operations.done(PARENT).name
    account, path = as_account("nobody"), f"/v2/{PARENT}/operations"
    bind(cloud, "roles/run.viewer")
    seen = [one["name"] for one in (await account.ok("GET", path))["operations"]]
    assert seen == [names["google.cloud.run.v2.Service"], names["google.cloud.run.v2.Execution"]]
    assert (await account("GET", f"/v2/{nobodys}"))[0] == 404
    assert len((await rest.ok("GET", path))["operations"]) == len(names) + 1
    bind(cloud, "")
    cloud.iam.set_mode("audit")
    assert len((await account.ok("GET", path))["operations"]) == len(names)


def test_every_service_that_has_operations_says_what_it_asks_for_them() -> None:
    """A new one needs a line in apis/operations.py, or its operations are the owner's alone."""
    returning = {
        binding.method.full_name.rpartition(".")[0].rpartition(".")[0]
        for api in discover()
        for binding in api.rpcs.values()
        if binding.method and binding.handler and binding.method.response.DESCRIPTOR.full_name == KIND
    } - {"google.longrunning"}
    assert returning == {kind.rpartition(".")[0] for kind, _, _ in OWNED}
