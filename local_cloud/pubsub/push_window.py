"""How fast a push subscription is served: the window of a slow start, and the pause after refusals.

Owns the two laws, on given times; who waits is push.py's. Source: https://cloud.google.com/pubsub/docs/push (delivery
rate, push backoff): the window begins with a single digit, grows with every success, shrinks with every failure; from
3,000 outstanding on it grows linearly, and falls back to them where answers take over a second or more than one in a
hundred is no acknowledgement. Push backoff, for subscriptions without a retry policy, stops all deliveries for 100 ms
to 60 s, exponentially. The numbers between are not documented: ours double, halve, and say so here.
"""

#: Pushes that may be outstanding at the beginning.
START = 5.0
#: From here on the window grows by one a window's worth of successes.
LINEAR_FROM = 3000.0
#: What an endpoint must keep up for a window beyond that.
GOOD_LATENCY, GOOD_SHARE = 1.0, 0.99
#: The shortest and the longest pause.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 60.0
#: How much the newest answer counts in the averages.
_WEIGHT = 0.01


class Window:
    """How many pushes may be outstanding."""

    __slots__ = ("_latency", "_share", "_size")

    def __init__(self) -> None:
        self._size = START
        self._latency = 0.0
        self._share = 1.0

    @property
    def size(self) -> int:
        """As a whole number, at least one."""
        return int(self._size)

    def succeeded(self, latency: float) -> None:
        """A push was acknowledged after so many seconds."""
        self._latency += (latency - self._latency) * _WEIGHT
        self._share += (1.0 - self._share) * _WEIGHT
        if self._size < LINEAR_FROM:
            self._size = min(LINEAR_FROM, self._size + 1.0)
        elif self._latency > GOOD_LATENCY or self._share < GOOD_SHARE:
            self._size = LINEAR_FROM
        else:
            self._size += 1.0 / self._size

    def failed(self) -> None:
        """A push was not acknowledged."""
        self._share -= self._share * _WEIGHT
        self._size = max(1.0, self._size / 2)


class Pause:
    """Push backoff: until when nothing is delivered."""

    __slots__ = ("_length", "until")

    def __init__(self) -> None:
        self._length = 0.0
        self.until = 0.0

    def succeeded(self) -> None:
        """An acknowledgement halves the next pause; what would be too short is none."""
        self._length = self._length / 2 if self._length >= 2 * SHORTEST_PAUSE else 0.0

    def failed(self, now: float) -> None:
        """A refusal begins a pause twice as long as the last one; refusals of what was under way belong to it."""
        if now >= self.until:
            self._length = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, self._length * 2))
            self.until = now + self._length
