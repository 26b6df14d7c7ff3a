"""The law of conditions on series made up by chance: windows of retests, and that nothing is missed by not looking."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.alerting import forecast
from local_cloud.alerting.conditions import Condition, build
from local_cloud.descriptors import message
from local_cloud.metrics.points import Kept
from local_cloud.metrics.series import STEP, Point, Run, key
from local_cloud.server.json_codec import decode_into

METRIC = "cloudtasks.googleapis.com/queue/depth"
FILTER = f'metric.type="{METRIC}" AND resource.type="cloud_tasks_queue"'
START = 1_000_000 * STEP


class Stored:
    """Series as the store of points has them."""

    def __init__(self, all_values: Sequence[Sequence[float | None]]) -> None:
        self.kept = []
        for number, values in enumerate(all_values):
            name = key(METRIC, "cloud_tasks_queue", {"queue_id": f"q{number}", "project_id": "p"}, {})
            runs: list[Run] = []
            for index, value in enumerate(values):
                if value is None:
                    continue
                run = Run(START + index * STEP, START + index * STEP, 1, value)
                joined = runs[-1].followed_by(run) if runs else None
                runs[-1:] = [joined] if joined else [*runs[-1:], run]
            self.kept.append(
                Kept(number + 1, name, "GAUGE", "DOUBLE", [runs[at : at + 3] for at in range(0, len(runs), 3)])
            )

    def find(self, _metric: str) -> list[Kept]:
        return self.kept


class Known:
    """A catalogue of one metric."""

    def find(self, _metric: str) -> Any:
        from local_cloud.metrics.catalogue import Metric

        return Metric(METRIC, "GAUGE", "DOUBLE", "1", frozenset(), frozenset({"cloud_tasks_queue"}))


def condition(stored: Stored, body: dict[str, Any]) -> Condition:
    proto = message("google.monitoring.v3.AlertPolicy.Condition")()
    errors: list[Any] = []
    decode_into(proto, body, "condition", errors)
    assert not errors
    given: Any = stored
    known: Any = Known()
    return build(given, known, "p", proto, WeakValueDictionary())


def threshold(minutes: int, period: int = 60, missing: str = "") -> dict[str, Any]:
    aggregations = [{"alignmentPeriod": f"{period}s", "perSeriesAligner": "ALIGN_MAX"}]
    inner = {"filter": FILTER, "comparison": "COMPARISON_GT", "thresholdValue": 5, "duration": f"{minutes * 60}s"}
    more = {"evaluationMissingData": f"EVALUATION_MISSING_DATA_{missing}"} if missing else {}
    return {"name": "c", "conditionThreshold": inner | {"aggregations": aggregations} | more}


def absence(minutes: int) -> dict[str, Any]:
    return {"name": "c", "conditionAbsent": {"filter": FILTER, "duration": f"{minutes * 60}s"}}


def every_minute(one: Condition, count: int) -> list[set[str]]:
    """What is met at each minute, all of it worked out."""
    found = []
    for index in range(count):
        one._steady = 0
        one.evaluate(START + index * STEP)
        found.append(named(one))
    return found


def where_due(one: Condition, count: int) -> list[set[str]]:
    """The same as the evaluation does it: minutes in which nothing can change are left out."""
    found: list[set[str]] = []
    while len(found) < count:
        one.evaluate(START + len(found) * STEP)
        found.append(named(one))
        skipped = min(count, (one.due() - START) // STEP) - len(found)
        found.extend([named(one)] * max(0, skipped))
    return found


def named(one: Condition) -> set[str]:
    return {dict(name.resource_labels)["queue_id"] for name in one.active()}


values = st.lists(
    st.tuples(st.sampled_from([None, 1.0, 9.0]), st.integers(1, 12)), min_size=1, max_size=12
).map(lambda runs: [value for value, times in runs for _ in range(times)])  # fmt: skip
bodies = st.one_of(
    st.builds(threshold, st.integers(0, 6), st.sampled_from([60, 180]), st.sampled_from(["", "NO_OP"])),
    st.builds(threshold, st.integers(1, 6), st.just(60), st.sampled_from(["ACTIVE", "INACTIVE"])),
    st.builds(absence, st.integers(3, 8)),
)


@given(st.lists(values, min_size=1, max_size=3), bodies)
@settings(max_examples=80, deadline=None)
def test_leaving_out_minutes_changes_nothing(series: list[list[float | None]], body: dict[str, Any]) -> None:
    count = max(map(len, series)) + 20
    assert where_due(condition(Stored(series), body), count) == every_minute(condition(Stored(series), body), count)


@given(st.lists(st.sampled_from([1.0, 9.0]), min_size=1, max_size=40), st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_a_threshold_is_met_when_the_last_minutes_all_violate(series: list[float], minutes: int) -> None:
    found = every_minute(condition(Stored([series]), threshold(minutes)), len(series))
    for index, met in enumerate(found):
        window = series[max(0, index + 1 - max(1, minutes)) : index + 1]
        assert bool(met) == (len(window) >= max(1, minutes) and all(value > 5 for value in window))


@given(values, st.integers(3, 8))
@settings(max_examples=60, deadline=None)
def test_absence_is_met_when_a_series_that_was_there_says_nothing_so_long(
    series: list[float | None], minutes: int
) -> None:
    count = len(series) + minutes + 2
    found = every_minute(condition(Stored([series]), absence(minutes)), count)
    for index, met in enumerate(found):
        seen = [at for at, value in enumerate(series[: index + 1]) if value is not None]
        assert bool(met) == (bool(seen) and index - seen[-1] >= minutes)


@given(st.floats(-10, 10), st.floats(-1000, 1000), st.integers(2, 100), st.integers(1, 500))
def test_a_straight_line_is_foreseen_exactly(slope: float, begin: float, count: int, ahead: int) -> None:
    points = [Point(0, START + index * STEP, begin + slope * index) for index in range(count)]
    [then] = forecast.line(points, START + (count + ahead) * STEP)
    assert abs(then - (begin + slope * (count + ahead))) < 1e-3
