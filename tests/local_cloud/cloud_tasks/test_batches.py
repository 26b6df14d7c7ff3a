"""Batches of the official client: their operations, what succeeded of them, and their limits."""

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import tasks_v2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, Place
from tests.local_cloud.cloud_tasks.tasks_target import URL, item


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
    "Tasks",
    "A batch's operation can be polled; its metadata has the state, times and each failed item by index",
    documented="BatchCreateTasksMetadata, BatchDeleteTasksMetadata",
)
def test_a_batchs_operation_is_there_to_be_asked_again(client: Any, queue: str) -> None:
    made = client.batch_create_tasks(request={"parent": queue, "requests": [item(queue, "a"), item(queue, "b")]})
    assert made.done()
    assert isinstance(made.result(), tasks_v2.BatchCreateTasksResponse)
    assert isinstance(made.metadata, tasks_v2.BatchCreateTasksMetadata)
    assert made.metadata.state.name == "SUCCEEDED"
    begun: Any = made.metadata.start_time
    assert begun <= made.metadata.end_time
    assert made.operation.name.startswith(f"{PARENT}/operations/")
    polled = client.transport.operations_client.get_operation(made.operation.name)
    assert polled == made.operation
    gone = client.batch_delete_tasks(request={"parent": queue, "names": [f"{queue}/tasks/a", f"{queue}/tasks/b"]})
    assert gone.result() is not None
    assert isinstance(gone.metadata, tasks_v2.BatchDeleteTasksMetadata)
    assert gone.metadata.state.name == "SUCCEEDED"
    assert list(client.list_tasks(parent=queue)) == []


@pins(
    "cloud_tasks",
    "Tasks",
    "A batch of which nothing succeeded ends with ABORTED in Google's words, and its metadata says why for each",
    documented="BatchDeleteTasksMetadata.State",
)
def test_a_batch_of_failures_is_aborted(client: Any, queue: str) -> None:
    client.create_task(parent=queue, task=item(queue, "there")["task"])
    made = client.batch_create_tasks(request={"parent": queue, "requests": [item(queue, "there")]})
    with pytest.raises(exceptions.Aborted, match="refer to BatchCreateTasksMetadata"):
        made.result()
    assert made.metadata.state.name == "PARTIALLY_SUCCEEDED"
    assert made.metadata.failed_requests[0].message == "Requested entity already exists"
    gone = client.batch_delete_tasks(request={"parent": queue, "names": [f"{queue}/tasks/never"]})
    with pytest.raises(exceptions.Aborted, match="None of the requests succeeded, refer to BatchDeleteTasksMetadata"):
        gone.result()
    assert gone.metadata.failed_requests[0].code == 5


@pins(
    "cloud_tasks",
    "Tasks",
    "A batch that comes again under its request_id is answered with its first operation",
    documented="BatchCreateTasksRequest.request_id",
)
def test_a_request_id_makes_a_batch_safe_to_repeat(place: Place, client: Any, queue: str) -> None:
    request = {"parent": queue, "requests": [item(queue, "a"), {"parent": queue, "task": URL}], "request_id": "r-1"}
    first, again = (client.batch_create_tasks(request=request) for _ in range(2))
    assert first.operation.name == again.operation.name
    assert len(list(client.list_tasks(parent=queue))) == 2
    names = [task.name for task in first.result().tasks]
    first, again = (
        client.batch_delete_tasks(request={"parent": queue, "names": names, "request_id": "r-1"}) for _ in range(2)
    )
    assert first.operation.name == again.operation.name
    assert not again.metadata.failed_requests
    with pytest.raises(exceptions.GoogleAPICallError, match="request_id"):
        client.batch_create_tasks(request={**request, "request_id": "x" * 300})


@pins("cloud_tasks", "Tasks", "At most 100 tasks are created and 1000 deleted at once", documented="BatchCreateTasks")
def test_batches_have_their_sizes(client: Any, queue: str) -> None:
    with pytest.raises(exceptions.GoogleAPICallError, match="between 1 and 100"):
        client.batch_create_tasks(request={"parent": queue, "requests": [{"parent": queue, "task": URL}] * 101})
    with pytest.raises(exceptions.GoogleAPICallError, match="between 1 and 1000"):
        client.batch_delete_tasks(request={"parent": queue, "names": [f"{queue}/tasks/x"] * 1001})
    with pytest.raises(exceptions.GoogleAPICallError, match="between 1 and 100"):
        client.batch_create_tasks(request={"parent": queue})
    other = {"parent": f"{queue}-other", "task": URL}
    with pytest.raises(exceptions.GoogleAPICallError, match="must be the parent of the batch"):
        client.batch_create_tasks(request={"parent": queue, "requests": [other]})
    client.batch_create_tasks(request={"parent": queue, "requests": [{"parent": queue, "task": URL}] * 100}).result()
    listed = list(client.list_tasks(parent=queue))
    assert len(listed) == 100
    client.batch_delete_tasks(request={"parent": queue, "names": [task.name for task in listed]}).result()
    assert list(client.list_tasks(parent=queue)) == []
