"""The log router: which sinks take an entry, into which buckets it goes, and what leaves through topics.

Owns the way of one entry (inclusion, exclusions, destinations, counting); sinks as resources are apis/logging's.
Source: https://cloud.google.com/logging/docs/routing/overview.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from local_cloud.logs.compare import Entry
from local_cloud.logs.counting import Counting
from local_cloud.logs.exports import Exports, Way
from local_cloud.logs.index import Index
from local_cloud.logs.query import Predicate, Query

#: Entries dated farther ahead than this (nanoseconds) are exported and counted, but kept in no bucket.
AHEAD = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True)
class Route:
    """One sink: entries that an exclusion matches stay out, the others go to a bucket or another way."""

    exclusions: tuple[Predicate, ...]
    bucket: str
    way: Way


class Routing:
    """All sinks of the project."""

    def __init__(
        self, counting: Counting, exports: Exports, now: Callable[[], float], writable: Callable[[str], bool]
    ) -> None:
        self._counting, self._exports, self._now, self._writable = counting, exports, now, writable
        self._index: Index[Route] = Index()
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def replace(self, routes: Iterable[tuple[Query, Route]]) -> None:
        """Other sinks from now on."""
        self._index.replace(routes)

    def receive(self, entry: Entry, line: bytes, moment: int) -> tuple[str, ...]:
        """The buckets that an entry is kept in."""
        arrived = int(self._now() * 1e9)
        found: list[str] = []
        failed: list[Way] = []
        for route in self._index.matching(entry):
            if any(excluded(entry) for excluded in route.exclusions):
                continue
            if not route.bucket:
                self._exports.send(route.way, entry, line)
            elif self._writable(route.bucket):
                found.append(route.bucket)
            else:
                failed.append(route.way)
        buckets = tuple(dict.fromkeys(found))
        buckets = self._names.setdefault(buckets, buckets)
        self._counting.count(entry, len(line), moment, arrived, buckets)
        for way in failed:
            self._exports.fail(way, "bucket_not_found", f"{way.destination} does not exist or is being deleted")
        return buckets if moment - arrived <= AHEAD else ()
