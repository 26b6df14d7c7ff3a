"""How fast a queue may dispatch: the token bucket and the system's own slowdown.

Owns the two laws that stand between a due task and its dispatch besides concurrency. The bucket follows the
RateLimits reference (a bucket of `max_burst_size` tokens, refilled continuously at `max_dispatches_per_second`)
and is kept as a single number, the theoretical arrival time of the generic cell rate algorithm, so that a timer that
fires late loses no token. The slowdown is our own simple form of Google's "system throttling" (HttpRequest
reference: 429, 503 and a high rate of errors lower the effective rate; the user's settings do not change).
Leaves alone: timers, tasks and what a failed task waits for (backoff.py).
"""

import math
from dataclasses import dataclass

#: The smallest burst Google was seen to give (a queue of 1/s has 10, one of 500/s has 100).
MIN_BURST = 10
#: One token of burst for each five dispatches a second: 500/s gives the 100 that Google shows.
RATE_PER_BURST_TOKEN = 5.0

#: Every overload answer halves the effective rate, at most once in this many seconds.
SLOWDOWN_EVERY = 1.0
#: After this many seconds without a new slowdown the effective rate doubles again.
RECOVER_AFTER = 5.0
#: The slowdown stops at this share of the queue's rate, and never goes under one dispatch a second.
SLOWEST_SHARE = 1 / 16
#: A share of failures above this counts as overload too (moving average of the last answers).
HIGH_ERROR_SHARE = 0.9
#: Weight of one answer in that moving average: about the last fifty answers.
ERROR_WEIGHT = 0.02
#: Answers by which the receiver says that it is overloaded.
OVERLOAD_STATUSES = frozenset({429, 503})


def burst_for(rate: float) -> int:
    """The max_burst_size that goes with a rate (observed at 1/s and 500/s, a straight line between)."""
    return max(MIN_BURST, math.ceil(rate / RATE_PER_BURST_TOKEN))


@dataclass(slots=True)
class Bucket:
    """Tokens of one queue. `ready(now)` says when the next token is there, `take(now)` spends it."""

    rate: float
    burst: int
    #: The theoretical arrival time in two parts, so that epoch seconds do not eat the precision of small steps.
    _since: float = 0.0
    _ahead: float = 0.0

    def ready(self, now: float) -> float:
        """The moment from which a token can be taken: not after `now` when there is one already."""
        if self.rate <= 0:
            return math.inf
        if self._since + self._ahead <= now:
            return now
        return self._since + (self._ahead - (self.burst - 1) / self.rate)

    def take(self, now: float) -> None:
        """Spends one token. The caller has asked `ready` before."""
        if self._since + self._ahead <= now:
            self._since, self._ahead = now, 0.0
        self._ahead += 1.0 / self.rate

    def reshape(self, rate: float, burst: int, now: float) -> None:
        """New settings keep the tokens that are there, up to the new burst."""
        if (rate, burst) == (self.rate, self.burst):
            return
        owed = max(0.0, self._since + self._ahead - now) * self.rate
        self.rate, self.burst = rate, burst
        self._since, self._ahead = now, min(owed, burst) / rate if rate > 0 else 0.0


@dataclass(slots=True)
class Slowdown:
    """The share of its rate that an overloaded receiver leaves to a queue."""

    share: float = 1.0
    errors: float = 0.0
    _changed: float = 0.0

    def note(self, ok: bool, status: int, now: float) -> bool:
        """Takes one answer (status 0: none came). True when the effective rate changed."""
        self.errors += ERROR_WEIGHT * ((0.0 if ok else 1.0) - self.errors)
        if status in OVERLOAD_STATUSES or (not ok and self.errors > HIGH_ERROR_SHARE):
            if self.share > SLOWEST_SHARE and (self.share == 1.0 or now - self._changed >= SLOWDOWN_EVERY):
                self.share, self._changed = max(SLOWEST_SHARE, self.share / 2), now
                return True
            self._changed = now if status in OVERLOAD_STATUSES else self._changed
            return False
        return self.recover(now)

    def recover(self, now: float) -> bool:
        """Doubles the share for every RECOVER_AFTER seconds that passed without overload."""
        changed = False
        while self.share < 1.0 and now - self._changed >= RECOVER_AFTER:
            self.share, self._changed, changed = min(1.0, self.share * 2), self._changed + RECOVER_AFTER, True
        return changed

    def rate(self, rate: float) -> float:
        """The effective rate of a queue: slowed, but never under one a second (or under its own slower rate)."""
        return rate if self.share >= 1.0 else min(rate, max(1.0, rate * self.share))
