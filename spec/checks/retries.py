"""Times that must agree: the retry timeline, the token's window, the dispatch deadline and the receiver's timeout."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from local_cloud.engines.backoff import UNLIMITED_ATTEMPTS, RetryPolicy, delay, timeline
from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.durations import Duration
from spec.errors import Finding, Severity
from spec.task_queue import MOST_ATTEMPTS, TaskQueue


@rule("SL201", silenceable=True)
def first_retry_finds_a_living_token(draft: Draft) -> Iterator[Finding]:
    """The token lives longer than the wait before the first retry."""
    for queue in draft.system.queues.values():
        window, wait = queue.token_window, queue.retry.min_backoff
        if window is not None and window <= wait:
            yield draft.error(
                "queue",
                queue.name,
                "token_window",
                what=f"the token lives {window}, but the first retry comes after {wait}",
                breaks="every retry would arrive with an expired token, so one failure would lose the payment",
                fix=f"write a token_window above {wait}, or lower retry.min_backoff below {window}",
            )


@rule("SL202", Severity.WARNING)
def retries_end_with_the_token(draft: Draft) -> Iterator[Finding]:
    """Of all attempts at most the last finds the token expired, and none is missing that would find it alive."""
    for queue in draft.system.queues.values():
        window = queue.token_window
        if window is None or window <= queue.retry.min_backoff:
            continue
        late, last = _attempts(queue.retry.policy, window.seconds)
        if late is not None:
            yield _too_late(draft, queue, window, late)
        elif last is not None:
            yield _too_early(draft, queue, window, last)


@lru_cache(maxsize=256)
def _attempts(policy: RetryPolicy, window: float) -> tuple[float | None, float | None]:
    """When the second attempt after the window comes, or else the last of all where one more would be within it."""
    times: list[float] = []
    for time in islice(timeline(policy), MOST_ATTEMPTS):
        times.append(time)
        if len([late for late in times[-2:] if late >= window]) > 1:
            return time, None
    return None, times[-1] if times[-1] + delay(policy, len(times)) < window else None


@rule("SL203", Severity.WARNING)
def an_attempt_leaves_time_for_another(draft: Draft) -> Iterator[Finding]:
    """An attempt that hangs is given up while the token still lives."""
    for queue in draft.system.queues.values():
        window, deadline = queue.token_window, queue.dispatch_deadline
        if window is not None and deadline >= window:
            yield draft.warning(
                "queue",
                queue.name,
                "dispatch_deadline",
                what=f"one attempt may take {deadline}, but the token lives {window}",
                breaks="an attempt that hangs uses up the token, and no retry can succeed",
                fix=f"write a dispatch_deadline below {window}",
            )


@rule("SL204", silenceable=True)
def receiver_answers_before_the_deadline(draft: Draft) -> Iterator[Finding]:
    """The receiver is cut off before the queue gives an attempt up and sends the next."""
    for queue in draft.system.queues.values():
        receiver = draft.system.services.get(queue.receiver)
        if receiver is not None and receiver.timeout > queue.dispatch_deadline:
            yield draft.error(
                "queue",
                queue.name,
                "dispatch_deadline",
                what=f"the queue waits {queue.dispatch_deadline}, but {receiver.name} may work for {receiver.timeout}",
                breaks="the next attempt would start while the one before it is still running",
                fix=f"write a dispatch_deadline of {receiver.timeout} or more, or lower timeout in "
                f"service_code/{receiver.name}/service.yaml to {queue.dispatch_deadline} or less",
            )


@rule("SL205", Severity.WARNING)
def the_age_limit_counts(draft: Draft) -> Iterator[Finding]:
    """An age limit is not undone by attempts that are left when it passes: both must be used up."""
    for queue in draft.system.queues.values():
        attempts, limit = queue.retry.max_attempts, queue.retry.task_age_limit
        if attempts == UNLIMITED_ATTEMPTS or limit.milliseconds == 0:
            continue
        times = list(islice(timeline(queue.retry.policy), min(attempts, MOST_ATTEMPTS)))
        if len(times) > 1 and times[-2] >= limit.seconds:
            end = Duration.of(seconds=round(times[-1]))
            yield draft.warning(
                "queue",
                queue.name,
                "retry",
                "task_age_limit",
                what=f"{limit} does not end the retries: {attempts} attempts must be used up too, which takes {end}",
                breaks="tasks would be tried long after the time at which they should have been given up",
                fix="lower max_attempts (-1 leaves the age limit alone in force), or raise task_age_limit",
            )


@rule("SL216", Severity.WARNING)
def the_queue_outlasts_its_worker(draft: Draft) -> Iterator[Finding]:
    """A queue makes as many attempts, within the token's life, as its receiver counts before it gives up."""
    for queue in draft.system.queues.values():
        wanted = queue.worker_attempts
        if wanted is None:
            continue
        times = list(islice(timeline(queue.retry.policy), wanted))
        alive = [time for time in times if queue.token_window is None or time < queue.token_window.seconds]
        if len(alive) < wanted:
            limit = "while the token lives " if len(times) == wanted else ""
            yield draft.warning(
                "queue",
                queue.name,
                "worker_attempts",
                what=f"{queue.receiver} gives up after {wanted} attempts, and the queue makes {limit}{len(alive)}",
                breaks="the queue drops the task before its receiver has recorded that it is dead",
                fix="raise max_attempts or task_age_limit, shorten the waits, or let the receiver count fewer",
            )


def _too_late(draft: Draft, queue: TaskQueue, window: Duration, second: float) -> Finding:
    return draft.warning(
        "queue",
        queue.name,
        "token_window",
        what=f"the token lives {window}, but retries go on after it (an attempt at {Duration.of(seconds=second)})",
        breaks="more than one attempt finds the token expired, and none of them can succeed",
        fix=f"end the retries with the token: task_age_limit: {window}, and max_attempts that are used up by then",
    )


def _too_early(draft: Draft, queue: TaskQueue, window: Duration, last: float) -> Finding:
    return draft.warning(
        "queue",
        queue.name,
        "token_window",
        what=f"the token lives {window}, but the last attempt is at {Duration.of(seconds=last)}",
        breaks="an outage that ends in between loses a payment that could still be made",
        fix=f"let the retries last as long as the token: task_age_limit: {window}",
    )


RULES: tuple[Rule, ...] = (
    first_retry_finds_a_living_token,
    retries_end_with_the_token,
    an_attempt_leaves_time_for_another,
    receiver_answers_before_the_deadline,
    the_age_limit_counts,
    the_queue_outlasts_its_worker,
)
