"""The dispatcher in virtual time, against laws stated here once more and independently.

Nothing waits: a clock that jumps, a journal in memory, a carrier that answers when the simulation says so.
"""

import itertools
import random
from bisect import bisect_left
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.engines.backoff import RetryPolicy
from local_cloud.engines.queues import Limits
from local_cloud.engines.tasks import Task, decode
from tests.dose import share
from tests.fidelity import pins
from tests.local_cloud.virtual import START, World, attempts_of_a_failing_task, policies


def waits(policy: RetryPolicy) -> Iterator[float]:
    """The reference's words: doubles max_doublings times, then grows by 2^max_doublings * min, capped at max."""
    wait = policy.min_backoff
    for _ in range(policy.max_doublings):
        yield min(wait, policy.max_backoff)
        wait *= 2
    step = policy.min_backoff * 2.0**policy.max_doublings
    while True:
        yield min(wait, policy.max_backoff)
        wait += step


def attempts(policy: RetryPolicy, most: int) -> list[float]:
    """When a task that always fails at once is attempted, counted from the first attempt."""
    times = [0.0]
    for wait in itertools.islice(waits(policy), most - 1):
        by_count = policy.max_attempts == -1 or len(times) >= policy.max_attempts
        by_age = policy.max_retry_duration == 0 or times[-1] >= policy.max_retry_duration - 0.001
        if policy.max_attempts == -1 and policy.max_retry_duration == 0:
            by_age = times[-1] >= 31 * 86400 - 0.001
        if by_count and by_age:
            break
        times.append(times[-1] + wait)
    return times


POLICIES = st.builds(
    lambda attempts, age, low, span, doublings: RetryPolicy(
        max_attempts=attempts, max_retry_duration=age, min_backoff=low, max_backoff=low + span, max_doublings=doublings
    ),
    st.sampled_from([-1, 1, 2, 3, 5, 12, 100]),
    st.sampled_from([0, 1, 10, 60, 3600, 86400]),
    st.integers(1, 200).map(lambda tenths: tenths / 10),
    st.integers(0, 7200).map(float),
    st.integers(0, 16),
)


@settings(max_examples=share(300, 100), deadline=None)
@given(POLICIES)
def test_every_attempt_falls_where_the_law_says(policy: RetryPolicy) -> None:
    world = World()
    queue = world.dispatcher.open("q", Limits(rate=500, concurrent=10, retry=policy), None)
    world.dispatcher.add(queue, Task("t", b"", created=START, schedule=START, named=False))
    most = 40
    expected = attempts(policy, most)
    # up to the last expected attempt and a little: 31 days are the end of everything
    world.run(START + min(expected[-1] + 0.05, 31 * 86400 - 1))
    expected = [at for at in expected if at < 31 * 86400 - 1]
    assert [at - START for at in world.sent] == pytest.approx(expected, abs=0.0005)
    if len(expected) < most and expected[-1] < 30 * 86400:
        assert world.over == {"t": "dropped"}


def test_a_thousand_random_settings_keep_every_gap_to_a_hundredth() -> None:
    chance, most = random.Random(4), 40
    for _ in range(1000):
        policy = policies(chance)
        seen = attempts_of_a_failing_task(policy, most)
        assert seen == pytest.approx(attempts(policy, most)[: len(seen)], rel=0.001, abs=0.0005)
        assert len(seen) == len([at for at in attempts(policy, most) if at < 31 * 86400 - 1])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.5, 500), st.integers(1, 30))
def test_nothing_is_lost_or_done_twice_and_no_limit_is_passed(seed: int, rate: float, concurrent: int) -> None:
    chance = random.Random(seed)
    world = World()
    statuses = [200, 200, 500, 503, 404, 302, 0, -1]
    world.answer = lambda: (chance.random() * 5, chance.choice(statuses))
    policy = RetryPolicy(max_attempts=chance.choice([1, 3, 8]), min_backoff=chance.random() * 10 + 0.1, max_backoff=60)
    dispatcher = world.dispatcher
    queue = dispatcher.open("q", Limits(rate=rate, concurrent=concurrent, retry=policy), None)
    burst = queue.bucket.burst
    made: list[Task] = []
    gone: set[str] = set()
    forced = 0
    for _ in range(200):
        match chance.choice(
            ["add", "add", "add", "run", "pause", "resume", "resume", "delete", "purge", "wait", "wait"]
        ):
            case "add":
                made.append(Task(str(len(made)), b"", created=world.time, schedule=world.time, named=False))
                made[-1].schedule += chance.choice([0, 0, 0, 30])
                dispatcher.add(queue, made[-1])
            case "run" if queue.tasks:
                forced += 1
                dispatcher.run(queue, chance.choice(list(queue.tasks.values())))
            case "pause":
                dispatcher.set_paused(queue, True)
            case "resume":
                dispatcher.set_paused(queue, False)
            case "delete" if queue.tasks:
                task = chance.choice(list(queue.tasks.values()))
                gone.add(task.id)
                dispatcher.delete(queue, task)
            case "purge" if chance.random() < 0.1:
                gone |= set(queue.tasks)
                dispatcher.purge(queue)
            case _:
                world.run(world.time + chance.random() * 3)
        assert queue.running <= concurrent
        assert {task.id for task in made} == set(queue.tasks) | gone | set(world.over)
        assert not set(queue.tasks) & (gone | set(world.over))
        assert set(world.rows) == set(queue.tasks)
        assert all(decode(world.rows[name]).schedule == task.schedule for name, task in queue.tasks.items())
    for index, at in enumerate(world.sent):
        for window in (1.0, 20.0):
            inside = bisect_left(world.sent, at + window) - index
            assert inside <= burst + rate * window + 1 + forced
    dispatcher.set_paused(queue, False)
    world.answer = lambda: (0.1, 200)
    world.run(world.time + 10_000)
    assert not queue.tasks
    assert dispatcher.in_flight == 0
    assert queue.running == 0


@pins(
    "cloud_tasks",
    "Dispatch",
    "Token bucket, full when a queue is made or the cloud starts",
    documented="RateLimits",
)
@pytest.mark.parametrize("rate", [0.5, 1, 3.7, 10, 100, 499, 500])
def test_a_long_run_keeps_the_rate_to_a_thousandth(rate: float) -> None:
    world = World()
    world.answer = lambda: (0.3, 200)
    queue = world.dispatcher.open("q", Limits(rate=rate, concurrent=5000, retry=RetryPolicy()), None)
    burst, count = queue.bucket.burst, 3000
    for index in range(count + burst):
        world.dispatcher.add(queue, Task(str(index), b"", created=START, schedule=START, named=False))
    world.run(START + (count + 1) / rate)
    assert len(world.sent) == count + burst
    assert sum(at == START for at in world.sent) == burst
    after = world.sent[burst:]
    assert (len(after) - 1) / (after[-1] - after[0]) == pytest.approx(rate, rel=0.001)
