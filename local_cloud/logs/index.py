"""Many queries held against every entry: those that an entry can match are found by its resource type and log first.

Owns the index alone: what is done with a match is its owner's affair (sinks, log-based metrics, alert conditions).
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from local_cloud.logs.compare import Entry
from local_cloud.logs.query import Predicate, Query

T = TypeVar("T")

#: So many pairs of a resource type and a log are remembered.
MOST_PAIRS = 10_000


class Index(Generic[T]):
    """Queries with what they stand for."""

    def __init__(self, items: Iterable[tuple[Query, T]] = ()) -> None:
        self._items = list(items)
        self._near: dict[tuple[str, str], tuple[tuple[Predicate, T], ...]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def replace(self, items: Iterable[tuple[Query, T]]) -> None:
        """Other queries from now on."""
        self._items = list(items)
        self._near.clear()

    def matching(self, entry: Entry) -> list[T]:
        """What the queries that match an entry stand for."""
        if not self._items:
            return []
        pair = (entry["resource"].get("type", ""), entry["logName"])
        near = self._near.get(pair)
        if near is None:
            near = self._find(pair)
        return [item for matches, item in near if matches(entry)]

    def _find(self, pair: tuple[str, str]) -> tuple[tuple[Predicate, T], ...]:
        if len(self._near) >= MOST_PAIRS:
            self._near.clear()
        found = tuple((query.matches, item) for query, item in self._items if query.may_match(*pair))
        self._near[pair] = found
        return found
