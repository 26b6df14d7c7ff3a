"""What a request spent outside of its own code, gathered while it runs and said on the line that ends it.

Google has no metric of any of this (DECISIONS 19), and a line for each statement or call would be most of the log:
so the slowest wait for the database, and the node's calls, are fields of the lines `handled` and `answered`.
Fields: `db_ms`; `node` (`ok`, or `away` where one call got no usable answer), `node_ms` (the slowest) and `node_calls`.
So are what a rollout's gates look at (docs/adr/release-canary.md): `effect`, whether a transaction was committed, a
task made or a receiver called, and `ways`, the way that was chosen on each route (its name with _ for -).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class Measures:
    """Of one request, and of all that it starts."""

    __slots__ = ("database", "effect", "node_away", "node_calls", "node_longest", "ways")

    def __init__(self) -> None:
        self.database = -1.0
        self.node_calls = 0
        self.node_longest = 0.0
        self.node_away = False
        self.effect = False
        self.ways: dict[str, str] = {}


_current: ContextVar[Measures | None] = ContextVar("measures", default=None)


def begin() -> None:
    """Start a request's measures."""
    _current.set(Measures())


def waited_for_database(seconds: float) -> None:
    """Note a wait: for a statement by itself, a commit, or a connection."""
    measures = _current.get()
    if measures is not None and seconds > measures.database:
        measures.database = seconds


def effected() -> None:
    """Note that this request has changed something."""
    measures = _current.get()
    if measures is not None:
        measures.effect = True


def chose(route: str, way: str) -> None:
    """Note the way that a route's choice gave."""
    measures = _current.get()
    if measures is not None:
        measures.ways[route.replace("-", "_")] = way


@contextmanager
def statement() -> Iterator[None]:
    """Measure a statement by itself, its connection included, or the wait for a group's commit."""
    started = time.perf_counter()
    try:
        yield
    finally:
        waited_for_database(time.perf_counter() - started)


@contextmanager
def node_call(away_error: type[Exception]) -> Iterator[None]:
    """Measure a call of the node; this error within says that there was no usable answer."""
    started = time.perf_counter()
    away = False
    try:
        yield
    except away_error:
        away = True
        raise
    finally:
        measures = _current.get()
        if measures is not None:
            measures.node_calls += 1
            measures.node_longest = max(measures.node_longest, time.perf_counter() - started)
            measures.node_away |= away


def fields() -> dict[str, Any]:
    """What was measured, for the line that ends the request."""
    measures = _current.get()
    found: dict[str, Any] = {}
    if measures is not None and measures.database >= 0:
        found["db_ms"] = _ms(measures.database)
    if measures is not None and measures.node_calls:
        found["node"] = "away" if measures.node_away else "ok"
        found["node_ms"] = _ms(measures.node_longest)
        found["node_calls"] = measures.node_calls
    if measures is not None:
        found["effect"] = measures.effect
        if measures.ways:
            found["ways"] = dict(measures.ways)
    return found


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
