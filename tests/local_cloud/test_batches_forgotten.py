"""What batches leave behind: request ids live as long as their operations, and operations take bounded space."""

import pytest

from local_cloud import operations
from local_cloud.cloud import Cloud
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT
from tests.local_cloud.conftest import Rest

QUEUE = f"{PARENT}/queues/batches"


async def paused_queue(rest: Rest) -> None:
    await rest.ok("POST", f"/v2/{PARENT}/queues", {"name": QUEUE})
    await rest.ok("POST", f"/v2/{QUEUE}:pause", {})


async def batch(rest: Rest, request_id: str, body: str = "") -> str:
    task = {"httpRequest": {"url": "http://h/", "body": body}}
    asked = {"requests": [{"parent": QUEUE, "task": task, "responseView": "FULL"}], "requestId": request_id}
    return str((await rest.ok("POST", f"/v2/{QUEUE}/tasks:batchCreate", asked))["name"])


async def test_request_ids_are_forgotten_with_their_operations(
    cloud: Cloud, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MOST_FINISHED", 5)
    await paused_queue(rest)
    kept = []
    for n in range(30):
        await batch(rest, f"r-{n}")
        await rest.ok("POST", f"/v2/{QUEUE}:purge", {})
        kept.append(sum(len(collection) for collection in cloud.store._collections.values()))
    assert kept[-1] == kept[10]


async def test_a_request_id_is_good_for_as_long_as_its_operation(cloud: Cloud, rest: Rest) -> None:
    await paused_queue(rest)
    name = await batch(rest, "once")
    assert await batch(rest, "once") == name
    await cloud.clock.advance(operations.OPERATION_SECONDS - 3600)
    assert await batch(rest, "once") == name
    assert len((await rest.ok("GET", f"/v2/{QUEUE}/tasks"))["tasks"]) == 1
    await cloud.clock.advance(7200)
    assert (await rest("GET", f"/v2/{name}"))[0] == 404
    await batch(rest, "once")
    assert len((await rest.ok("GET", f"/v2/{QUEUE}/tasks"))["tasks"]) == 2


@pins(
    "front_end",
    "Operations, clock, state",
    "Finished operations are kept up to 1000 of them and 64 MiB, the oldest go first",
    ours="Google says no number",
)
async def test_finished_operations_take_bounded_space(
    cloud: Cloud, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MOST_BYTES", 40_000)
    await paused_queue(rest)
    going = cloud.operations.begin(PARENT).name
    names = [await batch(rest, "", "x" * 16_000) for _ in range(6)]
    there = [name for name in names if (await rest("GET", f"/v2/{name}"))[0] == 200]
    assert there == names[-3:]
    large = await batch(rest, "", "x" * 60_000)
    assert (await rest("GET", f"/v2/{names[-1]}"))[0] == 404
    assert (await rest("GET", f"/v2/{large}"))[0] == 200
    assert (await rest("GET", f"/v2/{going}"))[0] == 200
