"""Queues through the official google-cloud-tasks client, over gRPC and REST."""

import uuid
from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf import field_mask_pb2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import LOCATION, PARENT, PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import advance

pins(
    "cloud_tasks",
    "Queues",
    "CreateQueue, GetQueue, ListQueues, UpdateQueue, DeleteQueue, PurgeQueue, PauseQueue, "
    "ResumeQueue, the IAM methods; gRPC and REST",
    documented="Service CloudTasks",
)


@pins(
    "cloud_tasks",
    "Queues",
    "Defaults: 500/s, 1000 concurrent, 100 attempts, 0.1 s to 3600 s, 16 doublings, RUNNING; "
    "max_retry_duration reads back unset when 0",
    observed="`gcloud tasks queues describe`",
)
@pins(
    "cloud_tasks",
    "Queues",
    "maxBurstSize: 10 at 1/s and 100 at 500/s",
    observed="queues printed in public repositories",
)
@pins(
    "cloud_tasks",
    "Queues",
    "min_backoff and max_backoff keep fractions of a second (the reference says truncated, the "
    "default of 0.1 s is not)",
    observed="RetryConfig",
)
def test_a_queue_reads_back_with_googles_defaults(client: Any, name: str) -> None:
    made = client.create_queue(parent=PARENT, queue={"name": name})
    assert made == client.get_queue(name=name)
    assert made.state.name == "RUNNING"
    limits = made.rate_limits
    assert (limits.max_dispatches_per_second, limits.max_burst_size, limits.max_concurrent_dispatches) == (
        500,
        100,
        1000,
    )
    retry = made.retry_config
    assert (retry.max_attempts, retry.max_doublings) == (100, 16)
    assert (retry.min_backoff.total_seconds(), retry.max_backoff.total_seconds()) == (0.1, 3600)
    assert "max_retry_duration" not in retry
    assert "purge_time" not in made


@pins(
    "cloud_tasks",
    "Queues",
    "maxBurstSize between the two: a fifth of the rate, at least 10",
    ours=True,
)
@pins(
    "cloud_tasks",
    "Queues",
    "An empty mask replaces all settable fields; output-only fields are ignored; an unknown path is refused",
    documented="UpdateQueueRequest",
)
def test_an_update_changes_what_its_mask_names(client: Any, name: str) -> None:
    client.create_queue(
        parent=PARENT,
        queue={"name": name, "rate_limits": {"max_dispatches_per_second": 5}, "retry_config": {"max_attempts": 7}},
    )
    changed = client.update_queue(
        queue={"name": name, "rate_limits": {"max_dispatches_per_second": 20}, "retry_config": {"max_attempts": 9}},
        update_mask=field_mask_pb2.FieldMask(paths=["rate_limits.max_dispatches_per_second"]),
    )
    assert changed.rate_limits.max_dispatches_per_second == 20
    assert changed.rate_limits.max_burst_size == 10
    assert changed.retry_config.max_attempts == 7
    client.pause_queue(name=name)
    whole = client.update_queue(queue={"name": name, "state": 1})
    assert (whole.rate_limits.max_dispatches_per_second, whole.retry_config.max_attempts) == (500, 100)
    assert whole.state.name == "PAUSED"
    with pytest.raises(exceptions.BadRequest, match="update mask"):
        client.update_queue(queue={"name": name}, update_mask=field_mask_pb2.FieldMask(paths=["nonsense"]))
    with pytest.raises(exceptions.BadRequest, match="maxDispatchesPerSecond"):
        client.update_queue(queue={"name": name, "rate_limits": {"max_dispatches_per_second": 501}})
    assert client.get_queue(name=name) == whole


@pins(
    "cloud_tasks",
    "Queues",
    "UpdateQueue creates a missing queue; that also needs cloudtasks.queues.create",
    documented="UpdateQueue",
    ours=True,
)
def test_an_update_creates_a_queue_that_is_missing(client: Any, name: str) -> None:
    assert client.update_queue(queue={"name": name}).name == name
    client.delete_queue(name=name)
    with pytest.raises((exceptions.FailedPrecondition, exceptions.BadRequest), match="too recently"):
        client.update_queue(queue={"name": name})


@pins(
    "cloud_tasks",
    "Queues",
    "ListQueues filter: comparisons joined by AND; other syntax is refused. Page tokens live 2 hours",
    documented="ListQueuesRequest",
)
def test_queues_are_listed_in_pages_and_by_filter(client: Any, name: str) -> None:
    names = [f"{name}-{index}" for index in range(5)]
    for each in reversed(names):
        client.create_queue(parent=PARENT, queue={"name": each})
    client.pause_queue(name=names[3])
    first = client.list_queues(request={"parent": PARENT, "page_size": 2})
    assert len(first.queues) == 2
    assert first.next_page_token
    listed = [queue.name for queue in client.list_queues(request={"parent": PARENT, "page_size": 2})]
    assert listed == sorted(listed)
    assert set(names) <= set(listed)
    paused = [queue.name for queue in client.list_queues(request={"parent": PARENT, "filter": "state: PAUSED"})]
    assert names[3] in paused
    assert names[0] not in paused
    with pytest.raises(exceptions.BadRequest, match="page token"):
        client.list_queues(request={"parent": PARENT, "page_token": "rubbish"})


@pins(
    "cloud_tasks",
    "Queues",
    "A deleted queue's name is refused for 7 days",
    documented="DeleteQueue",
)
def test_a_deleted_name_comes_free_after_seven_days(place: Place, client: Any, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.delete_queue(name=name)
    with pytest.raises(exceptions.NotFound):
        client.get_queue(name=name)
    advance(place, 7 * 86400 + 1)
    assert client.create_queue(parent=PARENT, queue={"name": name}).name == name


def test_the_projects_number_names_the_same_queue(client: Any, name: str) -> None:
    numbered = name.replace(PROJECT, "123456789012")
    parent = f"projects/123456789012/locations/{LOCATION}"
    made = client.create_queue(parent=parent, queue={"name": numbered})
    assert made.name == name
    assert client.get_queue(name=numbered).name == name


@pins(
    "cloud_tasks",
    "Queues",
    "A queue is made under the location that its name is in",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
def test_a_queue_belongs_to_its_parent(client: Any) -> None:
    elsewhere = f"projects/{PROJECT}/locations/us-east1/queues/q"
    with pytest.raises(exceptions.GoogleAPICallError) as refused:
        client.create_queue(parent=PARENT, queue={"name": elsewhere})
    assert f"{elsewhere} must begin with {PARENT}." in refused.value.message


@pins(
    "cloud_tasks",
    "Queues",
    "Deleting a queue that is not there has words of its own",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
def test_deleting_what_is_not_there(client: Any, name: str) -> None:
    with pytest.raises(exceptions.NotFound, match="Requested entity was not found"):
        client.delete_queue(name=name)


@pins("cloud_tasks", "Queues", "Any location is accepted", ours=True)
@pins("cloud_tasks", "Queues", "There is no limit to the number of queues (Google: 1,000 a region)", ours=True)
def test_what_google_limits_and_the_local_cloud_does_not(client: Any) -> None:
    parent = f"projects/{PROJECT}/locations/moon-{uuid.uuid4().hex[:8]}"
    made = client.create_queue(parent=parent, queue={"name": f"{parent}/queues/q"})
    assert [queue.name for queue in client.list_queues(parent=parent)] == [made.name]
