"""What a sender does about a token that may die before its receiver is back: the spec's `token` of a queue, as read
from QUEUES. Pure. docs/adr/token-window.md says what each setting saves and costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

MINTED = ("enqueue", "delivery")
WORST = ("degraded", "down")


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerRule:
    """When nothing is minted nor sent, by the receiver's health."""

    url: str
    check_interval: float
    failure_threshold: int
    open_for: float
    #: Whether a receiver that misses something it uses counts as down.
    degraded_is_down: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPolicy:
    """The settings of one edge; the default does nothing beyond the queue's own retries."""

    at_delivery: bool = False
    fallback: bool = False
    breaker: BreakerRule | None = None
    give_up_after: timedelta = timedelta(hours=24)


def read(value: Mapping[str, Any] | None) -> TokenPolicy:
    """Read one edge's settings. Raises KeyError, TypeError or ValueError naming what is not proper."""
    if value is None:
        return TokenPolicy()
    if value["minted"] not in MINTED:
        raise ValueError("token.minted")
    return TokenPolicy(
        at_delivery=value["minted"] == "delivery",
        fallback=bool(value["fallback"]),
        breaker=_breaker(value["breaker"]),
        give_up_after=timedelta(seconds=float(value["give_up_after"])),
    )


def _breaker(value: Mapping[str, Any] | None) -> BreakerRule | None:
    if value is None:
        return None
    if value["opens_on"] not in WORST:
        raise ValueError("token.breaker.opens_on")
    return BreakerRule(
        url=str(value["url"]),
        check_interval=float(value["check_interval"]),
        failure_threshold=int(value["failure_threshold"]),
        open_for=float(value["open_for"]),
        degraded_is_down=value["opens_on"] == "degraded",
    )
