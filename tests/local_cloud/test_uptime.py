"""Uptime checks through Google's own client: really made, on the cloud's clock, and never beyond the machine."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import monitoring_v3
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.descriptors import message
from local_cloud.uptime.probe import accepted, matches, on_this_machine
from tests.fidelity import pins
from tests.local_cloud.cloud_places import Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, advance, listening
from tests.local_cloud.metrics_client import NAME, Watcher
from tests.local_cloud.monitoring_clients import client
from tests.local_cloud.run_client import Runner, done

PASSED, LATENCY, STATUS = (
    f"monitoring.googleapis.com/uptime_check/{name}" for name in ("check_passed", "request_latency", "http_status")
)
#: The locations of all regions.
PLACES = {"usa-iowa", "usa-oregon", "usa-virginia", "eur-belgium", "sa-brazil-sao_paulo", "apac-singapore"}


@pytest.fixture(scope="module")
def uptime(place: Place) -> Iterator[Any]:
    with client(place, "uptime") as made:
        yield made


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as made:
        yield made


def port_of(target: Target) -> int:
    return int(target.url.split(":")[2].partition("/")[0])


def config(host: str = "127.0.0.1", port: int = 80, **more: Any) -> dict[str, Any]:
    resource = {"type": "uptime_url", "labels": {"host": host}}
    http_check = {"port": port, "path": "/health"} | more.pop("http_check", {})
    return {
        "display_name": "Entry", "monitored_resource": resource, "http_check": http_check,
        "timeout": timedelta(seconds=10), "period": timedelta(seconds=60),
    } | more  # fmt: skip


def create(uptime: Any, made: dict[str, Any]) -> Any:
    return uptime.create_uptime_check_config(parent=NAME, uptime_check_config=made)


def of(made: Any) -> str:
    return f'metric.labels.check_id = "{made.name.rpartition("/")[2]}"'


def results(watch: Watcher, made: Any) -> dict[str, list[bool]]:
    """Whether a check passed, oldest first, by the checker's location."""
    found = watch.series(PASSED, of(made))
    return {
        one.metric.labels["checker_location"]: [point.value.bool_value for point in reversed(one.points)]
        for one in found
    }


@pins(
    "monitoring",
    "Uptime checks",
    "A check is made each period on the cloud's clock; check_passed, request_latency, http_status for each location",
    documented="uptime.proto; metrics list: uptime_check. Ours: one request stands for all locations",
)
def test_checks_are_made_on_the_clouds_clock(uptime: Any, watch: Watcher, target: Target) -> None:
    made = create(uptime, config(port=port_of(target)))
    advance(watch.place, 130)
    target.status = 503
    advance(watch.place, 60)
    assert results(watch, made) == {place: [True, True, False] for place in PLACES}
    assert [path for path, _, _ in target.seen] == ["/health"] * 3
    codes = {point.value.int64_value for one in watch.series(STATUS, of(made)) for point in one.points}
    assert codes == {200, 503}
    assert all(point.value.double_value > 0 for one in watch.series(LATENCY, of(made)) for point in one.points)
    aggregation = {
        "alignment_period": {"seconds": 600},
        "per_series_aligner": monitoring_v3.Aggregation.Aligner.ALIGN_FRACTION_TRUE,
        "cross_series_reducer": monitoring_v3.Aggregation.Reducer.REDUCE_MEAN,
    }
    [share] = watch.series(PASSED, of(made), seconds=600, aggregation=aggregation)
    assert share.points[0].value.double_value == pytest.approx(2 / 3)
    uptime.delete_uptime_check_config(name=made.name)
    advance(watch.place, 120)
    assert len(target.seen) == 3


@pins(
    "monitoring",
    "Uptime checks",
    "What is read of the answer is held against the first content matcher; regions choose the locations",
    documented="uptime.proto, ContentMatcher, UptimeCheckRegion",
)
def test_content_and_regions(uptime: Any, watch: Watcher) -> None:
    door = watch.place.ports["rest"]
    status = {"path": "/_sluice/status"}
    has = {"content": "in_flight", "matcher": "CONTAINS_STRING"}
    good = create(uptime, config(port=door, http_check=status, content_matchers=[has], selected_regions=["USA"]))
    not_there = has | {"matcher": "NOT_CONTAINS_STRING"}
    bad = create(uptime, config("localhost", port=door, http_check=status, content_matchers=[not_there]))
    advance(watch.place, 61)
    assert results(watch, good) == {place: [True] for place in PLACES if place.startswith("usa-")}
    assert {passed for found in results(watch, bad).values() for passed in found} == {False}
    for made in (good, bad):
        uptime.delete_uptime_check_config(name=made.name)


@pins(
    "monitoring",
    "Uptime checks",
    "A Cloud Run service is checked where it is served",
    documented="uptime.proto: cloud_run_revision",
)
def test_a_cloud_run_service_is_checked(uptime: Any, watch: Watcher, run: Runner) -> None:
    service = run.create("checked")
    resource = {"type": "cloud_run_revision", "labels": {"service_name": "checked", "location": "us-central1"}}
    made = create(uptime, config(monitored_resource=resource, http_check={"path": "/"}))
    advance(watch.place, 61)
    assert results(watch, made) == {place: [True] for place in PLACES}
    uptime.delete_uptime_check_config(name=made.name)
    done(run.services.delete_service(name=service.name))


@pins(
    "monitoring",
    "Uptime checks",
    "Hosts that are not on this machine are not asked, and the log says so; one that does not answer fails",
    ours=True,
)
def test_checks_never_leave_the_machine(uptime: Any, watch: Watcher) -> None:
    away = create(uptime, config("shop.example.com"))
    with listening() as gone:
        port = port_of(gone)
    silent = create(uptime, config(port=port, period=timedelta(seconds=300)))
    advance(watch.place, 301)
    assert results(watch, away) == {}
    assert {passed for found in results(watch, silent).values() for passed in found} == {False}
    assert watch.place.cloud is not None
    said = [event["message"] for event in watch.place.cloud.log.events if "Uptime check" in event["message"]]
    assert sum("shop.example.com is not on this machine" in text for text in said) == 1
    for made in (away, silent):
        uptime.delete_uptime_check_config(name=made.name)


@pins(
    "monitoring",
    "Uptime checks",
    "Configs read back with what Google fills in; passwords and masked headers do not",
    documented="uptime.proto",
)
def test_configs_read_back(uptime: Any, watch: Watcher) -> None:
    secret = {"auth_info": {"username": "u", "password": "p"}, "headers": {"X-Key": "secret"}, "mask_headers": True}
    made = create(uptime, config(http_check=secret, period=timedelta(minutes=15)))
    found = uptime.get_uptime_check_config(name=made.name)
    assert found == made
    assert (found.http_check.auth_info.password, dict(found.http_check.headers)) == ("******", {"X-Key": "******"})
    assert found.http_check.request_method == monitoring_v3.UptimeCheckConfig.HttpCheck.RequestMethod.GET
    change = {"name": made.name, "timeout": timedelta(seconds=5)}
    changed = uptime.update_uptime_check_config(
        request={"uptime_check_config": change, "update_mask": {"paths": ["timeout"]}}
    )
    assert (changed.timeout, changed.period) == (timedelta(seconds=5), timedelta(minutes=15))
    assert made.name in [one.name for one in uptime.list_uptime_check_configs(request={"parent": NAME, "page_size": 1})]
    assert {one.ip_address for one in uptime.list_uptime_check_ips(request={"page_size": 2})} == {"127.0.0.1"}
    uptime.delete_uptime_check_config(name=made.name)
    with pytest.raises(exceptions.NotFound):
        uptime.get_uptime_check_config(name=made.name)


@pins(
    "monitoring",
    "Uptime checks",
    "Periods, timeouts, regions, resources and requests that Google refuses are refused",
    documented="uptime.proto",
)
def test_bad_configs_are_refused(uptime: Any) -> None:
    for change, said in (
        ({"display_name": ""}, "displayName"),
        ({"period": timedelta(seconds=30)}, "period"),
        ({"timeout": timedelta(seconds=61)}, "timeout"),
        ({"selected_regions": ["EUROPE"]}, "selectedRegions"),
        ({"monitored_resource": {"type": "global"}}, "monitoredResource.type"),
        ({"monitored_resource": {"type": "uptime_url"}}, "host"),
        ({"http_check": {"path": "/a b"}}, "path"),
        ({"http_check": {"request_method": "POST"}}, "contentType"),
        ({"http_check": {"body": b"x"}}, "contentType"),
        ({"http_check": {"port": 70000}}, "port"),
        ({"content_matchers": [{"content": "[", "matcher": "MATCHES_REGEX"}]}, "contentMatchers"),
    ):
        with pytest.raises(exceptions.InvalidArgument, match=said):
            create(uptime, config(**change))


@given(st.integers(100, 599), st.sampled_from([0, 100, 200, 300, 400, 500, 1000]))
def test_a_status_passes_where_its_class_does(status: int, kind: int) -> None:
    check = message("google.monitoring.v3.UptimeCheckConfig.HttpCheck")()
    assert accepted(check, status) == (200 <= status < 300)
    check.accepted_response_status_codes.add(status_class=kind)
    assert accepted(check, status) == (kind in (1000, status // 100 * 100))


def test_which_hosts_are_on_this_machine() -> None:
    assert all(map(on_this_machine, ("localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "shop.localhost")))
    assert not any(map(on_this_machine, ("example.com", "10.0.0.1", "0.0.0.0", "localhost.example.com", "")))


def test_json_paths_are_followed() -> None:
    matcher = message("google.monitoring.v3.UptimeCheckConfig.ContentMatcher")
    made = matcher(content="ok", matcher=5, json_path_matcher={"json_path": "$.parts[1].status", "json_matcher": 1})
    assert matches(made, b'{"parts": [{}, {"status": "ok"}]}')
    assert not matches(made, b'{"parts": []}')
