"""What a condition compares: the aggregated series of a filter, one minute at a time.

Owns the sliding alignment period (the last one ends with the minute that is looked at), ratios, and the knowledge of
when nothing can change: a series that repeats its value, or has none, need not be worked out again. Sources:
https://cloud.google.com/monitoring/alerts/concepts-indepth, google/monitoring/v3/alert.proto (denominator_filter).
"""

from collections.abc import Sequence
from typing import Protocol

from local_cloud.metrics import align, points, query, reduce
from local_cloud.metrics.points import Kept, Points
from local_cloud.metrics.query import Aggregation, Selection
from local_cloud.metrics.series import STEP, Key, Series

#: Later than any minute.
NEVER = 2**63
#: While nothing happens, an SLO changes only as old events leave its compliance period: it is looked at so often.
SLO_STEP = 60 * STEP
Values = dict[Key, float]


class Source(Protocol):
    """Values by series at the end of a minute (nanoseconds)."""

    #: Whether they may move slowly even where they are steady.
    drifts: bool

    def at(self, minute: int) -> Values:
        """The values; a series without one is left out."""
        ...

    def steady(self, minute: int) -> int:
        """Until which minute, of those whose points are known, the values stay those of this one; 0: they change."""
        ...


class Chosen:
    """The kept series that a filter means; new ones are looked at once."""

    def __init__(self, stored: Points, selection: Selection, project: str) -> None:
        self._stored, self._selection, self._project = stored, selection, project
        self._found: list[Kept] = []
        self._seen = 0

    def __call__(self) -> list[Kept]:
        """All of them, without those that have been dropped."""
        if any(not kept.chunks for kept in self._found):
            self._found = [kept for kept in self._found if kept.chunks]
        newest = self._seen
        for kept in reversed(self._stored.find(self._selection.metric.type)):
            if kept.number <= self._seen:
                break
            newest = max(newest, kept.number)
            if self._selection.matches(kept.key, self._project):
                self._found.append(kept)
        self._seen = newest
        return self._found

    def steady(self, minute: int, window: int) -> int:
        """Until when all of them repeat their values of the window, or have none."""
        until = NEVER
        for kept in self():
            last = kept.last
            # One whose last value has just left the window counts as changing, so that its end is not passed over.
            if last is None or last.last < minute - window:
                continue
            if last.end > minute - window or last.last < minute:
                return 0
            until = min(until, last.last)
        return until


class Aggregated:
    """The series of one filter after their aggregations."""

    def __init__(self, stored: Points, selection: Selection, aggregations: Sequence[Aggregation], project: str) -> None:
        self._stored, self._selection, self._project = stored, selection, project
        self._aggregations = aggregations
        self._chosen = Chosen(stored, selection, project)
        self._minute, self._values = 0, Values()
        self.drifts = selection.slo is not None
        first = aggregations[0] if aggregations else None
        self.span = aggregations[-1].period if aggregations else STEP
        kind = selection.metric.kind
        self._reach = 0
        if first is not None and (first.aligner in align.FILLING or kind == "CUMULATIVE"):
            self._reach = align.reach(first.aligner, kind, first.period)
        elif first is not None and (len(aggregations) > 1 or first.aligner == "ALIGN_PERCENT_CHANGE"):
            self._reach = first.period

    def series(self, start: int, end: int) -> list[Series]:
        """The series with their values in (start, end]."""
        if self._selection.slo is not None:
            asked = (self._stored, self._selection, start, end, self._aggregations)
            return query.run(*asked, project=self._project, visible=end)
        found = sorted(points.iterate(self._chosen(), start - self._reach, end))
        for one in self._aggregations:
            if one.aligner != "ALIGN_NONE":
                found = [align.align(series, one.aligner, one.period, start, end) for series in found]
            found = [series for series in found if series.points]
            if one.reducer != "REDUCE_NONE":
                found = reduce.reduce(found, one.reducer, one.group_by)
        return found

    def at(self, minute: int) -> Values:
        """The values of the period that ends with the minute; conditions that ask the same share them."""
        if minute != self._minute:
            self._minute, self._values = minute, {}
            for series in self.series(minute - self.span, minute):
                value = series.points[-1].value if series.points else None
                if isinstance(value, int | float):
                    self._values[series.key] = float(value)
        return self._values

    def steady(self, minute: int, back: int = 0) -> int:
        """As the protocol says, for who looks `back` further than a period."""
        window = back + self.span + self._reach
        if self._selection.slo is None:
            return self._chosen.steady(minute, window)
        selector, objective = self._selection.slo
        quiet = not objective.events(minute - window - selector.lookback - STEP, minute)
        return minute + SLO_STEP if quiet else 0


class Ratio:
    """A numerator by a denominator, joined by the labels that both have kept.

    Where the denominator was reduced and has a value, a numerator that counted nothing counts as 0 (our own reading:
    Google's pages do not say): otherwise a success ratio would fall silent just when nothing succeeds any more.
    """

    def __init__(self, above: Aggregated, below: Aggregated, *, reduced: bool, metric: str) -> None:
        self._above, self._below, self._reduced, self._metric = above, below, reduced, metric
        self.drifts = above.drifts or below.drifts

    def at(self, minute: int) -> Values:
        """The quotients; one by zero is no value."""
        above = {key[1:]: value for key, value in self._above.at(minute).items()}
        made: Values = {}
        for key, whole in self._below.at(minute).items():
            part = above.get(key[1:], 0.0 if self._reduced else None)
            if part is not None and whole:
                made[key._replace(metric=self._metric)] = part / whole
        return made

    def steady(self, minute: int) -> int:
        """As long as both are."""
        above, below = self._above.steady(minute), self._below.steady(minute)
        return min(above, below)


class Presence:
    """Which series have reported within the last minute; the value is how many were grouped into one."""

    drifts = False

    def __init__(self, stored: Points, selection: Selection, aggregations: Sequence[Aggregation], project: str) -> None:
        self._chosen = Chosen(stored, selection, project)
        self._groups = [reduce.fields(one.group_by) for one in aggregations if one.reducer != "REDUCE_NONE"]

    def at(self, minute: int) -> Values:
        """The series that are there."""
        made: Values = {}
        for series in points.iterate(self._chosen(), minute - STEP, minute):
            key = series.key
            for by in self._groups:
                key = reduce.group_of(key, by)
            made[key] = made.get(key, 0.0) + 1
        return made

    def steady(self, minute: int) -> int:
        """As long as those that report go on, and nobody else begins."""
        return self._chosen.steady(minute, STEP)
