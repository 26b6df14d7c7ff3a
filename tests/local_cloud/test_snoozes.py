"""Snoozes through Google's own client: what their times let be changed, and for which incidents they hold."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from google.api_core import exceptions

from local_cloud.alerting.snoozes import Snoozes
from local_cloud.cloud import Cloud
from local_cloud.metrics.series import key
from tests.fidelity import pins
from tests.local_cloud.cloud_places import Place
from tests.local_cloud.cloud_tasks.tasks_target import advance
from tests.local_cloud.metrics_client import NAME, TASKS
from tests.local_cloud.monitoring_clients import client

DEPTH = f'metric.type = "{TASKS}/queue/depth" resource.type = "cloud_tasks_queue"'


@pytest.fixture(scope="module")
def snoozes(place: Place) -> Iterator[Any]:
    with client(place, "snoozes") as made:
        yield made


@pytest.fixture(scope="module")
def policy(place: Place) -> str:
    threshold = {"filter": DEPTH, "comparison": "COMPARISON_GT", "threshold_value": 10, "duration": {"seconds": 60}}
    threshold["aggregations"] = [{"alignment_period": {"seconds": 60}, "per_series_aligner": "ALIGN_MEAN"}]
    condition = {"display_name": "deep", "condition_threshold": threshold}
    with client(place, "policies") as policies:
        given = {"display_name": "Depth", "combiner": "OR", "conditions": [condition]}
        return str(policies.create_alert_policy(name=NAME, alert_policy=given).name)


def moment(place: Place, seconds: float) -> datetime:
    assert place.cloud is not None
    return datetime.fromtimestamp(place.cloud.now() + seconds, UTC)


def snooze(place: Place, policy: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    interval = {"start_time": moment(place, start), "end_time": moment(place, end)}
    return {"display_name": "deploy", "criteria": {"policies": [policy]}, "interval": interval} | more


def holds(place: Place, policy: str, **labels: str) -> bool:
    async def ask(cloud: Cloud) -> bool:
        return Snoozes(cloud).holds(policy, key("m", "cloud_tasks_queue", labels, {}), cloud.now())

    return place.do(ask)


@pins(
    "monitoring",
    "Snoozes and groups",
    "A snooze holds from its start to its end, for the policies it names; it cannot be deleted, only ended",
    documented="google/monitoring/v3/snooze.proto",
)
def test_a_snooze_holds_for_its_time(snoozes: Any, place: Place, policy: str) -> None:
    made = snoozes.create_snooze(parent=NAME, snooze=snooze(place, policy, 60, 600))
    assert snoozes.get_snooze(name=made.name) == made
    assert not holds(place, policy)
    advance(place, 120)
    assert holds(place, policy)
    assert not holds(place, f"{policy}0")
    assert not hasattr(snoozes, "delete_snooze")
    ended = {"name": made.name, "interval": {"end_time": moment(place, 0)}}
    snoozes.update_snooze(snooze=ended, update_mask={"paths": ["interval.end_time"]})
    assert not holds(place, policy)
    with pytest.raises(exceptions.FailedPrecondition):
        snoozes.update_snooze(snooze={"name": made.name}, update_mask={"paths": ["display_name"]})


@pins(
    "monitoring",
    "Snoozes and groups",
    "A filter of resource labels narrows a snooze of one policy to incidents of those resources",
    documented="google/monitoring/v3/snooze.proto, Criteria",
)
def test_a_filter_narrows_a_snooze(snoozes: Any, place: Place, policy: str) -> None:
    criteria = {"policies": [policy], "filter": 'resource.labels.queue_id="one" AND resource.labels.location="here"'}
    made = snoozes.create_snooze(parent=NAME, snooze=snooze(place, policy, 0, 300, criteria=criteria))
    assert holds(place, policy, queue_id="one", location="here")
    assert not holds(place, policy, queue_id="two", location="here")
    late = f'interval.start_time > "{moment(place, 60).isoformat()}"'
    soon = f'interval.start_time <= "{moment(place, 60).isoformat()}" AND interval.end_time > "2020-01-01T00:00:00Z"'
    assert made.name not in [s.name for s in snoozes.list_snoozes(request={"parent": NAME, "filter": late})]
    assert made.name in [s.name for s in snoozes.list_snoozes(request={"parent": NAME, "filter": soon, "page_size": 1})]
    advance(place, 600)


@pins(
    "monitoring",
    "Snoozes and groups",
    "One that has begun keeps its start; what is changed is named by the mask; no start in the past",
    documented="google/monitoring/v3/snooze_service.proto",
)
def test_what_may_be_changed(snoozes: Any, place: Place, policy: str) -> None:
    made = snoozes.create_snooze(parent=NAME, snooze=snooze(place, policy, 60, 600))
    later = {"name": made.name, "display_name": "x", "interval": {"start_time": moment(place, 90)}}
    changed = snoozes.update_snooze(snooze=later, update_mask={"paths": ["interval.start_time"]})
    assert (changed.display_name, changed.interval.end_time) == ("deploy", made.interval.end_time)
    for mask in ([], ["criteria"], ["interval"]):
        with pytest.raises(exceptions.InvalidArgument):
            snoozes.update_snooze(snooze=later, update_mask={"paths": mask})
    advance(place, 120)
    with pytest.raises(exceptions.FailedPrecondition):
        snoozes.update_snooze(snooze=later, update_mask={"paths": ["interval.start_time"]})
    with pytest.raises(exceptions.NotFound):
        snoozes.update_snooze(snooze={"name": f"{NAME}/snoozes/1"}, update_mask={"paths": ["display_name"]})
    for wrong in (
        snooze(place, policy, -60, 600),
        snooze(place, policy, 60, 59),
        snooze(place, policy, 0, 60, display_name=""),
        snooze(place, policy, 0, 60, criteria={"policies": []}),
        snooze(place, policy, 0, 60, criteria={"policies": [policy] * 17}),
        snooze(place, policy, 0, 60, criteria={"policies": [policy, policy], "filter": 'resource.labels.a="b"'}),
        snooze(place, policy, 0, 60, criteria={"policies": [policy], "filter": 'metric.type="b"'}),
    ):
        with pytest.raises(exceptions.InvalidArgument):
            snoozes.create_snooze(parent=NAME, snooze=wrong)
    with pytest.raises(exceptions.NotFound):
        snoozes.create_snooze(parent=NAME, snooze=snooze(place, f"{NAME}/alertPolicies/1", 0, 60))
