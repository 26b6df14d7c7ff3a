"""Looks at a local cloud through Google's client: each gate is silent while all is well, and trips on its fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from google.api_core import exceptions

import spec
from ops.rollout.gate.model import Kind, Side, Verdict
from ops.rollout.gate.read import PERMISSION, read
from ops.rollout.gate.target import ALONE, Target, release, route
from service_code.gcsplit.rules import HOSTPAY_QUEUES
from service_code.kit.estimates import ANSWER_QUEUE, ASK_QUEUE
from tests.ops.rollout_gate.conftest import RULES, Field

_numbers = count(1)
GATES = (*("success", "latency", "token_expiry", "late_tokens", "dead", "effect", "refusals", "paid", "queue_depth"),)


def tried(system: spec.System, service: str = "gchostpay") -> Target:
    """A release whose revisions nobody else writes as."""
    number = next(_numbers)
    return release(system, service, f"{service}.{number}s", f"{service}.{number}t")


def well(field: Field, target: Target, canary: int = 30, stable: int = 300) -> None:
    """Both sides do what they should."""
    field.handled(target.stable, stable)
    field.handled(target.canary, canary)


def pays(field: Field, target: Target) -> None:
    """What both sides began is due, and paid."""
    field.passes(minutes=6)
    field.stands(target.name, "stable", 300, 300, 0)
    field.stands(target.name, "canary", 30, 30, 0)


def kinds(verdict: Verdict) -> dict[str, Kind]:
    return {one.gate: one.kind for one in verdict.gates}


def raises(field: Field, target: Target) -> None:
    field.handled(target.canary, 10, status="error", http_status=500)


def dies(field: Field, target: Target) -> None:
    field.answered(target.canary, 503, 60)


def is_slow(field: Field, target: Target) -> None:
    field.handled(target.canary, 30, task_seconds=14)


def finds_tokens_old(field: Field, target: Target) -> None:
    field.handled(target.canary, 12, status="dead", code="TOKEN_EXPIRED")


def takes_old_tokens(field: Field, target: Target) -> None:
    field.handled(target.stable, 20, status="dead", code="TOKEN_EXPIRED", token_age=75)
    field.handled(target.canary, 6, token_age=75)


def buries(field: Field, target: Target) -> None:
    field.handled(target.canary, 12, status="dead", code="EXCHANGE_MISMATCH")


def does_nothing(field: Field, target: Target) -> None:
    field.handled(target.canary, 20, status="done", effect=False)


def does_not_pay(field: Field, target: Target) -> None:
    field.stands(target.name, "canary", 30, 40, 25)
    field.stands(target.name, "stable", 300, 400, 1)


FAULTS: dict[str, tuple[str, Callable[[Field, Target], None]]] = {
    "raises": ("success", raises),
    "dies without a line": ("success", dies),
    "is slow": ("latency", is_slow),
    "finds young tokens too old": ("token_expiry", finds_tokens_old),
    "takes tokens past their window": ("late_tokens", takes_old_tokens),
    "buries payments": ("dead", buries),
    "answers well and does nothing": ("effect", does_nothing),
    "begins payments that are never paid": ("paid", does_not_pay),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_gate_is_silent_until_its_fault_comes(field: Field, system: spec.System, fault: str) -> None:
    gate, harm = FAULTS[fault]
    target, since = tried(system), field.begins()
    well(field, target)
    pays(field, target)
    _, before = field.look(target, since)
    assert set(kinds(before)) == set(GATES)
    assert kinds(before)[gate] is Kind.HEALTHY, before.why
    assert Kind.UNHEALTHY not in kinds(before).values()
    harm(field, target)
    _, after = field.look(target, since)
    assert kinds(after)[gate] is Kind.UNHEALTHY, after.as_json()
    assert after.kind is Kind.UNHEALTHY
    assert kinds(before).keys() == kinds(after).keys()


def test_refusals_at_a_public_door_are_compared_with_those_beside_it(field: Field, system: spec.System) -> None:
    target, since = tried(system, "gcwebhook"), field.begins()

    def answered(revision: str, status: int, many: int) -> None:
        field.line("answered", revision, many, endpoint="/", status="said", http_status=status, attempt_number=1)
        field.answered(revision, status, many)

    answered(target.stable, 200, 200)
    answered(target.stable, 401, 30)
    answered(target.canary, 200, 30)
    answered(target.canary, 401, 4)
    samples, before = field.look(target, since)
    assert kinds(before)["refusals"] is Kind.HEALTHY
    assert kinds(before)["success"] is Kind.HEALTHY
    assert (samples.canary.answers, samples.canary.refused, samples.canary.untold) == (34, 4, 0)
    answered(target.canary, 401, 40)
    assert kinds(field.look(target, since)[1])["refusals"] is Kind.UNHEALTHY


def test_a_queue_that_grows_deep_and_late_with_the_step_trips(field: Field, system: spec.System) -> None:
    queue = field.stage.queue("hostpay-execution-queue", alone=False)
    field.stage.queue("gchostpay4-news-queue", alone=False)
    field.passes(minutes=6)
    target, since = tried(system), field.begins()
    well(field, target)
    samples, before = field.look(target, since)
    assert kinds(before)["queue_depth"] is Kind.HEALTHY, before.why
    assert samples.depths[0].before == 0
    field.stage.tasks(queue, 80)
    field.passes(minutes=5)
    field.handled(target.stable, 100, task_age=40.0)
    _, after = field.look(target, since)
    assert kinds(after)["queue_depth"] is Kind.UNHEALTHY, after.as_json()
    field.stage.purge(queue)


def test_expected_waits_and_overload_are_no_failures_and_a_retry_is_no_second_one(
    field: Field, system: spec.System
) -> None:
    target, since = tried(system), field.begins()
    well(field, target)
    waits = {"endpoint": "/confirm", "queue": "hostpay-confirm-queue", "token_age": None}
    field.handled(target.canary, 50, status="retry", http_status=500, **waits)
    field.handled(target.canary, 7, status="overloaded", http_status=503)
    field.handled(target.canary, 1, status="retry", http_status=500)
    field.handled(target.canary, 4, status="retry", http_status=500, attempt_number=2)
    samples, _ = field.look(target, since)
    found = samples.canary
    assert (found.handled, found.failed, found.overloaded, found.untold) == (31, 1, 7, 0)


def test_what_operators_are_refused_is_no_process_that_died(field: Field, system: spec.System) -> None:
    target, since = tried(system), field.begins()
    well(field, target, canary=90)
    field.line("answered", target.stable, 60, endpoint="/dead", status="unknown", http_status=404)
    field.answered(target.stable, 404, 60)
    field.handled(target.canary, 10, status="error", http_status=500)
    samples, verdict = field.look(target, since)
    assert (samples.stable.untold, samples.stable.handled) == (0, 300)
    assert kinds(verdict)["success"] is Kind.UNHEALTHY, verdict.why


def test_a_door_where_nothing_is_usual_hides_nothing(field: Field, system: spec.System) -> None:
    target, since = tried(system), field.begins()
    well(field, target)
    look = {"endpoint": "/look", "queue": "gchostpay4-news-queue", "token_age": None}
    for side, many in ((target.stable, 300), (target.canary, 30)):
        field.handled(side, many, **look)
        field.handled(side, many, effect=False, **look)
    samples, _ = field.look(target, since)
    assert (samples.stable.known, samples.canary.known, samples.canary.idle) == (300, 30, 0)


def test_the_ways_of_a_hop_are_sides(field: Field, system: spec.System) -> None:
    target, since = route(system, "hostpay-hop"), field.begins()
    assert (target.stable, target.canary) == ("direct", "queue")
    field.handled("gchostpay.hop", 40, way="direct", queue=None, task_age=None)
    field.handled("gchostpay.hop", 30)
    field.handled("gchostpay.hop", 9, status="error", http_status=500)
    field.handled("gchostpay.hop", 500, endpoint="/confirm", queue="hostpay-confirm-queue")
    samples, verdict = field.look(target, since)
    assert (samples.stable.handled, samples.canary.handled, samples.canary.failed) == (40, 39, 9)
    assert kinds(verdict)["success"] is Kind.UNHEALTHY
    assert "9 of 39 requests on queue failed, on direct 0 of 40" in verdict.why


def test_the_ways_of_a_choice_are_sides_by_the_door_or_by_the_line_that_chose(
    field: Field, system: spec.System
) -> None:
    payout, estimate, since = route(system, "payout"), route(system, "estimate"), field.begins()
    field.handled("gchostpay.way", 25)
    field.handled("gchostpay1.way", 21, endpoint="/", queue="gcsplit-hostpay-trigger-queue")
    door = {"endpoint": "/process_split", "queue": "split-payment-queue", "token_age": None}
    field.handled("gcsplit.way", 22, ways={"estimate": "inline", "payout": "single"}, **door)
    field.handled("gcsplit.way", 23, ways={"estimate": "queue"}, **door)
    field.handled("gcsplit.way", 23, endpoint="/eth-client-swap", queue="gcsplit-estimate-response-queue")
    samples, _ = field.look(payout, since)
    assert (samples.stable.handled, samples.canary.handled) == (25, 21)
    samples, _ = field.look(estimate, since)
    assert (samples.stable.handled, samples.canary.handled) == (22, 46)


def test_with_a_lag_of_three_minutes_what_is_not_visible_is_neither_zero_nor_judged(
    field: Field, system: spec.System
) -> None:
    target, rules = tried(system), replace(RULES, lag=180)
    field.lag(180)
    try:
        since = field.begins()
        well(field, target)
        field.passes(minutes=1)
        raises(field, target)
        for _ in range(2):
            samples, verdict = field.look(target, since, rules)
            assert verdict.kind is Kind.INCONCLUSIVE
            assert samples.canary == Side()
        samples, verdict = field.look(target, since, rules)  # the first minute: all is well so far
        assert (samples.canary.handled, samples.canary.failed) == (30, 0)
        assert Kind.UNHEALTHY not in kinds(verdict).values()
        assert kinds(field.look(target, since, rules)[1])["success"] is Kind.UNHEALTHY
    finally:
        field.lag(0)


def test_an_idle_service_is_inconclusive(field: Field, system: spec.System) -> None:
    target, since = tried(system), field.begins()
    field.passes(hours=1)
    _, verdict = field.look(target, since)
    assert verdict.kind is Kind.INCONCLUSIVE
    assert kinds(verdict)["success"] is Kind.INCONCLUSIVE
    assert "nobody says how the payments of both sides stand" in next(
        one.why for one in verdict.gates if one.gate == "paid"
    )


class Refusing(Field):
    """A place whose client always fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def metrics_client(self):  # type: ignore[no-untyped-def]  # what Google's client is for a gate
        return self

    def list_time_series(self, **_: object) -> None:
        raise self.error

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (exceptions.PermissionDenied, PERMISSION),
        (exceptions.NotFound, "./sluice up makes it"),
        (exceptions.ServiceUnavailable, "does not answer: ServiceUnavailable"),
        (exceptions.DeadlineExceeded, "does not answer: DeadlineExceeded"),
    ],
)
def test_an_api_that_refuses_or_is_away_makes_no_gate_healthy_or_ill(
    field: Field, system: spec.System, error: Callable[[str], Exception], told: str
) -> None:
    target, since = tried(system), field.begins()
    samples = read(Refusing(error("no")), target, since, since + timedelta(minutes=9))
    assert set(samples.missing) == set(GATES)
    assert all(told in why for why in samples.missing.values())


def test_doors_that_one_way_alone_uses_are_those_that_the_services_send_to(system: spec.System) -> None:
    edges = {edge for ways in ALONE.values() for way in ways.values() for edge in way}
    assert edges <= {*system.queues, *system.topics}
    for way, queue in HOSTPAY_QUEUES.items():
        assert queue in ALONE["payout"][way]
    assert ALONE["estimate"]["queue"] == (ASK_QUEUE, ANSWER_QUEUE)


def test_every_route_has_gates(system: spec.System) -> None:
    for name, found in system.routes.items():
        target = route(system, name)
        assert (target.stable, target.canary) == (found.old, found.new)
