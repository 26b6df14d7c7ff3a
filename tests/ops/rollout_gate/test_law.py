"""The statistics: against a slow and plain reckoning, against known figures, and over many looks."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb, inf

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.rollout.gate import law

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
counts = st.integers(0, 60).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


def at_least(bad: int, of: int, share: float) -> float:
    return sum(comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(bad, of + 1))


@PATIENT
@given(counts, st.sampled_from([0.9, 0.95, 0.99]))
def test_bounds_are_the_shares_at_which_what_was_seen_is_just_so_rare(seen: tuple[int, int], sure: float) -> None:
    bad, of = seen
    low, high = law.bounds(bad, of, sure)
    assert 0 <= low <= high <= 1
    tail = (1 - sure) / 2
    if bad:
        assert at_least(bad, of, low) == pytest.approx(tail, rel=1e-6)
    if bad < of:
        assert 1 - at_least(bad + 1, of, high) == pytest.approx(tail, rel=1e-6)


@PATIENT
@given(counts, counts)
def test_fishers_test_counts_all_tables_that_are_as_bad(here: tuple[int, int], there: tuple[int, int]) -> None:
    (bad, of), (other_bad, other_of) = here, there
    marked, total = bad + other_bad, of + other_of
    ways = sum(comb(of, k) * comb(other_of, marked - k) for k in range(bad, min(of, marked) + 1))
    whole = Fraction(ways, comb(total, marked)) if of and other_of else Fraction(1)
    assert law.fisher(bad, of, other_bad, other_of) == pytest.approx(float(whole), rel=1e-8)


def test_figures_that_others_have_printed() -> None:
    assert law.bounds(4, 20, 0.95) == pytest.approx((0.0573, 0.4366), abs=1e-4)  # Brown, Cai and DasGupta 2001
    assert law.fisher(3, 4, 1, 4) == pytest.approx(0.2429, abs=1e-4)  # Fisher's tea
    assert law.rule_of_three(300, 0.95) == pytest.approx(0.01, abs=1e-4)


@PATIENT
@given(st.lists(st.integers(0, 20), min_size=4, max_size=4), st.sampled_from([0.5, 0.95]))
def test_a_percentile_lies_within_its_bounds_and_they_are_edges(counts: list[int], share: float) -> None:
    edges = (1.0, 2.0, 5.0)
    seen, low, high = law.percentile(edges, counts, share, 0.95)
    assert low <= seen <= high
    assert {low, high, seen} <= {0.0, *edges, inf}


def test_the_bounds_of_a_percentile_hold_it_as_often_as_they_say() -> None:
    chance, edges, missed = random.Random(5), [step / 20 for step in range(1, 20)], 0
    for _ in range(200):
        counts = [0] * 20
        for _ in range(200):
            counts[int(chance.random() * 20)] += 1
        _, low, high = law.percentile(edges, counts, 0.9, 0.95)
        missed += not low <= 0.9 <= high
    assert missed <= 0.05 * 200 + 8


@pytest.mark.parametrize("share", [0.003, 0.01])
def test_a_share_within_the_limit_does_not_trip_however_often_one_looks(share: float) -> None:
    tripped, chance = 0, random.Random(11)
    for _ in range(200):
        bad = 0
        for of in range(1, 1000):
            failed = chance.random() < share
            bad += failed
            if failed and law.against_limit(bad, of, 0.01) >= 20:  # what is good never brings it nearer
                tripped += 1
                break
    assert tripped <= 0.05 * 200


@pytest.mark.parametrize(("share", "canary"), [(0.3, 0.1), (0.02, 0.5), (0.9, 0.9)])
def test_two_sides_that_fail_alike_do_not_differ_however_often_one_looks(share: float, canary: float) -> None:
    tripped, chance = 0, random.Random(13)
    for _ in range(60):
        bad, of = [0, 0], [0, 0]
        for _ in range(120):
            side = int(chance.random() < canary)
            of[side] += 1
            failed = chance.random() < share
            bad[side] += failed
            if side and failed and law.against_other(bad[1], of[1], bad[0], of[0]) >= 20:
                tripped += 1
                break
    assert tripped <= 0.05 * 60 + 2


@pytest.mark.parametrize("canary", [0.1, 0.5, 0.9])
def test_a_side_that_always_fails_is_found_within_some_thirty_samples(canary: float) -> None:
    of = next(n for n in range(1, 100) if law.against_other(n, n, 0, round(n * (1 - canary) / canary)) >= 1000)
    assert of <= 30


def test_large_counts_stay_numbers() -> None:
    assert law.against_limit(400_000, 1_000_000, 0.01) == law.CERTAIN
    assert law.against_other(0, 1_000_000, 10, 1_000_000) < 1
    low, high = law.bounds(3_000, 1_000_000, 0.95)
    assert low < 0.003 < high
    assert law.fisher(500_000, 1_000_000, 500_000, 1_000_000) > 0.4
