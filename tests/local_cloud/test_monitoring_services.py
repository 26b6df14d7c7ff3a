"""Services and SLOs through Google's own client: what is kept, what is refused, and the series of selectors."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions

from tests.fidelity import pins
from tests.local_cloud.alerting.alerts_client import above, alerts_at
from tests.local_cloud.cloud_places import Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, advance, listening
from tests.local_cloud.metrics_client import NAME, TASKS, Watcher
from tests.local_cloud.monitoring_clients import client

WEEK = timedelta(days=7)
COUNT = f'metric.type = "{TASKS}/queue/task_attempt_count" resource.type = "cloud_tasks_queue"'


@pytest.fixture(scope="module")
def slos(place: Place) -> Iterator[Any]:
    with client(place, "slos") as made:
        yield made


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with listening() as made:
        yield made


@pytest.fixture(scope="module")
def service(slos: Any) -> str:
    given = {"custom": {}, "display_name": "Payouts"}
    return str(slos.create_service(request={"parent": NAME, "service_id": "payouts", "service": given}).name)


def ratio(queue: str, goal: float = 0.9) -> dict[str, Any]:
    """Attempts on a queue that ended well, of all of them."""
    every = f'{COUNT} resource.labels.queue_id = "{queue.rpartition("/")[2]}"'
    good = f'{every} metric.labels.response_code = "ok"'
    indicator = {"request_based": {"good_total_ratio": {"good_service_filter": good, "total_service_filter": every}}}
    return {"service_level_indicator": indicator, "goal": goal, "rolling_period": WEEK}


def attempts(watch: Watcher, target: Target, queue: str, good: int, bad: int) -> None:
    """Attempts of which some fail, all counted in a minute that is over."""
    for status, count in ((200, good), (500, bad)):
        target.status = status
        watch.send(queue, target.url, count)
        advance(watch.place, 5)
    advance(watch.place, 120)


def once(watch: Watcher, name: str) -> str:
    return watch.queue(name, retry_config={"max_attempts": 1})


def values(watch: Watcher, text: str, **more: Any) -> list[float]:
    """A selector's points, newest first."""
    request = {"name": NAME, "filter": text, "interval": watch.interval(more.pop("seconds", 600)), **more}
    found = list(watch.client.list_time_series(request=request))
    return [point.value.double_value for one in found for point in one.points]


@pins(
    "monitoring",
    "Services and SLOs",
    "Services are made under a chosen or a given id, listed by kind, changed by mask, and take their SLOs with them",
    documented="google/monitoring/v3/service_service.proto",
)
def test_services_are_kept_with_their_objectives(slos: Any, watch: Watcher) -> None:
    made = slos.create_service(parent=NAME, service={"custom": {}, "user_labels": {"team": "money"}})
    run = {"service_name": "gcwebhook", "location": "us-central1"}
    named = slos.create_service(request={"parent": NAME, "service_id": "run", "service": {"cloud_run": run}})
    assert slos.get_service(name=made.name) == made
    assert named.name == f"{NAME}/services/run"
    with pytest.raises(exceptions.AlreadyExists):
        slos.create_service(request={"parent": NAME, "service_id": "run", "service": {"custom": {}}})
    listed = slos.list_services(request={"parent": NAME, "filter": 'identifier_case = "CLOUD_RUN"'})
    assert [one.name for one in listed] == [named.name]
    change = {"name": made.name, "display_name": "New"}
    changed = slos.update_service(request={"service": change, "update_mask": {"paths": ["display_name"]}})
    assert (changed.display_name, dict(changed.user_labels)) == ("New", {"team": "money"})
    objective = slos.create_service_level_objective(
        parent=made.name, service_level_objective=ratio(once(watch, "gone"))
    )
    slos.delete_service(name=made.name)
    with pytest.raises(exceptions.NotFound):
        slos.get_service_level_objective(name=objective.name)
    slos.delete_service(name=named.name)
    for wrong in ({}, {"cloud_run": {"service_name": "x"}}):
        with pytest.raises(exceptions.InvalidArgument):
            slos.create_service(parent=NAME, service=wrong)


@pins(
    "monitoring",
    "Services and SLOs",
    "The series of an SLO: health, compliance, burn rate, budget, fraction, total, counts of good and bad",
    documented="Retrieving SLO data: time-series selectors",
)
def test_selectors_give_what_attempts_were(slos: Any, watch: Watcher, target: Target, service: str) -> None:
    queue = once(watch, "counted-slo")
    made = slos.create_service_level_objective(parent=service, service_level_objective=ratio(queue))
    advance(watch.place, 3600)
    attempts(watch, target, queue, 16, 0)
    advance(watch.place, 3600)
    attempts(watch, target, queue, 3, 1)
    assert values(watch, f'select_slo_compliance("{made.name}")')[0] == pytest.approx(19 / 20)
    assert values(watch, f'select_slo_budget_total("{made.name}")')[0] == pytest.approx(2)
    assert values(watch, f'select_slo_budget("{made.name}")')[0] == pytest.approx(1)
    assert values(watch, f'select_slo_budget_fraction("{made.name}")')[0] == pytest.approx(0.5)
    assert values(watch, f'select_slo_burn_rate("{made.name}", "10m")')[0] == pytest.approx(2.5)
    assert values(watch, f'select_slo_burn_rate("{made.name}", "7200s")')[0] == pytest.approx(0.5)
    advance(watch.place, 3600)
    assert values(watch, f'select_slo_burn_rate("{made.name}", "600s")')[0] == 0
    mean = {"alignment_period": timedelta(hours=3), "per_series_aligner": "ALIGN_MEAN"}
    [health] = values(watch, f'select_slo_health("{made.name}")', seconds=10800, aggregation=mean)
    assert health == pytest.approx(19 / 20)
    rate = {"alignment_period": timedelta(hours=3), "per_series_aligner": "ALIGN_DELTA"}
    request = {"name": NAME, "filter": f'select_slo_counts("{made.name}")', "interval": watch.interval(10800)}
    counted = watch.client.list_time_series(request=request | {"aggregation": rate})
    found = {one.metric.labels["event_type"]: one.points[0].value.double_value for one in counted}
    assert found == {"good": 19, "bad": 1}
    advance(watch.place, WEEK.total_seconds())
    assert values(watch, f'select_slo_compliance("{made.name}")') == []


@pins(
    "monitoring",
    "Services and SLOs",
    "Cuts of distributions, and windows judged by a ratio or a mean; windows without events count for nothing",
    documented="google/monitoring/v3/service.proto",
)
def test_other_indicators(slos: Any, watch: Watcher, target: Target, service: str) -> None:
    queue = once(watch, "judged-slo")
    attempts(watch, target, queue, 4, 0)
    attempts(watch, target, queue, 1, 3)
    delays = f'metric.type = "{TASKS}/queue/task_attempt_delays" resource.labels.queue_id = "judged-slo"'
    depth = f'metric.type = "{TASKS}/queue/depth" resource.labels.queue_id = "judged-slo"'
    window = {"window_period": timedelta(minutes=1)}
    requests = ratio(queue)["service_level_indicator"]["request_based"]
    late, idle = {"min": 3.6e6, "max": 1e9}, {"time_series": depth, "range": {"min": -1, "max": 1}}
    indicators = {
        "soon": {"request_based": {"distribution_cut": {"distribution_filter": delays, "range": {"max": 3.6e6}}}},
        "never": {"request_based": {"distribution_cut": {"distribution_filter": delays, "range": late}}},
        "good": {"windows_based": window | {"good_total_ratio_threshold": {"performance": requests, "threshold": 0.7}}},
        "empty": {"windows_based": window | {"metric_mean_in_range": idle}},
    }  # fmt: skip
    shares = {}
    for name, indicator in indicators.items():
        given = {"service_level_indicator": indicator, "goal": 0.5, "calendar_period": "MONTH"}
        made = slos.create_service_level_objective(
            request={"parent": service, "service_level_objective_id": name, "service_level_objective": given}
        )
        [shares[name], *_] = values(watch, f'select_slo_compliance("{made.name}")', seconds=300)
    assert (shares["soon"], shares["never"], shares["empty"]) == (1.0, 0.0, 1.0)
    assert 0.5 <= shares["good"] < 1


@pins(
    "monitoring",
    "Services and SLOs",
    "Cloud Run's basic indicators: availability (5xx is bad) and latency, written out in the view EXPLICIT",
    documented="google/monitoring/v3/service.proto, BasicSli",
)
def test_basic_indicators_are_written_out(slos: Any) -> None:
    run = {"service_name": "gcsplit", "location": "us-central1"}
    service = slos.create_service(parent=NAME, service={"cloud_run": run}).name
    for criteria, field in (
        ({"availability": {}}, "good_total_ratio"),
        ({"latency": {"threshold": {"seconds": 2}}}, "distribution_cut"),
    ):
        given = {"service_level_indicator": {"basic_sli": criteria}, "goal": 0.99, "rolling_period": WEEK}
        made = slos.create_service_level_objective(parent=service, service_level_objective=given)
        assert "basic_sli" in made.service_level_indicator
        shown = slos.get_service_level_objective(request={"name": made.name, "view": "EXPLICIT"})
        assert field in shown.service_level_indicator.request_based
        assert "gcsplit" in str(shown.service_level_indicator)
    listed = slos.list_service_level_objectives(request={"parent": service, "page_size": 1})
    assert len(list(listed)) == 2
    slos.delete_service(name=service)


@pins(
    "monitoring",
    "Services and SLOs",
    "Goals, periods, windows and filters that Google refuses are refused",
    documented="google/monitoring/v3/service.proto",
)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"goal": 1.0}, "goal"),
        ({"goal": 0.0}, "goal"),
        ({"goal": float("nan")}, "goal"),
        ({"rolling_period": timedelta(hours=30)}, "rollingPeriod"),
        ({"rolling_period": timedelta(days=31)}, "rollingPeriod"),
        ({"rolling_period": None}, "period"),
        ({"rolling_period": None, "calendar_period": "YEAR"}, "calendarPeriod"),
        ({"service_level_indicator": {"windows_based": {"window_period": timedelta(minutes=7)}}}, "windowPeriod"),
        ({"service_level_indicator": {"basic_sli": {"availability": {}}}}, "basicSli"),
        ({"service_level_indicator": None}, "serviceLevelIndicator"),
        (
            {"service_level_indicator": {"request_based": {"good_total_ratio": {"good_service_filter": COUNT}}}},
            "exactly two",
        ),
        (
            {"service_level_indicator": {"request_based": {"distribution_cut": {"distribution_filter": COUNT}}}},
            "DISTRIBUTION",
        ),
    ],
)
def test_bad_objectives_are_refused(slos: Any, service: str, change: dict[str, Any], said: str) -> None:
    given = {name: value for name, value in (ratio("any") | change).items() if value is not None}
    with pytest.raises(exceptions.InvalidArgument, match=said):
        slos.create_service_level_objective(parent=service, service_level_objective=given)


@pins(
    "monitoring",
    "Services and SLOs",
    "A selector that is misspelt, takes other arguments or names no SLO is refused",
    documented="Retrieving SLO data: names and arguments",
)
def test_bad_selectors_are_refused(slos: Any, watch: Watcher, service: str) -> None:
    made = slos.create_service_level_objective(parent=service, service_level_objective=ratio("any"))
    for text, error in (
        (f'select_slo_luck("{made.name}")', exceptions.InvalidArgument),
        (f'select_slo_burn_rate("{made.name}")', exceptions.InvalidArgument),
        (f'select_slo_burn_rate("{made.name}", "soon")', exceptions.InvalidArgument),
        (f'select_slo_health("{made.name}", "60s")', exceptions.InvalidArgument),
        (f"select_slo_health({made.name})", exceptions.InvalidArgument),
        (f'select_slo_health("{service}/serviceLevelObjectives/none")', exceptions.NotFound),
    ):
        with pytest.raises(error):
            values(watch, text)


@pins(
    "monitoring",
    "Services and SLOs",
    "An alert on a burn rate fires while failures burn the budget too fast, and closes when they are behind",
    documented="Alerting on your burn rate",
)
def test_an_alert_on_the_burn_rate_fires(slos: Any, watch: Watcher, target: Target, service: str) -> None:
    queue = once(watch, "burning")
    made = slos.create_service_level_objective(parent=service, service_level_objective=ratio(queue))
    with alerts_at(watch.place) as alerts:
        alerts.policy("burns", above(f'select_slo_burn_rate("{made.name}", "600s")', 2))
        attempts(watch, target, queue, 19, 1)
        advance(watch.place, 60)
        assert alerts.incidents("burns") == []
        attempts(watch, target, queue, 0, 5)
        advance(watch.place, 60)
        assert "burns" in alerts.firing()
        advance(watch.place, 900)
        assert "burns" not in alerts.firing()
