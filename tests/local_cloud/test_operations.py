"""google.longrunning over both wires: waiting that waits, lists in pages and by state, deletion, cancellation."""

import asyncio
from typing import Any

import pytest

from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
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
