"""Time series through Google's own client, and over REST: pages, views, descriptors, refusals, permissions, lag."""

import json
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.api import metric_pb2  # type: ignore[import-untyped]
from google.api_core import exceptions
from google.cloud import monitoring_v3

from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT
from tests.local_cloud.cloud_tasks.tasks_target import advance
from tests.local_cloud.conftest import Rest
from tests.local_cloud.metrics_client import NAME, RUN, TASKS, Aligner, Watcher


@pins(
    "monitoring",
    "Time series",
    "Pages of points, or of series where headers are asked for; newest points first",
    documented="ListTimeSeriesRequest",
)
def test_pages_give_every_point_once(watch: Watcher) -> None:
    for queue in ("page-a", "page-b"):
        watch.queue(queue)
    advance(watch.place, 300)
    more, metric = 'resource.labels.queue_id = starts_with("page-")', f"{TASKS}/queue/depth"
    request = {"name": NAME, "filter": f'metric.type="{metric}" {more}', "interval": watch.interval(280)}
    whole = list(watch.client.list_time_series(request=request))
    pages = list(watch.client.list_time_series(request={**request, "page_size": 3}).pages)
    assert [sum(len(one.points) for one in page.time_series) for page in pages[:-1]] == [3] * (len(pages) - 1)
    flat = [(s.resource.labels["queue_id"], p.interval.end_time) for page in pages for s in page.time_series
            for p in s.points]  # fmt: skip
    assert flat == [(s.resource.labels["queue_id"], p.interval.end_time) for s in whole for p in s.points]
    headers = monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.HEADERS
    request |= {"view": headers, "page_size": 1}
    bare = [list(page.time_series) for page in watch.client.list_time_series(request=request).pages]
    assert [[(one.resource.labels["queue_id"], len(one.points)) for one in page] for page in bare] == [
        [("page-a", 0)], [("page-b", 0)]]  # fmt: skip


def test_the_newest_value_holds_until_now_and_no_further(watch: Watcher) -> None:
    metric = "custom.googleapis.com/held"
    watch.write(metric, 7)
    advance(watch.place, 600)
    aggregation = {"alignment_period": {"seconds": 60}, "per_series_aligner": Aligner.ALIGN_NEXT_OLDER}
    now = watch.now()
    interval = monitoring_v3.TimeInterval(
        start_time=datetime.fromtimestamp(now - 300, UTC), end_time=datetime.fromtimestamp(now + 330, UTC)
    )
    [found] = watch.series(metric, aggregation=aggregation, interval=interval)
    assert {point.value.int64_value for point in found.points} == {7}
    assert len(found.points) >= 5
    assert found.points[0].interval.end_time.timestamp() <= watch.now()


# Descriptors


@pins(
    "monitoring",
    "Descriptors",
    "Metrics and monitored resources as Google's lists have them; a filter chooses",
    documented="metrics list, resource list",
)
def test_descriptors_are_those_of_googles_lists(watch: Watcher) -> None:
    tasks = watch.client.list_metric_descriptors(
        request={"name": NAME, "filter": f'metric.type = starts_with("{TASKS}/")'}
    )
    found = {d.type.partition("/")[2]: (d.metric_kind, d.value_type, d.unit, [x.key for x in d.labels]) for d in tasks}
    gauge, delta = metric_pb2.MetricDescriptor.GAUGE, metric_pb2.MetricDescriptor.DELTA
    assert found == {
        "api/request_count": (delta, 2, "1", ["api_method", "response_code"]),
        "queue/depth": (gauge, 2, "1", []),
        "queue/task_attempt_count": (delta, 2, "1", ["response_code"]),
        "queue/task_attempt_delays": (delta, 5, "ms", []),
    }
    name = f"{NAME}/metricDescriptors/{RUN}/request_latencies"
    one = watch.client.get_metric_descriptor(name=name)
    assert (one.name, one.unit, list(one.monitored_resource_types)) == (name, "ms", ["cloud_run_revision"])
    resources = list(watch.client.list_monitored_resource_descriptors(name=NAME))
    kind = f"{NAME}/monitoredResourceDescriptors/cloud_tasks_queue"
    assert kind in {resource.name for resource in resources}
    queue = watch.client.get_monitored_resource_descriptor(name=kind)
    assert [label.key for label in queue.labels] == ["project_id", "queue_id", "location", "target_type"]
    paged = watch.client.list_metric_descriptors(request={"name": NAME, "page_size": 5})
    assert len(list(paged)) == len(list(watch.client.list_metric_descriptors(name=NAME)))
    for missing in ("metricDescriptors/none.googleapis.com/x", "metricDescriptors/custom.googleapis.com/none"):
        with pytest.raises(exceptions.NotFound):
            watch.client.get_metric_descriptor(name=f"{NAME}/{missing}")
    with pytest.raises(exceptions.NotFound):
        watch.client.get_monitored_resource_descriptor(name=f"{NAME}/monitoredResourceDescriptors/none")


# Refusals


@pins(
    "monitoring",
    "Time series",
    "An unknown metric, resource or label is refused, and a filter that cannot be read",
    observed="the words of public issues of Google's clients",
)
@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        (
            'metric.type="none.googleapis.com/x"',
            exceptions.NotFound,
            'match type = "none.googleapis.com/x". If a metric',
        ),
        ('resource.type="global"', exceptions.InvalidArgument, 'must specify a restriction on "metric.type"'),
        ("", exceptions.InvalidArgument, 'Field filter had an invalid value of "": must specify'),
        (f'metric.type="{TASKS}/queue/depth" resource.type="global"', exceptions.InvalidArgument, "valid combination"),
        (f'metric.type="{TASKS}/queue/depth" resource.labels.x="1"', exceptions.InvalidArgument, "valid combination"),
        (f'metric.type="{TASKS}/queue/depth" metric.labels.x="1"', exceptions.InvalidArgument, "valid combination"),
        (f'metric.type="{TASKS}/queue/depth" AND', exceptions.InvalidArgument, "Unparseable filter: syntax error at"),
    ],
)
def test_filters_that_name_what_is_not_there_are_refused(watch: Watcher, text: str, kind: Any, why: str) -> None:
    with pytest.raises(kind) as error:
        list(watch.client.list_time_series(request={"name": NAME, "filter": text, "interval": watch.interval()}))
    assert why in error.value.message


@pins(
    "monitoring",
    "Time series",
    "An aligner or reducer that does not fit the metric's kind and type is refused",
    observed="the words of public issues of Google's clients",
)
@pytest.mark.parametrize(
    ("metric", "aggregation", "why"),
    [
        ("queue/task_attempt_delays", {"per_series_aligner": "ALIGN_MEAN", "alignment_period": {"seconds": 60}},
         'Field aggregation.perSeriesAligner had an invalid value of "ALIGN_MEAN": The aligner cannot be applied to '
         "metrics with kind DELTA and value type DISTRIBUTION."),
        ("queue/depth", {"per_series_aligner": "ALIGN_RATE", "alignment_period": {"seconds": 60}},
         "The aligner cannot be applied to metrics with kind GAUGE and value type INT64."),
        ("queue/depth", {"per_series_aligner": "ALIGN_MAX", "alignment_period": {"seconds": 30}},
         "at least 60 seconds"),
        ("queue/depth", {"per_series_aligner": "ALIGN_MAX"}, "at least 60 seconds"),
        ("queue/depth", {"cross_series_reducer": "REDUCE_SUM"}, "A per-series aligner must be given"),
        ("queue/depth", {"per_series_aligner": "ALIGN_MAX", "alignment_period": {"seconds": 60},
                         "cross_series_reducer": "REDUCE_COUNT_TRUE"}, "The reducer cannot be applied"),
        ("queue/depth", {"per_series_aligner": "ALIGN_MAX", "alignment_period": {"seconds": 60},
                         "cross_series_reducer": "REDUCE_SUM", "group_by_fields": ["zone"]}, "can be grouped by"),
    ],
)  # fmt: skip
def test_aggregations_that_do_not_fit_are_refused(
    watch: Watcher, metric: str, aggregation: dict[str, Any], why: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument) as error:
        watch.series(f"{TASKS}/{metric}", aggregation=aggregation)
    assert why in error.value.message


def test_intervals_and_tokens_that_make_no_sense_are_refused(watch: Watcher) -> None:
    request = {"name": NAME, "filter": f'metric.type="{TASKS}/queue/depth"'}
    whole = watch.interval()
    back = monitoring_v3.TimeInterval(start_time=whole.end_time, end_time=whole.start_time)
    for more in ({}, {"interval": back}, {"interval": whole, "page_token": "x"}, {"interval": whole, "order_by": "a"}):
        with pytest.raises(exceptions.InvalidArgument):
            list(watch.client.list_time_series(request={**request, **more}))


# REST, permissions, lag, restart


async def read(rest: Rest, running: Running, **arguments: str) -> tuple[int, Any]:
    """The depths of the last ten minutes, over REST."""
    now = running.cloud.now()
    query = {
        "filter": f'metric.type="{TASKS}/queue/depth"',
        "interval.startTime": datetime.fromtimestamp(now - 600, UTC).isoformat().replace("+00:00", "Z"),
        "interval.endTime": datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
        **arguments,
    }
    return await rest("GET", f"/v3/{NAME}/timeSeries?{urllib.parse.urlencode(query)}")


async def test_series_are_read_over_rest_too(running: Running, rest: Rest) -> None:
    await rest.ok("POST", f"/v2/{PARENT}/queues", {"name": f"{PARENT}/queues/over-rest"})
    await running.cloud.clock.advance(300)
    status, body = await read(
        rest, running, **{"aggregation.alignmentPeriod": "300s", "aggregation.perSeriesAligner": "ALIGN_MAX"}
    )
    assert status == 200, body
    assert body["unit"] == "1"
    [found] = body["timeSeries"]
    assert (found["metricKind"], found["valueType"]) == ("GAUGE", "INT64")
    assert found["points"][0]["value"] == {"int64Value": "0"}
    status, body = await read(rest, running, filter='metric.type="none/x"')
    assert (status, body["error"]["status"]) == (404, "NOT_FOUND")


@pins(
    "monitoring",
    "Permissions",
    "Reading series asks for monitoring.timeSeries.list, writing for ...create",
    documented="roles/monitoring.viewer, roles/monitoring.metricWriter",
)
async def test_who_has_no_role_reads_and_writes_nothing(running: Running, as_account: Any) -> None:
    nobody = as_account("nobody")
    status, body = await read(nobody, running)
    assert (status, body["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert "monitoring.timeSeries.list" in json.dumps(body)
    assert (await nobody("POST", f"/v3/{NAME}/timeSeries", {"timeSeries": [{}]}))[0] == 403


@pins(
    "monitoring",
    "Time series",
    "A setting makes points visible late, as Google's are",
    documented="metrics list: data is not visible for up to 120 or 180 seconds",
)
async def test_points_become_visible_after_the_lag(tmp_path: Path, session: Any) -> None:
    async with Running(Settings(state=tmp_path / "cloud", metric_lag=180.0)) as running:
        rest = Rest(session, f"http://127.0.0.1:{running.cloud.ports['rest']}")
        await rest.ok("POST", f"/v2/{PARENT}/queues", {"name": f"{PARENT}/queues/lagging"})
        await running.cloud.clock.advance(100)
        assert "timeSeries" not in (await read(rest, running))[1]
        await running.cloud.clock.advance(200)
        before = running.cloud.now()
        [found] = (await read(rest, running))[1]["timeSeries"]
        seen = datetime.fromisoformat(found["points"][0]["interval"]["endTime"]).timestamp()
        assert before - 240 < seen <= running.cloud.now() - 180


async def test_points_and_descriptors_outlive_a_restart(tmp_path: Path, session: Any) -> None:
    metric = "custom.googleapis.com/kept"
    async with Running(Settings(state=tmp_path / "cloud")) as running:
        rest = Rest(session, f"http://127.0.0.1:{running.cloud.ports['rest']}")
        await rest.ok("POST", f"/v2/{PARENT}/queues", {"name": f"{PARENT}/queues/kept"})
        await running.cloud.clock.advance(200)
        end = datetime.fromtimestamp(running.cloud.now(), UTC).isoformat().replace("+00:00", "Z")
        point = {"interval": {"endTime": end}, "value": {"doubleValue": 1.5}}
        written = {"timeSeries": [{"metric": {"type": metric}, "points": [point]}]}
        await rest.ok("POST", f"/v3/{NAME}/timeSeries", written)
        before = [(await read(rest, running, filter=f'metric.type="{m}"'))[1] for m in (metric, f"{TASKS}/queue/depth")]
    async with Running(Settings(state=tmp_path / "cloud")) as running:
        rest = Rest(session, f"http://127.0.0.1:{running.cloud.ports['rest']}")
        for metric_type, old in zip((metric, f"{TASKS}/queue/depth"), before, strict=True):
            _, body = await read(rest, running, filter=f'metric.type="{metric_type}"')
            points = body["timeSeries"][0]["points"]
            assert points[-len(old["timeSeries"][0]["points"]) :] == old["timeSeries"][0]["points"]
