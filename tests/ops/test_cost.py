"""What a month costs: the document's own case, the tables against the specs, and how the bill follows the volume."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spec
from ops.app import main
from ops.cost import estimate, keeping, prices, shares, traffic, watching
from ops.home import ROOT
from spec.edge import Edge

PRICES, TRAFFIC = prices.read(), traffic.read()


@pytest.fixture(scope="module")
def prod() -> tuple[spec.System, spec.StackConfig]:
    return spec.load(ROOT, "prod"), spec.stack_config(ROOT, "foundation-prod")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["cost", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def volume(payments: float, failing: float = 0.0, **mix: float) -> estimate.Volume:
    return estimate.Volume(payments_per_day=payments, mix=mix or {"single": 100.0}, failing_percent=failing)


def usd(bill: list[estimate.Billed], kind: str) -> float:
    return sum(line.usd for line in bill if line.kind == kind)


def test_cloud_tasks_cost_what_google_bills_and_not_what_the_document_says(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["payments_per_day"]: row for row in told(capsys, "--documents")["cloud_tasks"]}
    assert [(row["document_usd"], row["usd"]) for row in rows.values()] == [
        (0.00, 0.00),
        (0.00, 0.00),
        (0.00, 0.08),
        (0.80, 2.00),
        (2.00, 4.40),
    ]
    assert rows[100_000]["tasks"] == 6_000_000
    assert rows[100_000]["operations"] == 12_000_000


def test_the_table_of_flows_names_every_queue_and_topic_and_no_other(
    prod: tuple[spec.System, spec.StackConfig],
) -> None:
    assert list(traffic.misfits(TRAFFIC, prod[0])) == []


def test_the_tasks_of_a_flow_hang_together(prod: tuple[spec.System, spec.StackConfig]) -> None:
    system = prod[0]
    for name, flow in TRAFFIC.flows.items():
        reached = {*flow.calls, *(system.topics[topic].receiver for topic in flow.messages)}
        reached |= {system.queues[queue].receiver for queue in flow.tasks}
        for queue in flow.tasks if flow.calls else ():
            assert reached & set(system.queues[queue].senders), f"{name}: nobody enqueues to {queue}"


def test_a_shared_allotment_is_taken_off_once(prod: tuple[spec.System, spec.StackConfig]) -> None:
    bill = estimate.bill(*prod, volume(100_000), PRICES, TRAFFIC)
    queues = [line for line in bill if line.item == "tasks.operation"]
    assert sum(line.usd for line in queues) == pytest.approx((sum(line.units for line in queues) - 1e6) * 0.40 / 1e6)
    assert all(line.usd > 0 for line in queues)


def test_the_database_costs_its_machine_twice_with_a_standby(prod: tuple[spec.System, spec.StackConfig]) -> None:
    system, below = prod
    assert below.database_standby
    alone = below.model_copy(update={"database_standby": False})
    two, one = (usd(estimate.bill(system, config, volume(0), PRICES, TRAFFIC), "database") for config in (below, alone))
    backups = 10 * 0.08
    assert two - backups == pytest.approx(2 * (one - backups))


def test_a_line_about_a_payment_is_paid_for_twice_and_by_the_day_once_it_is_old(
    prod: tuple[spec.System, spec.StackConfig],
) -> None:
    system, below = prod
    lines = {line.name: line for line in estimate.bill(system, below, volume(10_000), PRICES, TRAFFIC)}
    once, again = lines["log lines"].units, lines["lines about payments, again"].units
    assert 0.8 * once < again < once, "but for what schedules leave"
    month = again + lines["reads of secrets"].units / 2
    assert lines["days beyond 30"].units == pytest.approx(month * 370 / 30)
    assert lines["key of Pulumi's state"].usd == 0.06
    short = below.model_copy(update={"logs": below.logs.model_copy(update={"payment_days": 30, "data_access": ()})})
    free = {line.name for line in estimate.bill(system, short, volume(10_000), PRICES, TRAFFIC)}
    assert not free & {"days beyond 30", "reads of secrets"}


def test_days_that_are_free_cost_nothing_and_the_others_by_the_month(
    prod: tuple[spec.System, spec.StackConfig],
) -> None:
    _, below = prod
    whole = below.model_copy(update={"logs": below.logs.model_copy(update={"payment_days": 60, "other_days": 90})})
    found = {
        name: units for _, name, _, units in keeping.used(whole, logged=300.0, about_payments=100.0, secret_reads=0)
    }
    assert found["days beyond 30"] == 100 * 1 + 300 * 2


def test_each_condition_is_paid_for_and_a_log_line_is_asked_for_nothing(
    prod: tuple[spec.System, spec.StackConfig],
) -> None:
    system, below = prod
    bill = estimate.bill(system, below, volume(0), PRICES, TRAFFIC)
    paid = next(line for line in bill if line.item == "monitoring.condition")
    assert paid.units == sum(len(alert.conditions) for alert in system.alerts.values())
    assert paid.usd == pytest.approx(paid.units * 0.10)
    few = replace(system, alerts={name: one for name, one in system.alerts.items() if one.is_log_match})
    items = {line.item for line in estimate.bill(few, below, volume(0), PRICES, TRAFFIC)}
    assert "monitoring.condition" in items
    assert "monitoring.returned" not in items


def test_a_load_balancer_is_paid_for_where_one_stands(prod: tuple[spec.System, spec.StackConfig]) -> None:
    system, below = prod
    assert system.stack is not None
    before = estimate.bill(system, below, volume(1000), PRICES, TRAFFIC)
    behind = system.stack.model_copy(update={"edge": Edge(domain="pay.example.com")})
    after = estimate.bill(replace(system, stack=behind), below, volume(1000), PRICES, TRAFFIC)
    doors = sum(bool(service.public) for service in system.services.values())
    requests = sum(line.usd for line in after if line.item == "armor.request")
    assert usd(before, "edge") == 0
    assert usd(after, "edge") == pytest.approx(720 * 0.025 + doors * (5 + 5) + requests)
    assert 0 < requests < 1


def test_the_rollouts_record_is_read_within_requests_and_at_most_every_five_seconds_an_instance(
    prod: tuple[spec.System, spec.StackConfig],
) -> None:
    system, _ = prod
    often = dict.fromkeys(system.services, 1e12)
    most = {name.rpartition(" ")[2]: units for _, name, item, units in shares.used(system, often) if "read" in item}
    assert set(most) == {name for name in system.services if system.reads_record(name)}
    assert most["gcsplit"] == system.services["gcsplit"].scaling.max * 30 * 86_400 / 5
    few = {name: units for _, name, _, units in shares.used(system, {"gcsplit": 7.0})}
    assert few["the record, by gcsplit"] == 7
    walk = (48 + 5 * 24) * 3600  # two days at the first of six steps, one at each other
    assert few["a walk of all steps"] == pytest.approx(walk / 15 + walk / 60, rel=0.01)


def test_a_depth_alert_asks_for_a_series_of_every_queue(prod: tuple[spec.System, spec.StackConfig]) -> None:
    system, _ = prod
    alone = replace(system, alerts={"queue-depth": system.alerts["queue-depth"]})
    assert watching.asked_for(alone) == len(system.queues) * 86_400  # every 30 seconds of 30 days


@pytest.fixture(scope="module")
def dev() -> tuple[spec.System, spec.StackConfig]:
    return spec.load(ROOT, "dev"), spec.stack_config(ROOT, "foundation-dev")


@settings(deadline=None, max_examples=50)
@given(few=st.floats(0, 1e6), many=st.floats(0, 1e6), failing=st.floats(0, 50))
def test_more_payments_and_more_failures_never_cost_less(
    dev: tuple[spec.System, spec.StackConfig], few: float, many: float, failing: float
) -> None:
    low, high = sorted((few, many))
    # What is idle is left out: a warm instance's first busy seconds are free, its idle ones are not.
    sums = [
        sum(line.usd for line in estimate.bill(*dev, wish, PRICES, TRAFFIC) if "idle" not in line.item)
        for wish in (volume(low), volume(high), volume(high, failing))
    ]
    assert sums[0] <= sums[1] + 1e-6
    assert sums[1] <= sums[2] + 1e-6


@pytest.mark.parametrize(
    ("cron", "times"),
    [
        ("* * * * *", 43_200),
        ("*/5 * * * *", 8_640),
        ("7 3 * * *", 30),
        ("0 9-17 * * mon-fri", 30 * 9 * 5 / 7),
        ("0 0 1 * *", 30 / 31),
        ("0,30 * * * sun", 48 * 30 / 7),
        ("0 0 * * 0,7", 30 / 7),
    ],
)
def test_a_schedule_runs_as_often_as_its_fields_say(cron: str, times: float) -> None:
    assert estimate.runs(cron) == pytest.approx(times)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mix", "single=50"), "add up to 50"),
        (("--mix", "express=100"), "there is no flow 'express'"),
        (("--mix", "single=many"), "is no share"),
        (("--mix", "single=-10,staged=110"), "'single=-10' is no share"),
        (("--payments-per-day", "-1"), "no number of payments"),
        (("--failing", "100"), "is no share"),
        (("--stack", "foundation-prod"), "is a layer"),
        (("--stack", "nowhere"), "nowhere"),
        (("--stack", "local"), "is on this machine"),
    ],
)
def test_a_wish_that_does_not_fit_is_refused(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cost", *words]) != 0
    assert said in capsys.readouterr().err


def test_the_bill_names_every_service_and_the_page_of_each_price(
    prod: tuple[spec.System, spec.StackConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(capsys, "--stack", "prod", "--payments-per-day", "50000", "--mix", "single=40,staged=40,paynow=20")
    assert {line["name"] for line in found["lines"] if line["kind"] == "service"} == set(prod[0].services)
    assert all(line["source"].startswith("https://cloud.google.com/") for line in found["lines"])
    assert found["usd_a_month"] == pytest.approx(sum(line["usd"] for line in found["lines"]), abs=0.02)
