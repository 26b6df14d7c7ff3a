"""The metrics of Cloud Tasks and Cloud Run through Google's own client: what runs in the cloud is measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api import metric_pb2  # type: ignore[import-untyped]
from google.api_core import exceptions
from google.cloud import monitoring_v3

from local_cloud.cloud import Cloud
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import Target, advance, listening
from tests.local_cloud.metrics_client import RUN, TASKS, Aligner, Watcher, of
from tests.local_cloud.run_client import Runner, done, http
from tests.local_cloud.test_run_executions import Batch


@pytest.fixture(scope="module")
def one_target() -> Iterator[Target]:
    with listening() as made:
        yield made


@pytest.fixture
def target(one_target: Target) -> Target:
    one_target.status = 200
    return one_target


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
    await cloud.clock.advance(60, wait=0)


def job(job_id: str) -> str:
    return f'AND resource.type = "cloud_run_job" AND resource.labels.job_name = "{job_id}"'


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
