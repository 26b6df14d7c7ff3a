"""What watches: each kind of condition in Google's words, and what holds of every policy of every stack."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pulumi._types import input_type_py_to_pulumi_names, input_type_to_untranslated_dict, is_input_type

from components.conditions import condition
from local_cloud.metrics.filters import parse
from local_engine import Result, run
from spec import Condition, filters, load
from spec.boards import MOST_WIDGETS, widgets
from spec.catalogue import Catalogue
from spec.runbook import sections
from tests.components.conftest import ROOT, of_type

Plan = Callable[[str], Result]

DEPTH = "cloudtasks.googleapis.com/queue/depth"
ATTEMPTS = "cloudtasks.googleapis.com/queue/task_attempt_count"
QUEUE = 'resource.type="cloud_tasks_queue"'


def rendered(**written: Any) -> dict[str, Any]:
    """One condition as the program gives it to the provider."""
    system = load(ROOT)
    spec = Condition.model_validate(written)
    made = condition(spec, system, Catalogue(system.metrics, system.groups), "some-project")
    plain = _plain(made)
    plain.pop("displayName")
    ((_, inner),) = plain.items()
    assert isinstance(inner, dict)
    return inner


def _plain(value: Any) -> Any:
    if is_input_type(type(value)):
        names = input_type_py_to_pulumi_names(type(value))
        given = input_type_to_untranslated_dict(value)
        return {names[key]: _plain(one) for key, one in given.items() if one is not None}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def test_a_threshold() -> None:
    made = rendered(
        metric=DEPTH,
        where={"queue_id": {"not": ["a", 'b"']}, "location": ["x", "y"]},
        across={"by": "sum", "keep": ["queue_id"]},
        above=1000,
        missing="fires",
        **{"for": "5m"},
    )
    assert made == {
        "filter": f'metric.type="{DEPTH}" AND {QUEUE} AND resource.labels.location=one_of("x", "y") AND '
        'resource.labels.queue_id!="a" AND resource.labels.queue_id!="b\\""',
        "aggregations": [
            {
                "alignmentPeriod": "60s",
                "perSeriesAligner": "ALIGN_MAX",
                "crossSeriesReducer": "REDUCE_SUM",
                "groupByFields": ["resource.label.queue_id"],
            }
        ],
        "comparison": "COMPARISON_GT",
        "thresholdValue": 1000.0,
        "duration": "300s",
        "evaluationMissingData": "EVALUATION_MISSING_DATA_ACTIVE",
    }
    parse(made["filter"])


def test_a_ratio_is_of_the_same_series_without_the_test() -> None:
    made = rendered(
        metric=ATTEMPTS,
        where={"response_code": {"not": "ok"}},
        align={"every": "10m", "by": "sum"},
        across={"by": "sum", "keep": ["queue_id"]},
        of={},
        above=0.05,
    )
    assert made["filter"].endswith(' AND metric.labels.response_code!="ok"')
    assert made["denominatorFilter"] == f'metric.type="{ATTEMPTS}" AND {QUEUE}'
    assert made["denominatorAggregations"] == made["aggregations"]


def test_a_forecast() -> None:
    made = rendered(metric=DEPTH, above=1, forecast="2h")
    assert made["forecastOptions"] == {"forecastHorizon": "7200s"}


def test_an_absence() -> None:
    made = rendered(metric=DEPTH, absent_for="10m", trigger={"count": 2})
    assert (made["duration"], made["trigger"]) == ("600s", {"count": 2})
    assert "comparison" not in made


def test_a_log_line() -> None:
    made = rendered(log={"event": "wallet_stopped"}, labels={"wallet": "wallet"})
    assert made == {
        "filter": 'resource.type="cloud_run_revision"\njsonPayload.event="wallet_stopped"',
        "labelExtractors": {"wallet": "EXTRACT(jsonPayload.wallet)"},
    }


def test_a_burn_rate_below_and_above() -> None:
    made = rendered(slo="payment-completion", over="1h", above=14.4)
    slo = "projects/some-project/services/payments/serviceLevelObjectives/payment-completion"
    assert made == {
        "filter": f'select_slo_burn_rate("{slo}", "3600s")',
        "comparison": "COMPARISON_GT",
        "thresholdValue": 14.4,
        "duration": "0s",
    }
    assert rendered(slo="payment-completion", over="1h", below=1)["comparison"] == "COMPARISON_LT"


def test_a_public_service_and_a_queue_that_waits_are_watched_by_what_their_own_files_say() -> None:
    system = load(ROOT)
    door = replace(
        system,
        services={**system.services, "fifth": system.service("gcsplit").model_copy(update={"public": ("/door",)})},
        queues={
            **system.queues,
            "slow-queue": system.queue("split-payment-queue").model_copy(update={"waits_for": "block"}),
        },
    )
    catalogue = Catalogue(door.metrics, door.groups)

    def filter_of(alert: str, index: int) -> str:
        return filters.text(catalogue, door.alerts[alert].conditions[index].selection)

    assert '"fifth"' in filter_of("service-errors", 1)
    below = door.alerts["service-errors"].conditions[1].denominator
    assert below is not None
    assert '"fifth"' in filters.text(catalogue, below)
    for index in (0, 1):
        assert 'resource.labels.queue_id!="slow-queue"' in filter_of("task-failures", index)
        assert 'resource.labels.queue_id!="gcsplit2-queue"' in filter_of("task-failures", index)
    assert 'metric.labels.queue!="slow-queue"' in filter_of("retries", 0)
    assert "gcsplit2-queue" not in filter_of("retries", 0)


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_every_policy_tells_somebody_what_to_do(plan: Plan, stack: str) -> None:
    policies = of_type(plan(stack), "AlertPolicy")
    anchors = sections(ROOT)
    assert {policy.name for policy in policies} == load(ROOT, stack).alerts.keys()
    for policy in policies:
        assert policy.inputs["notificationChannels"], policy.name
        assert policy.inputs["userLabels"]["runbook"] in anchors
        assert policy.inputs["displayName"] == policy.name
        said = policy.inputs["documentation"]["content"]
        assert f"dashboards/alerts/{policy.name}.yaml" in said
        (first,) = re.findall(r"(?m)^First: `(.*)`$", said)
        assert f"--stack {stack}" in first
        assert not re.search(r"(?<!\$)\{", first)
        assert len(said.encode()) < 8192


def test_channels_are_told_of_the_severities_that_they_take() -> None:
    system = load(ROOT, "prod")
    slack = "projects/sluice-prod/notificationChannels/3"
    reached = {"email": {"email": "a@b.example"}, "pager": {"webhook": "https://p.example/i"}, "slack": {"id": slack}}
    overrides = {"sluice:watching": {"channels": reached}}
    planned = run("prod", root=ROOT, mode="preview", state_dir=None, offline=True, overrides=overrides)
    made = {channel.name for channel in of_type(planned, "NotificationChannel")}
    assert made == {"email", "pager"}, "what has a token is made by hand"
    for policy in of_type(planned, "AlertPolicy"):
        severity = system.alerts[policy.name].severity
        takers = {name for name in reached if severity in system.channels[name].takes}
        assert len(policy.inputs["notificationChannels"]) == len(takers)
        assert (slack in policy.inputs["notificationChannels"]) == ("slack" in takers)


def test_every_queue_has_an_alert_on_its_depth_and_one_on_the_age_of_its_tasks(plan: Plan) -> None:
    filters = [
        made.get("conditionThreshold", {}).get("filter", "")
        for policy in of_type(plan("prod"), "AlertPolicy")
        for made in policy.inputs["conditions"]
    ]
    for queue in load(ROOT).queues:
        subjects = (
            {("metric.type", ""): DEPTH, ("resource.type", ""): "cloud_tasks_queue",
             ("resource.labels", "queue_id"): queue},
            {("metric.type", ""): "logging.googleapis.com/user/task_age", ("metric.labels", "queue"): queue,
             ("resource.type", ""): "cloud_run_revision"},
        )  # fmt: skip
        for subject in subjects:
            assert any(text and "slo" not in text and parse(text).matches(subject) for text in filters), subject


def test_a_policy_waits_for_its_metrics_and_objectives_and_for_what_takes_long(plan: Plan) -> None:
    steps = {step.name: step for step in of_type(plan("prod"), "AlertPolicy")}
    for name, alert in load(ROOT).alerts.items():
        text = json.dumps(steps[name].inputs["conditions"])
        own = "logging.googleapis.com/user/" in text or any(one.slo for one in alert.conditions)
        waits = {urn.split("::")[2].split("$")[-1] for urn in steps[name].dependencies}
        assert own == bool(waits & {"gcp:logging/metric:Metric", "gcp:monitoring/slo:Slo"}), name
        assert own == ("gcp:cloudrunv2/service:Service" in waits), name


def test_boards_are_drawn_for_their_project(plan: Plan) -> None:
    boards = of_type(plan("prod"), "Dashboard")
    assert {board.name for board in boards} == load(ROOT).boards.keys()
    for board in boards:
        text = board.inputs["dashboardJson"]
        assert "$PROJECT" not in text
        assert 0 < sum(1 for _ in widgets(json.loads(text))) <= MOST_WIDGETS


def test_an_objectives_goal_is_a_share(plan: Plan) -> None:
    (objective,) = (step for step in of_type(plan("prod"), "Slo") if step.name == "payment-completion")
    assert (objective.inputs["goal"], objective.inputs["rollingPeriodDays"]) == (0.99, 28)
    ratio = objective.inputs["requestBasedSli"]["goodTotalRatio"]
    assert set(ratio) == {"goodServiceFilter", "totalServiceFilter"}
