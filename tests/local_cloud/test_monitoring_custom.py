"""Metrics of one's own through Google's own client: written, described, aggregated, refused as Google does."""

from datetime import UTC, datetime

import pytest
from google.api import metric_pb2  # type: ignore[import-untyped]
from google.api_core import exceptions
from google.cloud import monitoring_v3

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.cloud_tasks.tasks_target import advance
from tests.local_cloud.metrics_client import NAME, TASKS, Aligner, Watcher

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
