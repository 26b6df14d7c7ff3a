"""Groups through Google's own client: their tree, and the resources that are their members."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions

from tests.fidelity import pins
from tests.local_cloud.cloud_places import Place
from tests.local_cloud.cloud_tasks.tasks_target import advance
from tests.local_cloud.metrics_client import NAME, Watcher
from tests.local_cloud.monitoring_clients import client
from tests.local_cloud.run_client import http


@pytest.fixture(scope="module")
def groups(place: Place) -> Iterator[Any]:
    with client(place, "groups") as made:
        yield made


def group(groups: Any, text: str, parent: str = "") -> str:
    made = groups.create_group(name=NAME, group={"display_name": "g", "filter": text, "parent_name": parent})
    return str(made.name)


@pins(
    "monitoring",
    "Snoozes and groups",
    "A group's members are the resources with points in the interval that its filter and its parents' find",
    documented="google/monitoring/v3/group_service.proto; ours: only resources that have metrics are known",
)
def test_members_are_what_the_filters_find(groups: Any, watch: Watcher) -> None:
    for name in ("group-a", "group-b", "other"):
        watch.queue(name)
    advance(watch.place, 120)
    tasks = group(groups, 'resource.type = "cloud_tasks_queue"')
    some = group(groups, 'resource.labels.queue_id = starts_with("group-")', tasks)
    members = list(groups.list_group_members(request={"name": some, "page_size": 1}))
    assert sorted(member.labels["queue_id"] for member in members) == ["group-a", "group-b"]
    narrowed = groups.list_group_members(request={"name": some, "filter": 'resource.labels.queue_id = "group-b"'})
    assert [member.labels["queue_id"] for member in narrowed] == ["group-b"]
    before = watch.interval(60)
    before.start_time, before.end_time = "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"
    assert list(groups.list_group_members(request={"name": tasks, "interval": before})) == []


@pins(
    "monitoring",
    "Snoozes and groups",
    "Groups form a tree without circles; one with children goes only recursively",
    documented="google/monitoring/v3/group_service.proto",
)
def test_groups_are_a_tree(groups: Any) -> None:
    top = group(groups, 'resource.type = "global"')
    middle = group(groups, 'resource.type = "global"', top)
    leaf = group(groups, 'resource.type = "global"', middle)

    def names(**which: str) -> set[str]:
        return {found.name for found in groups.list_groups(request={"name": NAME, **which})}

    assert names(children_of_group=top) == {middle}
    assert names(descendants_of_group=top) == {middle, leaf}
    assert names(ancestors_of_group=leaf) == {middle, top}
    assert {top, middle, leaf} <= names()
    circle = {"name": top, "display_name": "g", "filter": 'resource.type = "global"', "parent_name": leaf}
    with pytest.raises(exceptions.InvalidArgument):
        groups.update_group(group=circle)
    renamed = groups.update_group(group=circle | {"parent_name": "", "display_name": "top"})
    assert groups.get_group(name=top) == renamed
    with pytest.raises(exceptions.FailedPrecondition):
        groups.delete_group(name=top)
    groups.delete_group(request={"name": top, "recursive": True})
    assert names() & {top, middle, leaf} == set()
    for wrong in ({}, {"display_name": "g"}, {"display_name": "g", "filter": "what ="}):
        with pytest.raises(exceptions.InvalidArgument):
            groups.create_group(name=NAME, group=wrong)
    looked = groups.create_group(
        request={"name": NAME, "group": {"display_name": "g", "filter": 'resource.type = "x"'}, "validate_only": True}
    )
    assert looked.name not in names()


@pins(
    "monitoring",
    "Time series",
    "Queries in MQL and in PromQL are refused by name",
    ours=True,
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mql_is_refused_by_name(place: Place) -> None:
    with client(place, "queries") as queries, pytest.raises(exceptions.MethodNotImplemented, match="ListTimeSeries"):
        list(queries.query_time_series(request={"name": NAME, "query": "fetch cloud_run_revision"}))
    for method, path in (("GET", "query?query=up"), ("POST", "query_range"), ("GET", "labels")):
        refused = http(f"{place.rest}/v1/{NAME}/location/global/prometheus/api/v1/{path}", method=method)
        assert (refused.status, refused.json["error"]["status"]) == (501, "UNIMPLEMENTED")
        assert "PromQL" in refused.json["error"]["message"]
