"""The retry law of Cloud Tasks: when a failed task is tried again and when it is given up.

Owns the arithmetic alone, as pure functions over one frozen policy: no clock, no I/O, nothing but the standard library,
so that the dispatcher of the local cloud and the checks of the specs read the same law. Leaves alone rate limits,
concurrency, Retry-After and the slowing of a whole queue, which are the dispatcher's.

Source: the text of `google.cloud.tasks.v2.RetryConfig`, and the answers in the conformance record of the real service.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

#: A task is attempted so often when its queue names no max_attempts.
DEFAULT_MAX_ATTEMPTS = 100

#: Seconds from the first attempt after which retrying may stop; 0 means that age is no limit.
DEFAULT_MAX_RETRY_DURATION = 0.0

#: Seconds before the first retry when a queue names no min_backoff.
DEFAULT_MIN_BACKOFF = 0.1

#: The longest wait in seconds when a queue names no max_backoff.
DEFAULT_MAX_BACKOFF = 3600.0

#: How often the wait doubles when a queue names no max_doublings.
DEFAULT_MAX_DOUBLINGS = 16

#: The value of max_attempts that takes the number of attempts out of the stop rule.
UNLIMITED_ATTEMPTS = -1

#: Seconds after which a task is given up when neither attempts nor age limit it: Google keeps no task for longer.
LONGEST_RETRY = 31 * 24 * 3600.0

#: Two times closer than this are the same time: clock readings are floats, and an attempt at 60 s must count as 60 s.
SAME_TIME = 0.001

#: Beyond so many doublings every wait is longer than any max_backoff; stopping there keeps the power within a float.
_DOUBLINGS_THAT_MATTER = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """What a queue says about retries, in attempts and seconds; the defaults are those of Google."""

    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    max_retry_duration: float = DEFAULT_MAX_RETRY_DURATION
    min_backoff: float = DEFAULT_MIN_BACKOFF
    max_backoff: float = DEFAULT_MAX_BACKOFF
    max_doublings: int = DEFAULT_MAX_DOUBLINGS


def delay(policy: RetryPolicy, failures: int) -> float:
    """Seconds to wait after the given number of failed attempts (1 or more).

    The wait starts at min_backoff, doubles max_doublings times, then grows by 2^max_doublings * min_backoff each time,
    and never exceeds max_backoff: 10 s, 300 s and 3 doublings give 10, 20, 40, 80, 160, 240, 300, 300.
    """
    step = max(failures, 1) - 1
    doublings = min(step, policy.max_doublings)
    if policy.min_backoff > 0 and doublings > _DOUBLINGS_THAT_MATTER:
        return policy.max_backoff
    doubled = policy.min_backoff * 2.0**doublings if policy.min_backoff > 0 else 0.0
    return min(doubled * (1 + step - doublings), policy.max_backoff)


def exhausted(policy: RetryPolicy, attempts: int, since_first_attempt: float) -> bool:
    """Say whether a task that has just failed is given up, asked at the moment of the failure.

    Retrying stops only when every limit that counts is used up. -1 attempts, or an age of 0, drops out as a limit;
    when both drop out, 31 days are the limit. A retry that was due before the age limit is never cut short to meet it:
    a task is tried between min_backoff and max_backoff after a failure, so the last attempt falls at, or up to one wait
    past, the limit ("3 attempts, 60 s" with 5 s..15 s tries at 0, 5, 15, 30, 45 and 60 s, and then stops).
    """
    by_attempts = policy.max_attempts != UNLIMITED_ATTEMPTS
    by_age = policy.max_retry_duration > 0
    if not by_attempts and not by_age:
        return _reached(since_first_attempt, LONGEST_RETRY)
    used_attempts = not by_attempts or attempts >= policy.max_attempts
    used_age = not by_age or _reached(since_first_attempt, policy.max_retry_duration)
    return used_attempts and used_age


def timeline(policy: RetryPolicy) -> Iterator[float]:
    """Yield the times of all attempts in seconds from the first, if each fails at once, until the task is given up.

    The first is 0. With a min_backoff of 0 the waits are 0 too and an age limit is never met: take a slice then.
    """
    now = 0.0
    attempts = 0
    while True:
        attempts += 1
        yield now
        if exhausted(policy, attempts, now):
            return
        now += delay(policy, attempts)


def _reached(now: float, limit: float) -> bool:
    return now >= limit - SAME_TIME
