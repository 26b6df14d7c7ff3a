"""What a queue does about its token's window, strategy by strategy, in words (seeds/000 section 9)."""

from __future__ import annotations

from itertools import islice

from local_cloud.engines.backoff import timeline
from spec.durations import Duration
from spec.task_queue import MOST_ATTEMPTS, TaskQueue

OFF = "off"


def strategies(queue: TaskQueue) -> dict[str, str]:
    """Return each strategy with what it comes to here; empty where nothing expires."""
    window, token = queue.lifetime, queue.token
    if window is None:
        return {}
    times = [time for time in islice(timeline(queue.retry.policy), MOST_ATTEMPTS) if time < window.seconds]
    last = Duration.of(seconds=times[-1])
    counted = f"{len(times)} attempt{'' if len(times) == 1 else 's'}"
    within = "in time" if token.minted == "delivery" else f"while the token of {window} lives"
    limit = queue.retry.task_age_limit
    patience = f"until {token.give_up_after} have passed"
    breaker = token.breaker
    return {
        "tight retry": f"{counted} {within}, the last at {last}",
        "age limit": f"the queue gives up at {limit}" if limit.milliseconds else OFF,
        "minted at delivery": "the task carries identifiers alone" if token.minted == "delivery" else OFF,
        "fallback": f"sent anew by {', '.join(queue.senders)}'s schedule {token.fallback.schedule}, {patience}"
        if token.fallback
        else OFF,
        "breaker": f"nothing is sent while {queue.receiver} is {_words(breaker.opens_on)}, {patience}"
        if breaker
        else OFF,
    }


def render(queue: TaskQueue) -> str:
    """Return the strategies as a terminal shows them below the timeline; empty where nothing expires."""
    return "\n".join(f"{number}  {name:<20}{what}" for number, (name, what) in enumerate(strategies(queue).items(), 1))


def _words(opens_on: str) -> str:
    return "down" if opens_on == "down" else "degraded or down"
