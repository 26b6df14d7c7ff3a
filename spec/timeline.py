"""The retry timeline of a queue as a table: when each attempt falls, how old the token is then, and what that means.

Owns the verdicts for people; the times are the retry law's, and the refusals are the checks'. Times hold for a receiver
that fails at once: an attempt that hangs adds up to the dispatch deadline to every later one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from local_cloud.engines.backoff import LONGEST_RETRY, UNLIMITED_ATTEMPTS, delay, timeline
from spec import strategies
from spec.durations import Duration
from spec.task_queue import TaskQueue

#: Rows that a table shows unless told otherwise; a queue that retries for a day has thousands.
DEFAULT_ROWS = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt."""

    attempt: int
    at: Duration
    wait: Duration
    token_left: Duration | None
    verdict: str

    def as_json(self) -> dict[str, int | float | str | None]:
        """Return the row as the command line prints it with --json."""
        left = self.token_left.seconds if self.token_left is not None else None
        return {
            "attempt": self.attempt,
            "at": self.at.seconds,
            "wait": self.wait.seconds,
            "token_left": left,
            "verdict": self.verdict,
        }


def rows(queue: TaskQueue) -> Iterator[Row]:
    """Yield every attempt of a task that fails each time."""
    policy = queue.retry.policy
    times = timeline(policy)
    now, attempt, wait = next(times), 1, 0.0
    while True:
        following = next(times, None)
        yield _row(queue, attempt, now, wait, last=following is None)
        if following is None:
            return
        now, attempt, wait = following, attempt + 1, delay(policy, attempt)


def render(queue: TaskQueue, limit: int = DEFAULT_ROWS) -> str:
    """Return the table as a terminal shows it, with the stop rule and what is done about the token in words below."""
    shown = list(islice(rows(queue), limit + 1))
    lines = [f"{queue.name}: {', '.join(queue.senders)} -> {queue.receiver} {queue.path}", ""]
    with_token = queue.token_window is not None
    lines.append("attempt        at      wait" + ("    token left" if with_token else "") + "  verdict")
    for row in shown[:limit]:
        token = f"{row.token_left!s:>14}" if with_token else ""
        lines.append(f"{row.attempt:>7}{row.at!s:>10}{row.wait!s:>10}{token}  {row.verdict}".rstrip())
    if len(shown) > limit:
        lines.append(f"{'...':>7}")
    said = strategies.render(queue)
    return "\n".join([*lines, "", stop_rule(queue), *(("", said) if said else ())])


def first_tries(queue: TaskQueue, limit: int) -> str:
    """Name the times of the first attempts: `0s, 5s, 15s, ...`."""
    shown = list(islice(rows(queue), limit + 1))
    return ", ".join(str(row.at) for row in shown[:limit]) + (", ..." if len(shown) > limit else "")


def stop_rule(queue: TaskQueue) -> str:
    """Say in words when the queue gives a task up."""
    retry = queue.retry
    by_attempts = retry.max_attempts != UNLIMITED_ATTEMPTS
    by_age = retry.task_age_limit.milliseconds > 0
    attempts = f"after {retry.max_attempts} attempt{'' if retry.max_attempts == 1 else 's'}"
    age = f"{retry.task_age_limit} after the first attempt"
    if by_attempts and by_age:
        return f"Given up when both are reached: {attempts}, and {age}."
    if by_attempts:
        return f"Given up {attempts}; the age of the task is no limit."
    if by_age:
        return f"Given up {age}; the number of attempts is no limit."
    return f"Given up {Duration.of(seconds=LONGEST_RETRY)} after the first attempt: no other limit is set."


def _row(queue: TaskQueue, attempt: int, now: float, wait: float, *, last: bool) -> Row:
    at = Duration.of(seconds=now)
    left: Duration | None = None
    expired = False
    if queue.token_window is not None:
        left = Duration(max(0, queue.token_window.milliseconds - at.milliseconds))
        expired = left.milliseconds == 0
    words = ["first try"] if attempt == 1 else []
    words += ["the token has expired"] if expired else []
    words += ["given up after this"] if last else []
    return Row(attempt, at, Duration.of(seconds=wait), left, ", ".join(words))
