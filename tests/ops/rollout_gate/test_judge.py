"""The verdicts: what trips a gate, what holds it, what lets through, and how rarely a good release is taken back."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spec
from ops.rollout import decide
from ops.rollout.gate import gather, law
from ops.rollout.gate import judge as judging
from ops.rollout.gate.judge import DEPTH, NAMES, judge
from ops.rollout.gate.model import Depth, Early, Kind, Rules, Samples, Side, Spread, Verdict, Window, rules_of

NOW = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
RULES = Rules()
HOUR = Window.ending(NOW - timedelta(hours=1), NOW, RULES)
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
EDGES = (1.0, 2.0, 5.0, 10.0, 20.0)
GOOD = Side(
    handled=900, ended=900, known=900, tokens=900, begun=900, due=800, times=Spread(EDGES, (300, 400, 195, 5, 0, 0))
)
SMALL = Side(handled=60, ended=60, known=60, tokens=60, begun=60, due=60, times=Spread(EDGES, (20, 30, 10, 0, 0, 0)))


def said(canary: Side, stable: Side = GOOD, rules: Rules = RULES, **more: object) -> Verdict:
    return judge(Samples(canary=canary, stable=stable, names=("s", "t"), **more), rules, HOUR, NOW)  # type: ignore[arg-type]


def gate(verdict: Verdict, name: str) -> tuple[Kind, str]:
    return next((one.kind, one.why) for one in verdict.gates if one.gate == name)


def test_a_good_side_is_healthy_and_says_how_sure_that_is() -> None:
    verdict = said(SMALL)
    assert verdict.kind is Kind.HEALTHY
    assert verdict.why == (
        "success: 0 of 60 requests on t failed, on s 0 of 900: 0 % is within the limit of 1 % and not surely more than "
        "on s; 60 samples, where 50 are enough, leave up to 4.9 % open with 95 % confidence, and what was seen decides:"
        " to be so sure of 1 % takes 299"
    )
    assert [one.gate for one in verdict.gates] == list(NAMES)


def test_a_healthy_gate_says_what_it_went_by() -> None:
    many = said(replace(GOOD, failed=3), replace(GOOD, handled=3000, failed=9))
    assert gate(many, "success")[1] == (
        "3 of 900 requests on t failed, on s 9 of 3000: 0.33 % is within the limit of 1 % and not surely more than on "
        "s; 900 samples, where 50 are enough, leave up to 0.86 % open with 95 % confidence"
    )
    one = gate(said(replace(GOOD, failed=7), replace(GOOD, failed=5)), "success")[1]
    assert one.endswith("and what was seen decides: to be so sure of 1 % takes 1312 with no more of them"), one
    few = gate(said(replace(SMALL, old=3), Side()), "late_tokens")[1]
    assert "3 samples, of which few may come, leave up to 63.2 % open" in few
    assert "limit" not in gate(many, "dead")[1], "the stable side is its measure"


BROKEN = {
    "success": (replace(SMALL, failed=40), "40 of 60 requests on t failed"),
    "latency": (replace(SMALL, times=Spread(EDGES, (0, 0, 0, 0, 60, 0))), "p95 is at most 20 s (between 10 s"),
    "token_expiry": (replace(SMALL, expired=20), "20 of 60 tokens on t had expired"),
    "late_tokens": (replace(SMALL, old=5, accepted=5), "5 of 5 tokens past their window on t were accepted"),
    "dead": (replace(SMALL, dead=12), "12 of 60 messages on t ended dead"),
    "effect": (replace(SMALL, idle=30), "30 of 60 messages on t changed nothing"),
    "refusals": (replace(SMALL, answers=60, refused=50), "50 of 60 answers at public doors on t were refusals"),
    "paid": (replace(SMALL, unpaid=30), "30 of 60 payments that are due on t are not paid"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_gate_trips_on_its_fault_and_names_both_sides(name: str) -> None:
    canary, why = BROKEN[name]
    stable = replace(GOOD, old=40, answers=900, refused=20)
    verdict = said(canary, stable)
    kind, told = gate(verdict, name)
    assert kind is Kind.UNHEALTHY, told
    assert why in told
    assert ", on s " in told
    assert "% confidence" in told
    assert verdict.kind is Kind.UNHEALTHY
    assert why in verdict.why
    assert [one.gate for one in verdict.gates if one.kind is Kind.UNHEALTHY] == [name]


def alike(canary: Side) -> Side:
    """A stable side that does the same, three times as often."""
    plain = {one.name: 3 * getattr(canary, one.name) for one in fields(Side) if one.name != "times"}
    return Side(**plain, times=Spread(canary.times.edges, tuple(3 * count for count in canary.times.counts)))


@pytest.mark.parametrize("name", BROKEN)
def test_where_both_sides_fail_alike_nothing_is_taken_back(name: str) -> None:
    canary, _ = BROKEN[name]
    verdict = said(canary, alike(canary))
    assert verdict.kind is not Kind.UNHEALTHY
    kind, why = gate(verdict, name)
    if judging.GATES[NAMES.index(name)].limited:
        assert kind is Kind.INCONCLUSIVE
        assert "both sides fail alike" in why


def test_seven_of_nine_are_enough_where_hundreds_went_well() -> None:
    verdict = said(Side(handled=9, failed=7), replace(GOOD, handled=310))
    assert verdict.kind is Kind.UNHEALTHY
    told = "7 of 9 requests on t failed, on s 0 of 310: with 99.99 % confidence more than 1 % and worse than s"
    assert verdict.why == f"success: {told}"


def test_where_the_stable_side_has_nothing_the_limit_alone_counts() -> None:
    assert said(replace(SMALL, failed=40), Side()).kind is Kind.UNHEALTHY
    assert said(replace(SMALL, idle=60), Side()).kind is Kind.UNHEALTHY
    assert said(SMALL, Side()).kind is Kind.HEALTHY
    few = said(replace(SMALL, failed=3), replace(GOOD, handled=1))
    assert "s has too few to compare with" not in gate(few, "success")[1] or few.kind is Kind.UNHEALTHY


def test_at_two_samples_an_hour_nobody_can_tell_and_it_says_until_when() -> None:
    for failed in (0, 1, 2):
        verdict = said(Side(handled=2, failed=failed), replace(GOOD, handled=18))
        assert verdict.kind is Kind.INCONCLUSIVE
        assert "2 of 50 samples: 48 are missing, 22h 48m at 2 an hour" in gate(verdict, "success")[1]


def test_payments_that_are_not_due_yet_are_named_and_it_says_when_they_count() -> None:
    verdict = said(replace(SMALL, begun=60, due=0, unpaid=0), GOOD)
    assert verdict.kind is Kind.INCONCLUSIVE
    assert verdict.why.startswith("paid: 0 of 50 samples")
    first = verdict.window.since + timedelta(minutes=7, seconds=RULES.lag)
    assert f"counted, 6 minutes after it began; the first of this share come at {first:%H:%M:%S}" in verdict.why
    some = said(replace(SMALL, begun=60, due=9, unpaid=0), GOOD)
    assert "the first of this share" not in some.why


def test_who_has_said_nothing_of_payments_yet_is_no_fault_until_the_first_of_the_share_are_due() -> None:
    for minutes, lag, early in (
        (4, 180.0, True),
        (9, 180.0, True),
        (10, 180.0, False),
        (6, 0.0, True),
        (7, 0.0, False),
    ):
        rules = replace(RULES, lag=lag)
        since = NOW.replace(second=0) - timedelta(minutes=minutes)
        unsaid = Samples(canary=SMALL, stable=GOOD, missing={"paid": gather.UNSAID})
        kind, why = gate(judge(unsaid, rules, Window.ending(since, NOW, rules), NOW), "paid")
        first = since + timedelta(minutes=7, seconds=lag)
        assert kind is Kind.INCONCLUSIVE
        told = f"paid: it is too early to tell how the payments of this share end, until {first:%H:%M:%S}"
        assert why.startswith(told) is early, why
        assert ("./sluice logs --service gcsplit" in why) is not early
    refused = Samples(canary=SMALL, stable=GOOD, missing={"paid": "Cloud Monitoring refuses (403)"})
    at_once = Window.ending(NOW - timedelta(minutes=5), NOW, RULES)
    assert gate(judge(refused, RULES, at_once, NOW), "paid")[1] == "paid: Cloud Monitoring refuses (403)"


def test_at_twenty_an_hour_a_few_failures_hold_and_a_total_failure_does_not() -> None:
    beside = replace(GOOD, handled=54)
    for failed in range(judging.LEAST_BAD):
        kind, why = gate(said(Side(handled=6, failed=failed), beside), "success")
        assert kind is Kind.INCONCLUSIVE
        assert "6 of 50 samples: 44 are missing, 6h 58m at 6 an hour" in why
        early = Early(samples=Samples(canary=Side(handled=6, failed=failed), stable=beside))
        assert judging.sooner(said(Side()), early, RULES).kind is Kind.INCONCLUSIVE
    assert said(Side(handled=6, failed=6), beside).kind is Kind.UNHEALTHY


def test_an_idle_service_is_never_healthy() -> None:
    verdict = said(Side(), Side())
    assert verdict.kind is Kind.INCONCLUSIVE
    assert "0 of 50 samples: 50 are missing, and none came in 57m" in verdict.why


def test_one_more_death_than_beside_it_holds() -> None:
    assert gate(said(replace(SMALL, dead=1)), "dead")[0] is Kind.INCONCLUSIVE
    assert gate(said(replace(SMALL, dead=1), replace(GOOD, dead=15)), "dead")[0] is Kind.HEALTHY


def test_a_share_above_the_limit_by_chance_holds_and_says_how_many_more_are_needed() -> None:
    kind, why = gate(said(replace(SMALL, failed=1)), "success")
    assert kind is Kind.INCONCLUSIVE
    assert "above 1 %, perhaps by chance; 40 more without another one would be within it" in why


def test_a_bucket_that_hides_the_limit_holds() -> None:
    kind, why = gate(said(SMALL, rules=replace(RULES, p95=3)), "latency")
    assert kind is Kind.INCONCLUSIVE
    assert "too wide to tell" in why


def test_what_cannot_be_read_is_neither_well_nor_ill() -> None:
    verdict = said(SMALL, missing={"latency": "Cloud Monitoring refuses (403)"})
    assert verdict.kind is Kind.INCONCLUSIVE
    assert verdict.why == "latency: Cloud Monitoring refuses (403)"
    assert said(replace(SMALL, failed=50), missing={"latency": "away"}).kind is Kind.UNHEALTHY


def test_what_is_not_visible_yet_is_not_judged() -> None:
    with pytest.raises(ValueError, match="visible"):
        judge(Samples(stable=GOOD, canary=SMALL), RULES, Window(NOW - timedelta(hours=1), NOW), NOW)
    early = Window.ending(NOW - timedelta(minutes=3), NOW, RULES)
    verdict = judge(Samples(stable=GOOD, canary=GOOD), RULES, early, NOW)
    assert verdict.kind is Kind.INCONCLUSIVE
    assert "taken as complete 180 s later" in verdict.why
    assert Window.ending(NOW - timedelta(hours=1), NOW, RULES).until == NOW.replace(minute=57, second=0, hour=11)


def test_a_deep_queue_trips_only_where_it_came_with_the_step_stays_and_makes_tasks_late() -> None:
    deep = Depth(queue="q", minutes=(60, 70, 80, 90, 100), before=3, delivered=200, late=120)
    assert gate(said(SMALL, depths=(deep,)), DEPTH)[0] is Kind.UNHEALTHY
    waits = {
        "worked off": replace(deep, minutes=(900, 500, 200, 100, 60)),
        "on time, for later": replace(deep, late=0),
        "before": replace(deep, before=400),
        "unknown before": replace(deep, before=None),
        "young": replace(deep, minutes=(100, 100)),
        "unseen": replace(deep, minutes=()),
    }
    for depth in waits.values():
        assert gate(said(SMALL, depths=(depth,)), DEPTH)[0] is Kind.INCONCLUSIVE
    assert gate(said(SMALL, depths=(replace(deep, minutes=(0, 49)),)), DEPTH)[0] is Kind.HEALTHY


@PATIENT
@given(st.integers(0, 30), st.integers(0, 300), st.integers(0, 30), st.integers(0, 300))
def test_one_more_good_request_never_brings_an_alarm(bad: int, good: int, other_bad: int, other_good: int) -> None:
    stable = Side(handled=other_bad + other_good, failed=other_bad)
    before, after = (said(Side(handled=bad + good + more, failed=bad), stable) for more in (0, 1))
    if before.kind is not Kind.UNHEALTHY:
        assert after.kind is not Kind.UNHEALTHY


@PATIENT
@given(st.builds(Side, handled=st.integers(0, 500), failed=st.just(0), ended=st.integers(0, 500)))
def test_healthy_needs_the_samples(canary: Side) -> None:
    if said(canary).kind is Kind.HEALTHY:
        assert canary.handled >= RULES.min_samples


def test_a_good_release_is_rolled_back_in_fewer_rollouts_than_the_config_says() -> None:
    """A look every 2 s for 48 h at 10 %, and as many at each further step, of a release of which 0.3 % fail.

    Looks between two failures need not be played: what is good never brings an alarm (above).
    """
    chance, rollouts, back = random.Random(17), 300, 0
    for _ in range(rollouts):
        back += any(_alarm(chance, percent / 100) for percent in (10, 25, 50, 75, 90, 100))
    assert back <= (1 - RULES.confidence) * rollouts


def _alarm(chance: random.Random, percent: float) -> bool:
    """Whether the gate of failures trips at any look of a step of 2,000 requests on the canary."""
    bad = of = 0
    stable, fails = round(2000 / percent) - 2000, 0.003
    while of < 2000:
        of += int(chance.expovariate(fails)) + 1
        bad += 1
        if law.against_limit(bad, of, RULES.failures) < judging.need(RULES):
            continue
        seen = round(stable * min(1.0, of / 2000))
        other = Side(handled=seen, failed=round(seen * fails))
        found = judging._share(
            judging.GATES[0], Samples(stable=other, canary=Side(handled=of, failed=bad)), RULES, HOUR
        )
        if found.kind is Kind.UNHEALTHY:
            return True
    return False


def test_rules_are_those_of_the_stacks_config() -> None:
    config = spec.load(Path(__file__).parents[3], "prod").stack
    assert config is not None
    rules = rules_of(config)
    assert rules == Rules(steps=len(config.rollout.steps))


def test_a_verdict_is_what_a_rollout_goes_by_and_can_be_kept() -> None:
    verdict = said(replace(SMALL, failed=40))
    assert str(verdict.kind) == str(decide.Judged.UNHEALTHY)
    kept = verdict.as_json()
    assert kept["kind"] == "unhealthy"
    assert kept["gates"][0]["canary"] == {"bad": 40, "samples": 60}
