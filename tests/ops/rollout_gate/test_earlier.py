"""At 100 % nothing stands beside a release: it is compared with what the stable side did before, and rarely wrongly."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

import spec
from ops.errors import CallFailed
from ops.rollout import gates
from ops.rollout.gate import early
from ops.rollout.gate import judge as judging
from ops.rollout.gate.early import EVERY, EarlyLook
from ops.rollout.gate.judge import EFFECT, LEAST_BESIDE, judge, sooner
from ops.rollout.gate.model import Early, Kind, Rules, Samples, Side, Verdict, Window
from ops.rollout.gate.read import read
from ops.rollout.gate.target import Target
from tests.ops.rollout_gate.conftest import RULES, Field
from tests.ops.rollout_gate.test_early import NONE_YET, NOW, Logging
from tests.ops.rollout_gate.test_looks import does_nothing, finds_tokens_old, is_slow, raises, tried

BEFORE = 100
LOOK = {"endpoint": "/look", "queue": "gchostpay4-news-queue", "token_age": None}


def whole(field: Field) -> datetime:
    """A share of 100 % is set, with a minute of its own."""
    return field.begins()


def alone(field: Field, look: EarlyLook, target: Target, since: datetime, rules: Rules = RULES) -> Verdict:
    """A look at 100 %, as `gates.looker` takes it."""
    window = Window.ending(since, field.now(), rules)
    earlier = look.before(target, since, since - gates.EARLIER)
    found = look.look(target, since)
    metrics = judge(read(field, target, window.since, window.until, earlier), rules, window, field.now(), alone=True)
    return sooner(metrics, found, rules, alone=True)


AWAY = {"status": "error", "http_status": 500}


def stragglers(field: Field, target: Target, well: int, ill: int) -> None:
    """What was begun before the share ends beside it."""
    field.handled(target.stable, well)
    field.handled(target.stable, ill, **AWAY)


def stood(field: Field, target: Target, **fields: object) -> None:
    """The stable side did what it should, and at another door nothing, as is usual there."""
    field.handled(target.stable, BEFORE, **fields)
    field.handled(target.stable, BEFORE, effect=False, **LOOK)


def test_a_door_at_which_nothing_happens_any_more_is_found_beside_those_where_it_is_usual(
    field: Field, system: spec.System
) -> None:
    target, look = tried(system), EarlyLook(field, system, RULES)
    stood(field, target)
    since = whole(field)
    field.handled(target.canary, 40, effect=False, **LOOK)
    field.handled(target.canary, 5)
    field.handled(target.canary, 20, effect=False, attempt_number=2)  # its first attempt has done the work
    assert alone(field, look, target, since).kind is Kind.INCONCLUSIVE
    field.handled(target.canary, 60, effect=False)
    assert field.early(EarlyLook(field, system, RULES), target, since)[1].kind is Kind.INCONCLUSIVE, "not without it"
    found = alone(field, look, target, since)
    assert found.kind is Kind.UNHEALTHY
    told = (
        f"from the log: 60 of 65 messages on {target.canary} changed nothing, on {target.stable} before this share "
        f"0 of {BEFORE}, at gchostpay/hostpay_webhook alone: with "
    )
    assert found.why.startswith(told), found.why
    assert " % confidence more than 50 %, and so more than the " in found.why


@pytest.mark.parametrize(("harm", "of"), [(raises, 10), (is_slow, 30), (finds_tokens_old, 12), (does_nothing, 20)])
def test_each_fault_is_found_alone_and_says_what_it_was_compared_with(
    field: Field, system: spec.System, harm: object, of: int
) -> None:
    assert callable(harm)
    target, look = tried(system), EarlyLook(field, system, RULES)
    stood(field, target)
    since = whole(field)
    harm(field, target)
    found = alone(field, look, target, since)
    assert found.kind is Kind.UNHEALTHY
    assert f"{of} of {of}" in found.why
    assert f"on {target.stable} before this share 0 of " in found.why


def test_with_little_or_nothing_before_it_is_as_without(field: Field, system: spec.System) -> None:
    for before in (0, RULES.min_samples - 1):
        target, look = tried(system), EarlyLook(field, system, RULES)
        field.handled(target.stable, before)
        since = whole(field)
        does_nothing(field, target)
        assert alone(field, look, target, since).kind is Kind.INCONCLUSIVE
        raises(field, target)
        assert alone(field, look, target, since).kind is Kind.UNHEALTHY, "the limit alone counts"


def test_what_is_older_than_an_hour_or_than_the_rollout_tells_nothing(field: Field, system: spec.System) -> None:
    target, look = tried(system), EarlyLook(field, system, RULES)
    stood(field, target)
    field.passes(hours=2)
    since = whole(field)
    does_nothing(field, target)
    assert alone(field, look, target, since).kind is Kind.INCONCLUSIVE


@pytest.mark.parametrize(("well", "ill"), [(0, 0), (1, 0), (0, 1), (9, 10)])
@pytest.mark.parametrize("by_metrics", [False, True])
def test_an_outage_that_was_there_before_is_not_the_release_s_fault(
    field: Field, system: spec.System, by_metrics: bool, well: int, ill: int
) -> None:
    target, look = tried(system), EarlyLook(field, system, RULES)
    field.handled(target.stable, 80)
    field.handled(target.stable, 20, **AWAY)
    since = whole(field)
    stragglers(field, target, well, ill)

    def seen() -> Verdict:
        if by_metrics:
            field.stage.minute_begins()
        return alone(field, look, target, since)

    field.handled(target.canary, 80)
    field.handled(target.canary, 22, **AWAY)
    found = seen()
    assert found.kind is Kind.INCONCLUSIVE, found.why
    alike = [one.why for one in found.gates if "it was so before this share, so this is not the cause" in one.why]
    assert bool(alike) is by_metrics
    field.handled(target.canary, 150, **AWAY)
    assert seen().kind is Kind.UNHEALTHY, "worse than that it is all the same"


@pytest.mark.parametrize(("before", "ill", "of"), [(BEFORE, 1, 1), (BEFORE, 9, 14), (0, 1, 1), (0, 3, 4)])
def test_an_outage_of_the_release_is_found_whatever_became_of_the_last_of_the_stable_side(
    field: Field, system: spec.System, before: int, ill: int, of: int
) -> None:
    target, look = tried(system), EarlyLook(field, system, RULES)
    field.handled(target.stable, before)
    since = whole(field)
    stragglers(field, target, of - ill, ill)
    field.handled(target.canary, 40, **AWAY)
    by_log = alone(field, look, target, since)
    field.stage.minute_begins()
    by_metrics = next(one for one in alone(field, look, target, since).gates if one.gate == "success")
    beside = f"before this share 0 of {BEFORE}" if before else f"{ill} of {of}"
    for found in (by_log, by_metrics):
        assert found.kind is Kind.UNHEALTHY, found.why
        assert f"40 of 40 requests on {target.canary} failed, on {target.stable} {beside}: " in found.why


def test_where_so_many_of_the_stable_side_fail_too_the_release_is_not_the_cause(
    field: Field, system: spec.System
) -> None:
    for before, ill in ((BEFORE, RULES.min_samples), (0, LEAST_BESIDE)):
        target, look = tried(system), EarlyLook(field, system, RULES)
        field.handled(target.stable, before)
        since = whole(field)
        stragglers(field, target, 0, ill)
        field.handled(target.canary, 40, **AWAY)
        field.stage.minute_begins()
        found = alone(field, look, target, since)
        assert found.kind is Kind.INCONCLUSIVE, found.why
        assert "both sides fail alike" in found.why


@pytest.mark.parametrize("stragglers", [0, 3])
def test_a_good_release_of_a_service_that_mostly_asks_stays_at_100(
    field: Field, system: spec.System, stragglers: int
) -> None:
    target, look = tried(system), EarlyLook(field, system, RULES)
    stood(field, target)
    since = whole(field)
    field.handled(target.stable, stragglers, **LOOK)  # with an effect, at a door where that is not usual
    field.handled(target.stable, stragglers, effect=False)  # and the other way round
    field.handled(target.canary, 30)
    field.handled(target.canary, 300, effect=False, **LOOK)  # it is night: nearly all that comes is a question
    field.stage.minute_begins()
    effect = next(one for one in alone(field, look, target, since).gates if one.gate == "effect")
    assert (effect.kind, effect.canary) == (Kind.HEALTHY, (0, 30)), effect.why


def test_what_stood_before_is_read_once_and_again_only_where_it_was_not_answered(system: spec.System) -> None:
    place, clock = Logging(), [0.0]
    target = tried(system)
    look = EarlyLook(place, system, RULES, lambda: clock[0])
    place.error = CallFailed("no", status=503)
    for _ in range(3):
        assert look.before(target, NOW, NOW - gates.EARLIER) is None
    assert place.reads == 1
    place.error, clock[0] = None, EVERY
    for _ in range(3):
        assert look.before(target, NOW, NOW - gates.EARLIER) is not None
    assert place.reads == 2
    look.before(target, NOW + timedelta(days=1), NOW)
    assert place.reads == 3, "another share has another time before it"


def doors(before: list[tuple[int, int]], canary: list[tuple[int, int]]) -> Early:
    """(idle, known) at each door."""

    def side(one: tuple[int, int]) -> Side:
        return Side(idle=one[0], known=one[1])

    both = {
        f"door{number}": Samples(stable=Side(), canary=side(now), before=side(was), names=("s", "t"))
        for number, (was, now) in enumerate(zip(before, canary, strict=True))
    }
    return Early(samples=Samples(stable=Side(), canary=Side()), doors=both)


def test_a_burst_at_one_door_before_the_share_does_not_hide_what_another_door_did(
    field: Field, system: spec.System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "MOST", 50)
    told = []
    for burst in (3 * early.MOST, early.PAGES * early.MOST):
        target = tried(system)
        field.handled(target.stable, BEFORE)
        field.handled(target.stable, burst, effect=False, **LOOK)  # a queue is resumed
        since = whole(field)
        field.handled(target.canary, 40, effect=False)
        told.append(alone(field, EarlyLook(field, system, RULES), target, since))
    assert told[0].kind is Kind.UNHEALTHY, told[0].gates[-1].why
    assert "at gchostpay/hostpay_webhook alone" in told[0].why
    assert told[1].kind is Kind.INCONCLUSIVE, "so much is not read, and nothing is guessed"
    said = (
        "not compared with the time before this share, of which too few messages are known: gchostpay/hostpay_webhook"
    )
    assert said in told[1].gates[-1].why


def test_where_the_time_before_is_not_read_each_door_is_said_not_to_be_compared(system: spec.System) -> None:
    place, target = Logging(), tried(system)
    place.error = CallFailed("no", status=503)
    look = EarlyLook(place, system, RULES)
    assert look.before(target, NOW, NOW - gates.EARLIER) is None
    place.error = None
    place.failed(target.canary, 3, 1.0, http_status=200, effect=False)
    quiet = Verdict(kind=Kind.HEALTHY, why="", gates=(), window=NONE_YET)
    assert "known: gchostpay/" in sooner(quiet, look.look(target, NOW), RULES, alone=True).gates[-1].why
    assert "known: " not in sooner(quiet, look.look(target, NOW), RULES).gates[-1].why, "where a side stands beside it"


def test_another_mix_night_after_day_and_a_burst_of_repetitions_find_nothing() -> None:
    def said(before: list[tuple[int, int]], canary: list[tuple[int, int]]) -> Kind:
        quiet = Verdict(kind=Kind.HEALTHY, why="", gates=(), window=NONE_YET)
        return sooner(quiet, doors(before, canary), RULES, alone=True).kind

    assert said([(5, 500), (50, 500)], [(0, 5), (200, 2000)]) is Kind.HEALTHY, "another mix of doors"
    assert said([(1, 500)], [(80, 400)]) is Kind.HEALTHY, "by night more is said twice"
    assert said([(0, 500)], [(12, 40)]) is Kind.HEALTHY
    assert said([(0, 500)], [(4, 4)]) is Kind.HEALTHY
    assert said([(0, 500)], [(30, 32)]) is Kind.UNHEALTHY


#: Shares that do not change, how often the stable side was seen at each door before, and how many rollouts are tried.
SAME = ((0.02, 50, 150), (0.3, 600, 100), (0.8, 200, 150), (0.1, 3000, 300))


def taken_back() -> int:
    """How many of them are, looked at after every message, at two doors, without the limit that is for another hour."""
    rules = Rules(confidence=0.5, steps=1, min_samples=50)  # of a rollout; of this one question it is 1 in 36
    gate, wrong = replace(EFFECT, limit=lambda _rules: 1e-4), 0
    for share, before, rollouts in SAME:
        chance = random.Random(23)
        for _ in range(rollouts):
            was = [(sum(chance.random() < share for _ in range(before)), before) for _ in range(2)]
            now = [(0, 0), (0, 0)]
            for _ in range(120):
                door = int(chance.random() < 0.3)
                bad = chance.random() < share
                now[door] = (now[door][0] + bad, now[door][1] + 1)
                if bad and judging._by_door(gate, doors(was, now), rules, NONE_YET):
                    wrong += 1
                    break
    return wrong


def test_a_release_that_does_as_before_is_taken_back_less_often_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far less often, as the bound of what was before is an exact one: so a threshold at a third is seen here."""
    assert taken_back() <= 1
    need = judging.need
    monkeypatch.setattr(judging, "need", lambda rules: need(rules) / 3)
    assert taken_back() > 1
