"""How many instances there are: the revision's numbers, the service's, and those set by hand."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.run.scaling import divide
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT
from tests.local_cloud.image import until
from tests.local_cloud.run_client import Answer, Runner, done, http

MANUAL = run_v2.ServiceScaling.ScalingMode.MANUAL


def create(run: Runner, service_id: str, numbers: dict[str, Any], **template: Any) -> Any:
    service = run.service(service_id, revision=f"{service_id}-a", **template)
    service.scaling = numbers  # type: ignore[assignment]
    made = done(run.services.create_service(parent=PARENT, service=service, service_id=service_id))
    run.bind(made.name, "roles/run.invoker", "allUsers")
    return made


def counts(run: Runner, service_id: str) -> dict[str, int]:
    ready = [i["revision"] for i in run.status()[service_id]["instances"] if i["state"] == "ready"]
    return {revision: ready.count(revision) for revision in ready}


def target(revision: str, percent: int, tag: str = "") -> dict[str, Any]:
    kind = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
    return {"type_": kind, "revision": revision, "percent": percent, "tag": tag}


@pins(
    "run",
    "Instances",
    "A service's minimum is divided among its revisions by traffic, beside their own",
    documented="Minimum instances",
)
def test_a_services_minimum_follows_its_traffic(run: Runner) -> None:
    made = create(run, "warm", {"min_instance_count": 2})
    asyncio.run(until(lambda: counts(run, "warm") == {"warm-a": 2}))
    made.template.revision = "warm-b"
    made.template.containers[0].env = [{"name": "NEW", "value": "1"}]
    made.traffic = [target("warm-a", 50), target("warm-b", 50)]
    run.update(made)
    asyncio.run(until(lambda: counts(run, "warm").get("warm-b") == 1))
    assert counts(run, "warm")["warm-a"] >= 1


@pins(
    "run",
    "Instances",
    "A service's maximum holds over all its revisions together; what finds no place waits",
    documented="Maximum instances",
)
def test_a_services_maximum_holds_over_all_its_revisions(run: Runner, tmp_path: Path) -> None:
    made = create(run, "narrow", {"max_instance_count": 1}, max_instance_request_concurrency=1)
    door = tmp_path / "open"
    answers: list[Answer] = []

    def call() -> None:
        answers.append(http(f"{made.uri}/wait", method="POST", body=str(door).encode()))

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    asyncio.run(until(lambda: [i["in_flight"] for i in run.status()["narrow"]["instances"]] == [1]))
    door.touch()
    for caller in callers:
        caller.join()
    assert {(a.status, a.json["pid"]) for a in answers} == {(200, run.pids("narrow")[0])}


@pins(
    "run",
    "Instances",
    "Manual scaling: so many instances whatever the traffic and the revision say; 0 disables the service (503)",
    documented="Manual scaling",
)
def test_instances_by_hand_are_neither_more_nor_less(run: Runner) -> None:
    made = create(
        run, "by-hand", {"scaling_mode": MANUAL, "manual_instance_count": 2}, scaling={"max_instance_count": 1}
    )
    asyncio.run(until(lambda: counts(run, "by-hand") == {"by-hand-a": 2}))
    made.scaling.manual_instance_count = 1
    made = run.update(made)
    asyncio.run(until(lambda: counts(run, "by-hand") == {"by-hand-a": 1}))
    made.scaling.manual_instance_count = 0
    made = run.update(made)
    asyncio.run(until(lambda: counts(run, "by-hand") == {}))
    assert http(made.uri).status == 503
    made.scaling.manual_instance_count = 1
    run.update(made)
    assert http(made.uri).status == 200


@pins(
    "run",
    "Services and revisions",
    "A deployment's health check has an instance beyond the maximum, which goes again",
    documented="Maximum instances",
)
def test_a_deployment_is_checked_even_where_there_is_no_room(run: Runner) -> None:
    made = create(run, "full", {"max_instance_count": 1})
    assert http(made.uri).status == 200
    made.template.revision = "full-b"
    made.template.containers[0].env = [{"name": "NEW", "value": "1"}]
    made.traffic = [target("full-a", 100), target("full-b", 0, "next")]
    made = run.update(made)
    assert made.latest_ready_revision.endswith("full-b")
    disabled = create(run, "asleep", {"scaling_mode": MANUAL, "manual_instance_count": 0})
    assert disabled.latest_ready_revision.endswith("asleep-a")
    asyncio.run(until(lambda: counts(run, "asleep") == {}))


@pins(
    "run",
    "Services and revisions",
    "Instance counts that contradict one another are refused with their field",
    documented="ServiceScaling",
)
@pytest.mark.parametrize(
    ("scaling", "said"),
    [
        ({"min_instance_count": 3, "max_instance_count": 2}, "must not be greater than max_instance_count 2"),
        ({"min_instance_count": -1}, "must not be negative"),
        ({"scaling_mode": MANUAL}, "is required where scaling_mode is MANUAL"),
    ],
)
def test_contradicting_counts_are_refused(run: Runner, scaling: dict[str, Any], said: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=said):
        create(run, "wrong", scaling)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 100), st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_instances_by_hand_are_all_given_out_by_share(count: int, weights: list[int]) -> None:
    shares = {f"r{index}": weight * 100 / sum(weights) for index, weight in enumerate(weights)}
    given_out = divide(count, shares)
    assert sum(given_out.values()) == count
    assert all(abs(given_out[name] - count * share / 100) < 1 for name, share in shares.items())
