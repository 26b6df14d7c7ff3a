"""The retry law: what the reference's text and the record of the real service say, and what must hold for any queue."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.engines.backoff import LONGEST_RETRY, RetryPolicy, delay, exhausted, timeline

HOSTPAY = RetryPolicy(max_attempts=3, max_retry_duration=60, min_backoff=5, max_backoff=15, max_doublings=2)

waits = st.floats(min_value=0.1, max_value=3600)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(min_value=1, max_value=60),
    max_retry_duration=st.one_of(st.just(0.0), st.integers(min_value=1, max_value=600).map(float)),
    min_backoff=waits,
    max_backoff=waits,
    max_doublings=st.integers(min_value=0, max_value=20),
).map(lambda policy: policy if policy.min_backoff <= policy.max_backoff else _swapped(policy))


def _swapped(policy: RetryPolicy) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=policy.max_attempts,
        max_retry_duration=policy.max_retry_duration,
        min_backoff=policy.max_backoff,
        max_backoff=policy.min_backoff,
        max_doublings=policy.max_doublings,
    )


def test_waits_are_those_of_the_reference() -> None:
    policy = RetryPolicy(min_backoff=10, max_backoff=300, max_doublings=3)

    assert [delay(policy, failures) for failures in range(1, 9)] == [10, 20, 40, 80, 160, 240, 300, 300]


def test_without_doublings_waits_grow_by_equal_steps() -> None:
    policy = RetryPolicy(min_backoff=5, max_backoff=100, max_doublings=0)

    assert [delay(policy, failures) for failures in range(1, 5)] == [5, 10, 15, 20]


def test_hostpay_is_tried_until_both_limits_are_used_up() -> None:
    assert list(timeline(HOSTPAY)) == [0, 5, 15, 30, 45, 60]


def test_real_attempts_that_take_some_time_end_at_about_the_limit() -> None:
    now, attempts, times = 0.0, 0, []
    while True:
        attempts += 1
        times.append(round(now))
        now += 0.1
        if exhausted(HOSTPAY, attempts, now):
            break
        now += delay(HOSTPAY, attempts)

    assert times == [0, 5, 15, 30, 45, 60]


def test_clock_readings_that_fall_short_by_a_rounding_error_still_count() -> None:
    first = 1_900_000_000.123
    assert exhausted(HOSTPAY, 6, (first + 60.0) - first - 2e-7)


@pytest.mark.parametrize(
    ("attempts", "age", "over"),
    [(2, 100, False), (3, 59, False), (3, 60, True), (4, 59, False), (100, 59.9, False)],
)
def test_retrying_stops_only_when_attempts_and_age_are_used_up(attempts: int, age: float, over: bool) -> None:
    assert exhausted(HOSTPAY, attempts, age) is over


def test_no_age_limit_leaves_the_attempts_alone_in_force() -> None:
    policy = RetryPolicy(max_attempts=5, max_retry_duration=0, min_backoff=1, max_backoff=60, max_doublings=5)

    assert list(timeline(policy)) == [0, 1, 3, 7, 15]


def test_unlimited_attempts_leave_the_age_limit_alone_in_force() -> None:
    policy = RetryPolicy(max_attempts=-1, max_retry_duration=120, min_backoff=60, max_backoff=60)

    assert list(timeline(policy)) == [0, 60, 120]


def test_without_any_limit_a_task_is_given_up_after_31_days() -> None:
    policy = RetryPolicy(max_attempts=-1, max_retry_duration=0, min_backoff=3600, max_backoff=86_400)

    last = list(timeline(policy))[-1]

    assert LONGEST_RETRY <= last < LONGEST_RETRY + 86_400


def test_one_attempt_means_no_retry() -> None:
    assert list(timeline(RetryPolicy(max_attempts=1))) == [0]


def test_defaults_are_those_of_google() -> None:
    assert list(islice(timeline(RetryPolicy()), 4)) == pytest.approx([0, 0.1, 0.3, 0.7])
    assert len(list(timeline(RetryPolicy()))) == 100


@given(policies, st.integers(min_value=1, max_value=10**9))
def test_every_wait_lies_between_min_and_max_backoff(policy: RetryPolicy, failures: int) -> None:
    assert policy.min_backoff <= delay(policy, failures) <= policy.max_backoff


@given(policies, st.integers(min_value=1, max_value=10**6))
def test_waits_never_get_shorter(policy: RetryPolicy, failures: int) -> None:
    assert delay(policy, failures) <= delay(policy, failures + 1)


@given(policies)
def test_a_timeline_uses_up_every_limit_and_goes_no_further(policy: RetryPolicy) -> None:
    times = list(islice(timeline(policy), 10_000))

    assert all(earlier < later for earlier, later in pairwise(times))
    assert len(times) >= policy.max_attempts
    assert times[-1] >= policy.max_retry_duration - 0.001
    before_last = exhausted(policy, len(times) - 1, times[-2]) if len(times) > 1 else False
    assert not before_last


@given(
    st.integers(min_value=0, max_value=200),
    st.floats(min_value=0.001, max_value=1e6),
    st.integers(min_value=1, max_value=10**6),
)
def test_any_number_of_doublings_stays_within_numbers(doublings: int, longest: float, failures: int) -> None:
    policy = RetryPolicy(min_backoff=0.001, max_backoff=longest, max_doublings=doublings)

    assert delay(policy, failures) <= longest


@given(policies, st.integers(min_value=1, max_value=10**6), st.floats(min_value=0, max_value=1e7))
def test_what_is_given_up_stays_given_up(policy: RetryPolicy, attempts: int, age: float) -> None:
    if exhausted(policy, attempts, age):
        assert exhausted(policy, attempts + 1, age + 1)
