"""Lists of queues, tasks and locations: pages, page tokens and filters."""

from typing import Any

import pytest
from google.api_core import exceptions

from tests.fidelity import pins
from tests.local_cloud.cloud_places import LOCATION, PARENT, PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import URL, advance


def test_tasks_are_listed_in_pages_each_once(client: Any, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    made = {client.create_task(parent=name, task={"http_request": {"url": "http://h/"}}).name for _ in range(7)}
    page = client.list_tasks(request={"parent": name, "page_size": 3})
    assert len(page.tasks) == 3
    listed = [task.name for task in client.list_tasks(request={"parent": name, "page_size": 3})]
    assert len(listed) == 7
    assert set(listed) == made
    client.purge_queue(name=name)
    assert list(client.list_tasks(parent=name)) == []
    assert client.get_queue(name=name).purge_time is not None


@pins(
    "cloud_tasks", "Queues", "Page tokens are for the filter that they were made with", documented="ListQueuesRequest"
)
def test_a_page_token_belongs_to_its_filter(client: Any, queue: str, name: str) -> None:
    client.create_queue(parent=PARENT, queue={"name": f"{name}-b"})
    page = client.list_queues(request={"parent": PARENT, "page_size": 1, "filter": "state: PAUSED"})
    token = page.next_page_token
    assert token
    client.list_queues(request={"parent": PARENT, "page_size": 9, "filter": "state: PAUSED", "page_token": token})
    with pytest.raises(exceptions.GoogleAPICallError, match="page token"):
        client.list_queues(request={"parent": PARENT, "page_token": token})
    with pytest.raises(exceptions.GoogleAPICallError, match="negative"):
        client.list_queues(request={"parent": PARENT, "page_size": -1})
    assert client.list_queues(request={"parent": PARENT, "page_size": 100_000}).queues
    with pytest.raises(exceptions.GoogleAPICallError, match="negative"):
        client.list_tasks(request={"parent": queue, "page_size": -1})
    for text, found in (
        ('state="PAUSED" AND rateLimits.maxConcurrentDispatches>=1000', True),
        ("retry_config.max_attempts < 100", False),
        ("state != RUNNING", True),
        (f"name: {queue.rpartition('/')[2]}", True),
    ):
        listed = [each.name for each in client.list_queues(request={"parent": PARENT, "filter": text})]
        assert (queue in listed) is found, text


def test_a_page_token_is_good_for_two_hours(place: Place, client: Any, queue: str) -> None:
    for _ in range(2):
        client.create_task(parent=queue, task=URL)
    token = client.list_tasks(request={"parent": queue, "page_size": 1}).next_page_token
    advance(place, 7000)
    assert len(client.list_tasks(request={"parent": queue, "page_size": 1, "page_token": token}).tasks) == 1
    advance(place, 300)
    with pytest.raises(exceptions.GoogleAPICallError, match="2 hours"):
        client.list_tasks(request={"parent": queue, "page_size": 1, "page_token": token})


def test_locations_are_listed(client: Any) -> None:
    from google.cloud.location import locations_pb2  # type: ignore[import-untyped]

    listed = client.list_locations(locations_pb2.ListLocationsRequest(name=f"projects/{PROJECT}"))
    assert [location.location_id for location in listed.locations] == [LOCATION]
    assert client.get_location(locations_pb2.GetLocationRequest(name=PARENT)).name == PARENT
