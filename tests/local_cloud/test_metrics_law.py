"""The arithmetic of metrics against the most naive way to say it: runs, distributions, aligners, reducers, filters."""

import contextlib
from collections.abc import Callable
from statistics import fmean, pstdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.metrics import align, distribution, filters, reduce
from local_cloud.metrics.distribution import Distribution, add, explicit, exponential, percentile, subtract, tally
from local_cloud.metrics.series import SECOND, STEP, Key, Point, Run, Series, key
from tests.dose import share
from tests.fidelity import pins

KEY = key("custom.googleapis.com/x", "global", {}, {})
BUCKETS = exponential(20, 2.0, 1.0)
ENDS = st.lists(st.integers(0, 3000), unique=True, max_size=30).map(sorted)
VALUES = st.lists(st.floats(0, 1e6), max_size=30)
QUICK = settings(max_examples=60, deadline=None)


def series(kind: str, ends: list[int], values: list[float], value_type: str = "DOUBLE", width: int = 1) -> Series:
    points = [
        Point((end - (width if kind == "DELTA" else 0)) * SECOND, end * SECOND, value)
        for end, value in zip(ends, values, strict=False)
    ]
    return Series(KEY, kind, value_type, points)


# Distributions


@QUICK
@given(VALUES, VALUES)
def test_adding_distributions_is_the_distribution_of_all_values(first: list[float], second: list[float]) -> None:
    both, whole = add([tally(first, BUCKETS), tally(second, BUCKETS)]), tally(first + second, BUCKETS)
    assert (both.size, both.counts) == (whole.size, whole.counts)
    assert both.mean == pytest.approx(fmean(first + second) if first + second else 0)
    assert both.deviation == pytest.approx(whole.deviation, rel=1e-6, abs=1e-3 * max([1.0, *first, *second]))
    back = subtract(both, tally(first, BUCKETS))
    assert (back.size, back.counts) == (len(second), tally(second, BUCKETS).counts)


@QUICK
@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=40), st.floats(0, 100))
def test_a_percentile_lies_in_the_bucket_of_the_value_that_has_that_rank(values: list[float], percent: float) -> None:
    found = tally(values, BUCKETS)
    rank = next(i for i in range(1, len(values) + 1) if i >= percent / 100 * len(values))
    true = sorted(values)[rank - 1]
    bounds = (0.0, *distribution.bounds_of(BUCKETS), 2.0**20)
    low = max(bound for bound in bounds if bound <= true)
    high = min([bound for bound in bounds if bound > true], default=2.0**20)
    assert low <= percentile(found, percent) <= high


def test_counts_of_other_buckets_move_to_where_their_middle_lies() -> None:
    narrow, wide = explicit([0, 1, 2, 3, 4]), explicit([0, 2, 4])
    assert add([tally([], wide), tally([0.5, 1.5, 2.5, 3.5], narrow)]).counts == (0, 2, 2)


# Runs


@QUICK
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=20), st.integers(0, 60))
def test_runs_give_the_points_that_were_put_into_them(steps: list[tuple[int, int]], after: int) -> None:
    plain: list[Point] = []
    runs: list[Run] = []
    at = 0
    for gap, value in steps:
        at += gap * STEP
        plain.append(Point(at - STEP, at, value))
        one = Run(at - STEP, at, 1, value)
        joined = runs[-1].followed_by(one) if runs else None
        if joined is None:
            runs.append(one)
        else:
            runs[-1] = joined
    since, until = after * STEP, (after + 10) * STEP
    found = [point for run in runs for point in run.points(since, until)]
    assert found == [point for point in plain if since < point.end <= until]


def test_values_of_another_type_or_width_are_no_run() -> None:
    assert Run(STEP, STEP, 1, 1).followed_by(Run(2 * STEP, 2 * STEP, 1, True)) is None
    assert Run(STEP, STEP, 1, 1).followed_by(Run(STEP, 2 * STEP, 1, 1)) is None
    assert Run(STEP, STEP, 1, 1).followed_by(Run(3 * STEP, 3 * STEP, 1, 1)) is None


# Alignment

NAIVE: dict[str, Callable[..., Any]] = {
    "ALIGN_MIN": min, "ALIGN_MAX": max, "ALIGN_MEAN": fmean, "ALIGN_SUM": sum, "ALIGN_COUNT": len,
    "ALIGN_STDDEV": pstdev,
}  # fmt: skip


@pins(
    "monitoring",
    "Time series",
    "Periods end where the interval ends and go back from there; a point counts whole in the period in which it ends",
    ours="Google interpolates counters at the edges of periods: whole counts are what a test can foretell",
)
@pytest.mark.parametrize("aligner", NAIVE)
@QUICK
@given(ends=ENDS, values=st.lists(st.integers(0, 1000), min_size=30, max_size=30), end=st.integers(600, 3000))
def test_an_aligned_value_is_that_of_the_points_of_its_period(
    aligner: str, ends: list[int], values: list[int], end: int
) -> None:
    period, start = 120, end - 600
    made = align.align(
        series("GAUGE", ends, list(map(float, values))), aligner, period * SECOND, start * SECOND, end * SECOND
    )
    wanted = {}
    for at in range(end, start, -period):
        inside = [value for when, value in zip(ends, values, strict=False) if at - period < when <= at]
        if inside:
            wanted[at] = NAIVE[aligner](inside)
    assert {point.end // SECOND: point.value for point in made.points} == pytest.approx(wanted)
    assert [point.end for point in made.points] == sorted(point.end for point in made.points)


@QUICK
@given(ENDS, st.lists(st.integers(0, 50), min_size=30, max_size=30), st.sets(st.integers(0, 29)))
def test_a_cumulative_metric_aligns_to_the_same_changes(ends: list[int], steps: list[int], resets: set[int]) -> None:
    points, total, since = [], 0, -1
    for index, (end, step) in enumerate(zip(ends, steps, strict=False)):
        if index in resets:
            total, since = 0, (ends[index - 1] if index else -1)
        total += step
        points.append(Point(since * SECOND, end * SECOND, total))
    cumulative = Series(KEY, "CUMULATIVE", "INT64", points)
    changes = Series(KEY, "DELTA", "INT64", [Point(0, e * SECOND, s) for e, s in zip(ends, steps, strict=False)])
    window = (300 * SECOND, -SECOND, 3000 * SECOND)
    one = align.align(cumulative, "ALIGN_DELTA", *window)
    assert one.points == align.align(changes, "ALIGN_DELTA", *window).points
    assert sum(int(str(point.value)) for point in one.points) == sum(steps[: len(ends)])
    rates = align.align(changes, "ALIGN_RATE", *window)
    assert [float(str(p.value)) * 300 for p in rates.points] == pytest.approx([p.value for p in one.points])


def test_the_value_before_holds_until_the_next_and_lines_lie_between_neighbours() -> None:
    gauge = series("GAUGE", [30, 270], [10.0, 50.0])
    window = (60 * SECOND, 0, 300 * SECOND)
    older = align.align(gauge, "ALIGN_NEXT_OLDER", *window)
    assert [(p.end // SECOND, p.value) for p in older.points] == [(60, 10), (120, 10), (180, 10), (240, 10), (300, 50)]
    between = align.align(gauge, "ALIGN_INTERPOLATE", *window)
    assert [(p.end // SECOND, p.value) for p in between.points] == [(60, 15), (120, 25), (180, 35), (240, 45)]


def test_change_is_in_per_cent_of_the_period_before() -> None:
    made = align.align(series("GAUGE", [60, 120, 180], [10.0, 15.0, 12.0]), "ALIGN_PERCENT_CHANGE", 60 * SECOND, 0,
                       180 * SECOND)  # fmt: skip
    assert [point.value for point in made.points] == [50.0, -20.0]


def test_percentiles_are_of_all_distributions_of_a_period_together() -> None:
    parts = [tally([1.0] * 99, BUCKETS), tally([1000.0], BUCKETS)]
    delta = Series(KEY, "DELTA", "DISTRIBUTION", [Point(0, 60 * SECOND, parts[0]), Point(0, 90 * SECOND, parts[1])])
    [point] = align.align(delta, "ALIGN_PERCENTILE_99", 120 * SECOND, 0, 120 * SECOND).points
    assert point.value == percentile(add(parts), 99)
    [point] = align.align(delta, "ALIGN_SUM", 120 * SECOND, 0, 120 * SECOND).points
    assert isinstance(point.value, Distribution)
    assert point.value.size == 100


# Reduction

REDUCED: dict[str, Callable[..., Any]] = {
    "REDUCE_MIN": min, "REDUCE_MAX": max, "REDUCE_MEAN": fmean, "REDUCE_SUM": sum, "REDUCE_COUNT": len,
    "REDUCE_STDDEV": pstdev,
}  # fmt: skip


def labelled(zone: str, code: str) -> Key:
    return key("custom.googleapis.com/x", "generic_node", {"location": zone, "project_id": "p"}, {"code": code})


@pytest.mark.parametrize("reducer", REDUCED)
@QUICK
@given(st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")),
                       st.dictionaries(st.integers(1, 5), st.integers(0, 100), max_size=5), max_size=6))  # fmt: skip
def test_a_reduced_value_is_that_of_the_group_at_its_time(
    reducer: str, given_: dict[tuple[str, str], dict[int, int]]
) -> None:
    found = [
        Series(labelled(*names), "GAUGE", "INT64", [Point(at, at, values[at]) for at in sorted(values)])
        for names, values in given_.items()
    ]
    made = reduce.reduce(found, reducer, ["resource.labels.location"])
    for one in made:
        zone = dict(one.key.resource_labels)["location"]
        group = [values for (where, _), values in given_.items() if where == zone]
        wanted = {}
        for at in {at for values in group for at in values}:
            wanted[at] = REDUCED[reducer]([values[at] for values in group if at in values])
        assert {point.end: point.value for point in one.points} == pytest.approx(wanted)
        assert dict(one.key.resource_labels)["project_id"] == "p"
        assert one.key.metric_labels == ()
    assert len(made) == len({where for where, _ in given_})


def test_sums_of_groups_sum_up_to_the_sum_of_all() -> None:
    found = [
        Series(labelled(zone, code), "DELTA", "INT64", [Point(0, 60, value)])
        for value, (zone, code) in enumerate([("a", "x"), ("a", "y"), ("b", "x")], 1)
    ]
    grouped = reduce.reduce(found, "REDUCE_SUM", ["metric.label.code"])
    assert [(dict(s.key.metric_labels), s.points[0].value) for s in grouped] == [({"code": "x"}, 4), ({"code": "y"}, 2)]
    [whole] = reduce.reduce(grouped, "REDUCE_SUM", [])
    assert (whole.kind, whole.points) == ("DELTA", [Point(0, 60, 6)])


# Filters

SUBJECT = {
    ("metric.type", ""): "run.googleapis.com/request_count",
    ("resource.type", ""): "cloud_run_revision",
    ("project", ""): "p",
    ("metric.labels", "response_code"): "503",
    ("metric.labels", "my key"): "v",
    ("resource.labels", "service_name"): "pay",
}


@pins(
    "monitoring",
    "Time series",
    "Filters: comparisons, starts_with, ends_with, has_substring, one_of, full_match; NOT before OR before AND",
    documented="Monitoring filters",
)
@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ('metric.type = "run.googleapis.com/request_count"', True),
        ('metric.type="run.googleapis.com/request_count" resource.type="x"', False),
        ("metric.type = starts_with('run.')", True),
        ('metric.type = ends_with("_count") AND resource.label.service_name = one_of("a", "pay")', True),
        ('resource.labels.service_name = has_substring("a")', True),
        ('resource.labels.service_name : "ay"', True),
        ('resource.labels.service_name = monitoring.regex.full_match("p.y")', True),
        ('resource.labels.service_name = monitoring.regex.full_match("p")', False),
        ('resource.labels.service_name != one_of("a", "b")', True),
        ("metric.labels.response_code >= 500", True),
        ("metric.labels.response_code < 500", False),
        ("metric.labels.response_code = 503", True),
        ('metric.label."response_code" = "503"', True),
        ('metric.labels."my key" = "v"', True),
        ('NOT resource.labels.service_name = "pay"', False),
        ('-resource.labels.service_name = "other"', True),
        ('metric.labels.missing = ""', True),
        ('metric.labels.missing != "x"', True),
        ('metric.labels.missing > "x"', False),
        ('resource.labels.service_name = "a" OR resource.labels.service_name = "pay"', True),
        # OR binds tighter than AND.
        ('project = "q" AND resource.type = "y" OR resource.type = "cloud_run_revision"', False),
        ('(resource.labels.service_name = "a" OR resource.labels.service_name = "b") project = "p"', False),
    ],
)
def test_filters_hold_for_what_they_say(text: str, holds: bool) -> None:
    assert filters.parse(text).matches(SUBJECT) is holds


@pins(
    "monitoring",
    "Time series",
    "AND and OR are not mixed among restrictions of one group of labels, and OR does not join groups",
    observed="AND and OR cannot be mixed for 'resource.labels' restrictions.",
)
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("metric.type", "syntax error at line 1, column 12, the end of the filter"),
        ("metric.type = ", "the end of the filter"),
        ('(metric.type = "x"', "the end of the filter"),
        ('metric.type =~ "x"', "syntax error at line 1, column 13, token '=~'"),
        ('metric.type = "x" AND\nAND', "Unknown selector 'AND'"),
        ('severity = "x"', "Unknown selector 'severity'"),
        ('metric.type = like("x")', "Unknown function 'like' with 1 arguments"),
        ('metric.type > starts_with("x")', "can be used with = and != only"),
        ('metric.type = monitoring.regex.full_match("(")', "Invalid regular expression"),
        (
            'resource.labels.a = "1" AND (resource.labels.b = "1" OR resource.labels.b = "2")',
            "AND and OR cannot be mixed for 'resource.labels' restrictions.",
        ),
        ('resource.type = "x" OR metric.type = "y"', "OR cannot join restrictions of"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, why: str) -> None:
    with pytest.raises(filters.FilterError) as error:
        filters.parse(text)
    assert why in str(error.value)


@settings(max_examples=share(200, 70), deadline=None)
@given(st.text(alphabet='metric.typeresource.labels ANDORNOT()"=!<>:,-x', max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(filters.FilterError):
        filters.parse(text).matches(SUBJECT)


def test_only_what_must_hold_counts_as_asked_for() -> None:
    found = filters.parse('metric.type = "a" AND NOT resource.type = "b" AND (project = "c" OR project = "d")')
    assert found.wanted == {("metric.type", ""): ["a"]}
    assert found.named == {("metric.type", ""), ("resource.type", ""), ("project", "")}
