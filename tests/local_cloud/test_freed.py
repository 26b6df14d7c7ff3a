"""What goes with a queue or a secret when it is deleted, and what a change takes back."""

from typing import Any

from local_cloud.clock import MANY
from local_cloud.cloud import Cloud
from local_cloud.engines.duplicates import Duplicates
from local_cloud.engines.tasks import Task
from tests.local_cloud.cloud_places import PARENT
from tests.local_cloud.conftest import Rest

QUEUE = f"{PARENT}/queues/again"


async def attempts(rest: Rest) -> dict[str, Any]:
    answer: dict[str, Any] = (await rest.ok("GET", "/_sluice/status"))["queues"]["again"]
    return {name: answer[name] for name in ("attempts", "succeeded", "dropped")}


async def test_a_queue_that_is_made_again_counts_anew(cloud: Cloud, rest: Rest) -> None:
    queue = {"name": QUEUE, "retryConfig": {"maxAttempts": 1}}
    await rest.ok("POST", f"/v2/{PARENT}/queues", queue)
    task = {"httpRequest": {"url": f"http://127.0.0.1:{cloud.ports['rest']}/nothing-here"}}
    await rest.ok("POST", f"/v2/{QUEUE}/tasks", {"task": task})
    await cloud.clock.advance(1)
    assert await attempts(rest) == {"attempts": 1, "succeeded": 0, "dropped": 1}
    await rest.ok("DELETE", f"/v2/{QUEUE}")
    await cloud.clock.advance(8 * 86400)
    await rest.ok("POST", f"/v2/{PARENT}/queues", queue)
    assert await attempts(rest) == {"attempts": 0, "succeeded": 0, "dropped": 0}


def test_duplicates_of_a_queue_that_is_made_again_are_chosen_as_before() -> None:
    duplicates = Duplicates({"q": 0.5}, seed=7)
    tasks = [Task(str(n), b"", created=0.0, schedule=0.0, named=False) for n in range(50)]
    before = [duplicates.chosen("q", task) for task in tasks]
    duplicates.forget("q")
    assert [duplicates.chosen("q", task) for task in tasks] == before
    assert 0 < sum(before) < 50


async def test_a_changed_expiry_takes_the_former_one_back(cloud: Cloud, rest: Rest) -> None:
    path = f"/v1/projects/{cloud.project}/secrets"
    made = {"replication": {"automatic": {}}, "ttl": "864000s"}
    await rest.ok("POST", f"{path}?secretId=s", made)

    def live() -> int:
        return sum("_schedule_expiry" in getattr(timer.fn, "__qualname__", "") for _, _, timer in cloud.clock._heap)

    assert live() == 1
    for days in range(20, 30):
        await rest.ok("PATCH", f"{path}/s?updateMask=ttl", {"ttl": f"{days * 86400}s"})
    assert live() == 1
    await cloud.clock.advance(11 * 86400)
    await rest.ok("GET", f"{path}/s")
    await rest.ok("DELETE", f"{path}/s")
    assert live() == 0


async def test_timers_that_were_taken_back_do_not_pile_up(cloud: Cloud) -> None:
    for _ in range(5 * MANY):
        cloud.clock.call_later(1e6, lambda: None).cancel()
    assert len(cloud.clock._heap) <= MANY
