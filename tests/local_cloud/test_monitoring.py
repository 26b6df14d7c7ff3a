"""Time series through Google's own client: what runs in the cloud is measured, aggregated, refused as Google does."""

import json
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api import metric_pb2  # type: ignore[import-untyped]
from google.api_core import exceptions
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

from local_cloud.cloud import Cloud
from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, Place, inside
from tests.local_cloud.conftest import Rest
from tests.local_cloud.run_client import Runner, done, http, runner
from tests.local_cloud.tasks_target import Target, advance
from tests.local_cloud.test_run_executions import Batch

NAME = f"projects/{PROJECT}"
TASKS, RUN = "cloudtasks.googleapis.com", "run.googleapis.com"
Aligner = monitoring_v3.Aggregation.Aligner


class Watcher:
    """The client of metrics, and the traffic that they are about."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.channel = grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}")
        transport = MetricServiceGrpcTransport(channel=self.channel)
        self.client: Any = monitoring_v3.MetricServiceClient(transport=transport)
        self.tasks = place.client("grpc")

    def now(self) -> float:
        assert self.place.cloud is not None
        return self.place.cloud.now()

    def interval(self, seconds: float = 3600) -> Any:
        end = self.now()
        return monitoring_v3.TimeInterval(
            start_time=datetime.fromtimestamp(end - seconds, UTC), end_time=datetime.fromtimestamp(end, UTC)
        )

    def series(self, metric: str, more: str = "", *, seconds: float = 3600, **arguments: Any) -> list[Any]:
        text = f'metric.type = "{metric}" {more}'
        request = {"name": NAME, "filter": text, "interval": self.interval(seconds)} | arguments
        return list(self.client.list_time_series(request=request))

    def total(self, metric: str, more: str = "", *labels: str) -> dict[tuple[str, ...], float]:
        """All points of the hour, summed up by labels of the metric."""
        found: dict[tuple[str, ...], float] = {}
        for one in self.series(metric, more):
            name = tuple(one.metric.labels[label] for label in labels)
            for point in one.points:
                value = point.value.distribution_value.count or point.value.int64_value or point.value.double_value
                found[name] = found.get(name, 0) + value
        return found

    def queue(self, queue_id: str, **settings: Any) -> str:
        queue = {"name": f"{PARENT}/queues/{queue_id}", **settings}
        return str(self.tasks.create_queue(parent=PARENT, queue=queue).name)

    def send(self, queue: str, url: str, count: int) -> None:
        for _ in range(count):
            self.tasks.create_task(parent=queue, task={"http_request": {"url": url}})

    def write(self, metric: str, value: Any, *, at: float = 0.0, labels: dict[str, str] | None = None) -> None:
        self.client.create_time_series(name=NAME, time_series=[self.point(metric, value, at=at, labels=labels)])

    def point(self, metric: str, value: Any, *, at: float = 0.0, labels: dict[str, str] | None = None) -> Any:
        kind = {int: "int64_value", float: "double_value", str: "string_value", bool: "bool_value"}[type(value)]
        made = monitoring_v3.TimeSeries(metric={"type": metric, "labels": labels or {}}, resource={"type": "global"})
        end = datetime.fromtimestamp(self.now() + at, UTC)
        made.points.append(monitoring_v3.Point(interval={"end_time": end}, value={kind: value}))
        return made


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watcher]:
    with inside(tmp_path_factory.mktemp("monitoring") / "state") as place:
        made = Watcher(place)
        yield made
        made.channel.close()


@pytest.fixture(scope="module")
def run(watch: Watcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with runner(watch.place, tmp_path_factory.mktemp("image")) as made:
        yield made


@pytest.fixture(scope="module")
def one_target() -> Iterator[Target]:
    made = Target()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def target(one_target: Target) -> Target:
    one_target.status = 200
    return one_target


def of(queue: str) -> str:
    return f'AND resource.labels.queue_id = "{queue.rpartition("/")[2]}"'


# The four metrics of Cloud Tasks


@pins(
    "monitoring",
    "Cloud Tasks",
    "queue/depth is the number of tasks, each minute; a queue at rest has a depth of 0",
    documented="metrics list: cloudtasks, GAUGE INT64",
)
def test_depth_is_sampled_each_minute(watch: Watcher, target: Target) -> None:
    queue = watch.queue("deep")
    watch.tasks.pause_queue(name=queue)
    watch.send(queue, target.url, 3)
    advance(watch.place, 300)
    [found] = watch.series(f"{TASKS}/queue/depth", of(queue), seconds=240)
    assert [point.value.int64_value for point in found.points] == [3] * 4
    assert dict(found.resource.labels) == {
        "project_id": PROJECT, "location": "us-central1", "queue_id": "deep", "target_type": "HTTP"}  # fmt: skip
    times = [point.interval.end_time for point in found.points]
    assert times == sorted(times, reverse=True)
    assert {time.second for time in times} == {0}
    watch.tasks.resume_queue(name=queue)
    advance(watch.place, 120)
    [found] = watch.series(f"{TASKS}/queue/depth", of(queue), seconds=60)
    assert [point.value.int64_value for point in found.points] == [0]


@pins(
    "monitoring",
    "Cloud Tasks",
    "queue/task_attempt_count counts attempts by code of the answer, in lower case",
    documented="metrics list: cloudtasks, DELTA INT64, response_code",
)
def test_attempts_are_counted_by_code(watch: Watcher, target: Target) -> None:
    queue = watch.queue("tried", retry_config={"max_attempts": 3, "min_backoff": "1s", "max_backoff": "1s"})
    watch.send(queue, target.url, 2)
    advance(watch.place, 30)
    target.status = 503
    watch.send(queue, target.url, 1)
    advance(watch.place, 120)
    target.status = 500
    watch.send(queue, target.url, 1)
    advance(watch.place, 120)
    found = watch.total(f"{TASKS}/queue/task_attempt_count", of(queue), "response_code")
    assert found == {("ok",): 2, ("unavailable",): 3, ("internal",): 3}
    [delta, *_] = watch.series(f"{TASKS}/queue/task_attempt_count", of(queue))
    assert (delta.metric_kind, delta.value_type) == (metric_pb2.MetricDescriptor.DELTA, 2)
    assert all((p.interval.end_time - p.interval.start_time).total_seconds() == 60 for p in delta.points)


@pins(
    "monitoring",
    "Cloud Tasks",
    "queue/task_attempt_delays is how late attempts are against their schedule, in ms",
    documented="metrics list: cloudtasks, DELTA DISTRIBUTION",
)
def test_delays_are_those_of_attempts_against_their_schedule(watch: Watcher, target: Target) -> None:
    queue = watch.queue("late")
    watch.tasks.pause_queue(name=queue)
    watch.send(queue, target.url, 4)
    advance(watch.place, 600)
    watch.tasks.resume_queue(name=queue)
    advance(watch.place, 60)
    [found] = watch.series(f"{TASKS}/queue/task_attempt_delays", of(queue))
    counted = [point.value.distribution_value for point in found.points]
    assert sum(value.count for value in counted) == 4
    assert all(sum(value.bucket_counts) == value.count for value in counted)
    assert all(600_000 <= value.mean < 720_000 for value in counted)
    aggregation = {"alignment_period": {"seconds": 600}, "per_series_aligner": Aligner.ALIGN_PERCENTILE_99}
    [p99] = watch.series(f"{TASKS}/queue/task_attempt_delays", of(queue), aggregation=aggregation)
    assert 400_000 < p99.points[0].value.double_value < 1_000_000


@pins(
    "monitoring",
    "Cloud Tasks",
    "api/request_count counts calls by method and code, of the queue they are about",
    documented="metrics list: cloudtasks, DELTA INT64, api_method, response_code",
)
def test_calls_are_counted_by_method_and_code(watch: Watcher, target: Target) -> None:
    queue = watch.queue("called")
    watch.send(queue, target.url, 3)
    for _ in range(2):
        with pytest.raises(exceptions.NotFound):
            watch.tasks.get_task(name=f"{queue}/tasks/none")
    http(f"{watch.place.rest}/v2/{queue}")
    with pytest.raises(exceptions.NotFound):
        watch.tasks.get_queue(name=f"{PARENT}/queues/made-up")
    advance(watch.place, 120)
    assert watch.series(f"{TASKS}/api/request_count", of("made-up")) == []
    found = watch.total(f"{TASKS}/api/request_count", of(queue), "api_method", "response_code")
    assert found == {
        ("CreateQueue", "ok"): 1, ("CreateTask", "ok"): 3, ("GetTask", "not_found"): 2, ("GetQueue", "ok"): 1,
    }  # fmt: skip


# Cloud Run


@pins(
    "monitoring",
    "Cloud Run",
    "request_count and request_latencies count what reached an instance, by status",
    documented="metrics list: run, DELTA; excludes requests that are not reaching your container instances",
)
@pins(
    "monitoring",
    "Cloud Run",
    "Instances by state, billed time, CPU, memory, startup latencies and most requests at once",
    documented="metrics list: run, container/...; the layout of buckets is our own",
)
def test_a_revision_is_measured(watch: Watcher, run: Runner) -> None:
    made = run.create("measured")
    for _ in range(3):
        assert http(made.uri).status == 200
    http(f"{made.uri}/teapot")
    closed = run.create("closed", public=False)
    assert http(closed.uri).status == 403
    advance(watch.place, 300)
    _check_revision(watch, made)
    mine = 'resource.type = "cloud_run_revision" resource.labels.service_name = "closed"'
    assert watch.series(f"{RUN}/request_count", mine) == []
    _delete(run, made.name, closed.name)


def _check_revision(watch: Watcher, made: Any) -> None:
    mine = 'resource.type = "cloud_run_revision" resource.labels.service_name = "measured"'
    found = watch.total(f"{RUN}/request_count", mine, "response_code", "response_code_class")
    assert found == {("200", "2xx"): 3, ("418", "4xx"): 1}
    assert sum(watch.total(f"{RUN}/request_latencies", mine).values()) == 4
    [latest] = {one.resource.labels["revision_name"] for one in watch.series(f"{RUN}/request_count", mine)}
    assert made.latest_ready_revision.endswith(f"/{latest}")
    newest = {
        one.metric.labels["state"]: one.points[0].value.int64_value
        for one in watch.series(f"{RUN}/container/instance_count", mine)
    }
    assert newest == {"active": 0, "idle": 1}
    assert watch.total(f"{RUN}/container/startup_latencies", mine) == {(): 1}
    assert watch.total(f"{RUN}/container/billable_instance_time", mine)[()] > 0
    for metric in ("cpu", "memory"):
        [used] = watch.series(f"{RUN}/container/{metric}/utilizations", mine)
        assert all(0 <= point.value.distribution_value.mean <= 1 for point in used.points)
    peaks = watch.series(f"{RUN}/container/max_request_concurrencies", f'{mine} metric.labels.state = "active"')
    assert max(point.value.distribution_value.mean for one in peaks for point in one.points) >= 1


def _delete(run: Runner, *names: str) -> None:
    for name in names:
        done(run.services.delete_service(name=name))


@pins(
    "monitoring",
    "Cloud Run",
    "job/completed_execution_count, job/completed_task_attempt_count by result, and what runs as gauges",
    documented="metrics list: run, job/...",
)
def test_executions_and_attempts_of_jobs_are_counted(watch: Watcher, run: Runner, tmp_path: Path) -> None:
    batch = Batch(run)
    done(batch.jobs.run_job(name=batch.job("counted", tasks=3).name))
    broken = batch.job("broken", "exit", "3", template={"max_retries": 1})
    with pytest.raises(exceptions.GoogleAPICallError):
        done(batch.jobs.run_job(name=broken.name))
    held = batch.job("held", "wait", str(tmp_path / "go"), tasks=2)
    running = batch.jobs.run_job(name=held.name)
    batch.until_started(held, *(tmp_path / f"go.{task}.0" for task in range(2)))
    watch.place.do(minute_ends)
    (tmp_path / "go").touch()
    done(running)
    advance(watch.place, 120)
    counted = watch.total(f"{RUN}/job/completed_task_attempt_count", job("counted"), "result", "attempt")
    assert counted == {("succeeded", "0"): 3}
    assert watch.total(f"{RUN}/job/completed_execution_count", job("counted"), "result") == {("succeeded",): 1}
    tried = watch.total(f"{RUN}/job/completed_task_attempt_count", job("broken"), "result", "attempt")
    assert tried == {("failed", "0"): 1, ("failed", "1"): 1}
    assert watch.total(f"{RUN}/job/completed_execution_count", job("broken"), "result") == {("failed",): 1}
    [gauge] = watch.series(f"{RUN}/job/running_task_attempts", job("held"))
    ran = [point.value.int64_value for point in gauge.points]
    assert (max(ran), ran[0]) == (2, 0)
    [gauge] = watch.series(f"{RUN}/job/running_executions", job("held"))
    assert {point.value.int64_value for point in gauge.points} == {0, 1}


async def minute_ends(cloud: Cloud) -> None:
    """Moves the clock over the end of a minute while work is in flight, which a move would wait for."""
    await cloud.clock.advance(60, settle=0)


def job(job_id: str) -> str:
    return f'AND resource.type = "cloud_run_job" AND resource.labels.job_name = "{job_id}"'


# Aggregation, pages, views


@pins(
    "monitoring",
    "Time series",
    "Aligners, reducers and fields to group by; labels that are not grouped by go",
    documented="google/monitoring/v3/common.proto, Aggregation",
)
def test_rates_of_queues_are_reduced_by_code(watch: Watcher, target: Target) -> None:
    for queue in (watch.queue("sum-a"), watch.queue("sum-b")):
        watch.send(queue, target.url, 3)
    advance(watch.place, 60)
    aggregation = {
        "alignment_period": {"seconds": 600},
        "per_series_aligner": Aligner.ALIGN_RATE,
        "cross_series_reducer": monitoring_v3.Aggregation.Reducer.REDUCE_SUM,
        "group_by_fields": ["metric.label.response_code"],
    }
    more = 'resource.labels.queue_id = starts_with("sum-")'
    [found] = watch.series(f"{TASKS}/queue/task_attempt_count", more, seconds=600, aggregation=aggregation)
    assert dict(found.metric.labels) == {"response_code": "ok"}
    assert dict(found.resource.labels) == {"project_id": PROJECT}
    [point] = found.points
    assert point.value.double_value == pytest.approx(6 / 600)
    assert point.interval.start_time == point.interval.end_time
    again = {"alignment_period": {"seconds": 1200}, "per_series_aligner": Aligner.ALIGN_MAX}
    [twice] = watch.series(
        f"{TASKS}/queue/task_attempt_count", more, seconds=1200, aggregation=aggregation, secondary_aggregation=again
    )
    assert [p.value.double_value for p in twice.points] == [pytest.approx(6 / 600)]


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


# Custom metrics


@pins(
    "monitoring",
    "Custom metrics",
    "The first series written makes the descriptor, and a new label is added to it",
    documented="Creating custom metrics: auto-creation",
)
def test_written_points_read_back_and_make_their_descriptor(watch: Watcher) -> None:
    metric = "custom.googleapis.com/shop/sales"
    watch.write(metric, 12, labels={"shop": "north"})
    advance(watch.place, 60)
    watch.write(metric, 15, labels={"shop": "north", "day": "1"})
    descriptor = watch.client.get_metric_descriptor(name=f"{NAME}/metricDescriptors/{metric}")
    assert [label.key for label in descriptor.labels] == ["shop", "day"]
    assert (descriptor.metric_kind, descriptor.value_type) == (metric_pb2.MetricDescriptor.GAUGE, 2)
    found = watch.series(metric, 'metric.labels.shop = "north"')
    assert sorted(point.value.int64_value for one in found for point in one.points) == [12, 15]
    assert {tuple(one.resource.labels.items()) for one in found} == {(("project_id", PROJECT),)}
    watch.client.delete_metric_descriptor(name=descriptor.name)
    with pytest.raises(exceptions.NotFound, match="Cannot find metric"):
        watch.series(metric)


@pytest.mark.parametrize(("kind", "steps"), [("CUMULATIVE", [5, 9, 20]), ("DELTA", [5, 4, 11])])
def test_counters_of_ones_own_align_to_what_was_counted(watch: Watcher, kind: str, steps: list[int]) -> None:
    metric = f"custom.googleapis.com/counted/{kind.lower()}"
    begun = watch.now()
    for index, value in enumerate(steps):
        made = watch.point(metric, value)
        made.metric_kind = metric_pb2.MetricDescriptor.MetricKind.Value(kind)
        since = begun if kind == "CUMULATIVE" else begun + 60 * index + 0.001
        made.points[0].interval.start_time = datetime.fromtimestamp(since, UTC)
        made.points[0].interval.end_time = datetime.fromtimestamp(begun + 60 * (index + 1), UTC)
        watch.client.create_time_series(name=NAME, time_series=[made])
    advance(watch.place, 300)
    aggregation = {"alignment_period": {"seconds": 100}, "per_series_aligner": Aligner.ALIGN_DELTA}
    interval = monitoring_v3.TimeInterval(
        start_time=datetime.fromtimestamp(begun + 90, UTC), end_time=datetime.fromtimestamp(begun + 190, UTC)
    )
    [found] = watch.series(metric, aggregation=aggregation, interval=interval)
    assert [point.value.int64_value for point in found.points] == [4 + 11]


@pins(
    "monitoring",
    "Custom metrics",
    "Points are written in order, 5 s apart, one a series and call, of one type",
    documented="CreateTimeSeries",
    observed="the words of public issues of Google's clients",
)
def test_what_cannot_be_written_is_said_and_the_rest_is_written(watch: Watcher) -> None:
    metric = "custom.googleapis.com/order"
    watch.write(metric, 1)
    for at, why in ((-60, "Points must be written in order"), (2, "written more frequently than the maximum sampling")):
        with pytest.raises(exceptions.InvalidArgument, match=why):
            watch.write(metric, 2, at=at)
    with pytest.raises(exceptions.InvalidArgument, match="of kind GAUGE and value type INT64, not GAUGE and DOUBLE"):
        watch.write(metric, 2.5, at=10)
    same = [watch.point("custom.googleapis.com/twice", value) for value in (1, 2)]
    with pytest.raises(exceptions.InvalidArgument, match=r"Duplicate TimeSeries encountered.*timeSeries\[1\]") as error:
        watch.client.create_time_series(name=NAME, time_series=same)
    summary = monitoring_v3.CreateTimeSeriesSummary.pb()()
    assert error.value.details[0].Unpack(summary)
    assert (summary.total_point_count, summary.success_point_count) == (2, 1)
    [found] = watch.series("custom.googleapis.com/twice")
    assert [point.value.int64_value for point in found.points] == [1]
    for bad in ("compute.googleapis.com/x", "nonsense", "custom.googleapis.com/"):
        with pytest.raises(exceptions.InvalidArgument):
            watch.write(bad, 1)
    for at in (600, -26 * 3600):
        with pytest.raises(exceptions.InvalidArgument, match="endTime"):
            watch.write("custom.googleapis.com/when", 1, at=at)


def test_distributions_of_ones_own_are_checked_and_give_percentiles(watch: Watcher) -> None:
    def write(counts: list[int], bounds: list[float], count: int) -> None:
        made = watch.point("custom.googleapis.com/spread", 0)
        made.points[0].value = monitoring_v3.TypedValue(
            distribution_value={
                "count": count, "mean": 15, "bucket_counts": counts,
                "bucket_options": {"explicit_buckets": {"bounds": bounds}},
            }
        )  # fmt: skip
        watch.client.create_time_series(name=NAME, time_series=[made])

    for counts, bounds, count in (([1], [2, 1], 1), ([1], [1, 2], 5), ([1, 1, 1, 1], [1], 4), ([1], [*range(300)], 1)):
        with pytest.raises(exceptions.InvalidArgument, match="distributionValue"):
            write(counts, list(map(float, bounds)), count)
    write([0, 50, 50], [0.0, 10.0, 20.0], 100)
    aggregation = {"alignment_period": {"seconds": 60}, "per_series_aligner": Aligner.ALIGN_PERCENTILE_50}
    [found] = watch.series("custom.googleapis.com/spread", aggregation=aggregation)
    assert [point.value.double_value for point in found.points] == [10.0]
    [raw] = watch.series("custom.googleapis.com/spread")
    assert list(raw.points[0].value.distribution_value.bucket_counts) == [0, 50, 50]


def test_a_descriptor_of_ones_own_is_made_changed_and_kept_in_kind(watch: Watcher) -> None:
    made = metric_pb2.MetricDescriptor(
        type="custom.googleapis.com/own", metric_kind="GAUGE", value_type="DOUBLE", unit="ms", labels=[{"key": "a"}]
    )
    created = watch.client.create_metric_descriptor(name=NAME, metric_descriptor=made)
    assert created.name == f"{NAME}/metricDescriptors/custom.googleapis.com/own"
    made.labels[0].key = "b"
    again = watch.client.create_metric_descriptor(name=NAME, metric_descriptor=made)
    assert {label.key for label in again.labels} == {"a", "b"}
    made.value_type = metric_pb2.MetricDescriptor.INT64
    with pytest.raises(exceptions.InvalidArgument, match="cannot be changed"):
        watch.client.create_metric_descriptor(name=NAME, metric_descriptor=made)
    with pytest.raises(exceptions.InvalidArgument, match="only metrics that users made"):
        watch.client.delete_metric_descriptor(name=f"{NAME}/metricDescriptors/{TASKS}/queue/depth")


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
