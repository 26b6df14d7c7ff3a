"""The statistics of the gates, pure: exact bounds of a share, two tests that may be asked at every look, and p95.

A gate is asked every second until it trips, and a test that is right once is wrong somewhere in a thousand looks. So
what rolls a release back is an e-value: a number that, while all is well, grows beyond x at any time of all its time
with a chance of 1/x at most (Ville 1939). Looks cost nothing then, and no number of looks has to be known before.
- `against_limit`: is the share above a limit? A mixture of likelihood ratios over shares above it (Robbins 1970,
  "Statistical methods related to the law of the iterated logarithm"; Howard and others 2021, arXiv:1810.08240).
- `against_other`: is it above that of another side? The e-value for two by two tables of Turner, Ly and Grünwald 2021
  (arXiv:2106.02693), mixed over pairs of shares; the sides get their samples at random in a fixed ratio.
Bounds that are shown, and the comparison by which a good release is *not* promoted, are of one look:
- `bounds`: Clopper and Pearson 1934, Biometrika 26; for 0 of n the upper one is the rule of three, -ln(0.05) / n.
- `enough`: how many samples it takes until the upper one is within a limit.
- `fisher`: Fisher's exact test, one-sided.
- `percentile`: bounds free of any distribution, by order statistics (David and Nagaraja, Order Statistics, 7.1), as far
  as buckets tell: a value lies somewhere in its bucket, and nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import exp, expm1, inf, lgamma, log, log1p

#: Shares that a mixture is over: so many, each a fixed factor above the one before.
GRID = 24
#: The least and the highest share that the comparison of two sides looks for.
LEAST, HIGHEST = 1e-4, 0.99
#: Beyond this an e-value is as good as certain; numbers stay finite.
CERTAIN = 1e12
_STEPS = 60


@lru_cache(maxsize=256)
def bounds(bad: int, of: int, confidence: float) -> tuple[float, float]:
    """The exact two-sided bounds of a share."""
    if of == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if bad == 0 else _solve(lambda share: _beta(share, bad, of - bad + 1) >= tail)
    high = 1.0 if bad == of else _solve(lambda share: 1 - _beta(share, bad + 1, of - bad) <= tail)
    return low, high


def enough(bad: int, limit: float, confidence: float) -> int:
    """How many samples with so many bad ones show, one-sided, that the share is within the limit."""

    def show(of: int) -> bool:
        return 1 - _beta(limit, bad + 1, of - bad) <= 1 - confidence

    least, most = bad, bad + 1
    while not show(most):
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if show(middle) else (middle, most)
    return most


def fisher(bad: int, of: int, other_bad: int, other_of: int) -> float:
    """How likely so many bad ones, or more, lie on this side, if the sides do not differ."""
    total, marked = of + other_of, bad + other_bad
    if of == 0 or other_of == 0:
        return 1.0
    whole = _choose(total, marked)
    found = 0.0
    for k in range(bad, min(of, marked) + 1):
        term = exp(_choose(of, k) + _choose(other_of, marked - k) - whole)
        found += term
        if term < found * 1e-15 and k > marked * of / total:
            break
    return min(1.0, found)


def against_limit(bad: int, of: int, limit: float) -> float:
    """The e-value against "the share is at most the limit"."""
    if of == 0 or limit >= HIGHEST:
        return 1.0
    logs = (bad * up + (of - bad) * down for up, down in _above(limit))
    return _mean(logs, GRID)


def against_other(bad: int, of: int, other_bad: int, other_of: int) -> float:
    """The e-value against "this side's share is not above the other's"."""
    if of == 0 or other_of == 0:
        return 1.0
    here, there, total = float(of), float(other_of), of + other_of
    marked = bad + other_bad
    found = []
    for low, high in _pairs():
        null = (here * high + there * low) / total
        found.append(
            bad * log(high) + (of - bad) * log1p(-high) + other_bad * log(low) + (other_of - other_bad) * log1p(-low)
            - marked * log(null) - (total - marked) * log1p(-null)
        )  # fmt: skip
    return _mean(found, len(found))


def percentile(
    edges: Sequence[float], counts: Sequence[int], share: float, confidence: float
) -> tuple[float, float, float]:
    """A percentile's upper edge as it was seen, and its bounds, all by buckets; infinity above the last edge.

    `counts[i]` lie below `edges[i]`, and those of one bucket more above the last.
    """
    of = sum(counts)
    if of == 0:
        return 0.0, 0.0, inf
    tail = (1 - confidence) / 2
    seen = _edges(edges, counts, _rank(of * share))
    # The highest rank that is below the percentile nearly always, and the lowest that is above it.
    low = _quantile(of, share, tail)
    high = _quantile(of, share, 1 - tail) + 1
    return seen[1], (_edges(edges, counts, low)[0] if low else 0.0), _edges(edges, counts, high)[1]


def _rank(at: float) -> int:
    return max(1, int(at) + (at > int(at)))


def _quantile(of: int, share: float, at: float) -> int:
    """The largest k with P(fewer than k of the values lie below the percentile) <= at."""
    low, high = 0, of
    while low < high:
        middle = (low + high + 1) // 2
        below = 1 - _beta(share, middle, of - middle + 1)  # P(X < middle)
        low, high = (middle, high) if below <= at else (low, middle - 1)
    return low


def _edges(edges: Sequence[float], counts: Sequence[int], rank: int) -> tuple[float, float]:
    """The bucket of the value of this rank; no bound of it above the last edge."""
    passed = 0
    for index, count in enumerate(counts):
        passed += count
        if passed >= rank:
            return (edges[index - 1] if index else 0.0), (edges[index] if index < len(edges) else inf)
    return (edges[-1] if edges else 0.0), inf


@lru_cache(maxsize=64)
def _above(limit: float) -> tuple[tuple[float, float], ...]:
    """For each share above a limit what a bad and a good one add to the log of the likelihood ratio."""
    growth = (log(HIGHEST) - log(limit)) / GRID
    shares = [exp(log(limit) + growth * (step + 1)) for step in range(GRID)]
    return tuple((log(share / limit), log1p(-share) - log1p(-limit)) for share in shares)


@lru_cache(maxsize=1)
def _pairs() -> tuple[tuple[float, float], ...]:
    """Pairs of a lower and a higher share."""
    growth = (log(HIGHEST) - log(LEAST)) / GRID
    shares = [exp(log(LEAST) + growth * step) for step in range(GRID + 1)]
    return tuple((low, high) for index, low in enumerate(shares) for high in shares[index + 1 :])


def _mean(logs: Iterable[float], count: int) -> float:
    """The mean of numbers that are given by their logs."""
    found = list(logs)
    highest = max(found)
    made = highest + log(sum(exp(one - highest) for one in found)) - log(count)
    return CERTAIN if made >= log(CERTAIN) else exp(made)


def _choose(of: int, k: int) -> float:
    if not 0 <= k <= of:
        return -inf
    return lgamma(of + 1) - lgamma(k + 1) - lgamma(of - k + 1)


def _solve(reached: Callable[[float], bool]) -> float:
    """The share at which something that holds from some share on begins to hold."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if reached(middle):
            high = middle
        else:
            low = middle
    return high


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function: P(at least a of a + b - 1 samples are bad) at a share of x.

    By its continued fraction (DLMF 8.17.22), after Lentz.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    found = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d or tiny)
            c = 1 + term / c or tiny
            found *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return min(1.0, front * found)


def rule_of_three(of: int, confidence: float) -> float:
    """The upper bound of a share of which none of `of` was bad, one-sided: about 3 / n at 95 %."""
    return 1.0 if of == 0 else -expm1(log(1 - confidence) / of)
