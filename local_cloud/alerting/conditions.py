"""One condition held against its series, minute by minute: which of them meet it.

Owns the retest window (every value within it must violate, and as many minutes in a row as it is long), absence, the
trigger over series, and what missing data does: nothing, or a violation, or an end of one. Sources:
https://cloud.google.com/monitoring/alerts/concepts-indepth ("for the next five consecutive minutes ... is greater than
two seconds, so the condition is met"; partial metric data), google/monitoring/v3/alert.proto.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from local_cloud.alerting import condition_rules
from local_cloud.alerting.forecast import Forecast
from local_cloud.alerting.sources import NEVER, Aggregated, Presence, Ratio, Source, Values
from local_cloud.alerting.words import COMPARISONS, MISSING
from local_cloud.descriptors import Message
from local_cloud.metrics.catalogue import Catalogue
from local_cloud.metrics.points import Points
from local_cloud.metrics.query import Aggregation
from local_cloud.metrics.series import SECOND, STEP, Key

#: A series that has said nothing for so long, and has no incident, is forgotten.
FORGOTTEN = 25 * 3600 * SECOND


@dataclass(slots=True)
class State:
    """How a condition stands for one series; times are minutes in nanoseconds."""

    value: float = 0.0
    #: When it last had a value.
    data: int = 0
    #: The first of the minutes without a gap in which it violated; 0 where it does not.
    since: int = 0
    met: bool = False


class Condition:
    """What threshold and absence have in common."""

    def __init__(self, name: str, proto: Message, metric: str, source: Source, trigger: Message) -> None:
        self.name, self.proto, self.metric = name, proto, metric
        self._source = source
        self._count = trigger.count if trigger.WhichOneof("type") == "count" else 1
        self._percent = trigger.percent if trigger.WhichOneof("type") == "percent" else 0.0
        self.states: dict[Key, State] = {}
        self._found: Values = {}
        self._steady = 0
        self._last = 0

    def evaluate(self, minute: int) -> None:
        """Looks at one minute; minutes come in order, and those left out were like the one before."""
        if self._steady:
            seen = min(self._steady, minute - STEP)
            for key in self._found:
                if key in self.states:
                    self.states[key].data = max(self.states[key].data, seen)
        steady = self._source.steady(minute)
        if not (steady and self._steady) or self._source.drifts:
            self._found = self._source.at(minute)
        self._steady, self._last = steady, minute
        for key, value in self._found.items():
            state = self.states.get(key)
            if state is None:
                state = self.states[key] = State()
            self._present(state, value, minute)
            state.value, state.data = value, minute
        for key, state in list(self.states.items()):
            if key not in self._found:
                self._missing(state, minute)
                if not state.met and minute - state.data > FORGOTTEN:
                    del self.states[key]

    def active(self) -> dict[Key, State]:
        """The series for which it is met, when they are enough of them."""
        met = {key: state for key, state in self.states.items() if state.met}
        if len(met) < self._count or (self._percent and len(met) * 100 < self._percent * len(self.states)):
            return {}
        return met

    def reporting(self, key: Key) -> bool:
        """Whether a series had a value when it was last looked at."""
        return key in self._found

    def due(self) -> int:
        """The next minute that must be looked at, of those whose points are known."""
        return min(self.wake(), self._steady + STEP if self._steady < NEVER else NEVER)

    def wake(self) -> int:
        """When something changes even if no point comes that is not foreseen."""
        raise NotImplementedError

    def _present(self, state: State, value: float, minute: int) -> None:
        raise NotImplementedError

    def _missing(self, state: State, minute: int) -> None:
        raise NotImplementedError


class Threshold(Condition):
    """Values above or below a number."""

    def __init__(self, name: str, proto: Message, metric: str, source: Source) -> None:
        inner = proto.condition_threshold
        super().__init__(name, proto, metric, source, inner.trigger)
        self._above = COMPARISONS[inner.comparison] == "COMPARISON_GT"
        self._threshold = inner.threshold_value
        self._duration = inner.duration.ToNanoseconds()
        self._policy = MISSING[inner.evaluation_missing_data].removeprefix("EVALUATION_MISSING_DATA_")

    def wake(self) -> int:
        """While a window of retests runs, each minute."""
        pending = any(state.since and not state.met for state in self.states.values())
        return self._last + STEP if pending or not self._steady else NEVER

    def _present(self, state: State, value: float, minute: int) -> None:
        if not (value > self._threshold if self._above else value < self._threshold):
            state.since, state.met = 0, False
            return
        gap = minute - state.data > max(self._duration, STEP)
        if not state.since or (gap and self._policy != "ACTIVE" and not state.met):
            state.since = minute
        self._retest(state, minute)

    def _missing(self, state: State, minute: int) -> None:
        if self._policy == "INACTIVE":
            state.since, state.met = 0, False
        elif self._policy == "ACTIVE":
            state.since = state.since or state.data + STEP
            self._retest(state, minute)
        elif not state.met and minute - state.data > max(self._duration, STEP):
            state.since = 0

    def _retest(self, state: State, minute: int) -> None:
        state.met = state.met or minute - state.since + STEP >= self._duration


class Absent(Condition):
    """Series that have reported and no longer do."""

    def __init__(self, name: str, proto: Message, metric: str, source: Source) -> None:
        super().__init__(name, proto, metric, source, proto.condition_absent.trigger)
        self._duration = proto.condition_absent.duration.ToNanoseconds()

    def wake(self) -> int:
        """When the next silent series has been silent for long enough."""
        silent = (
            state.data + self._duration
            for key, state in self.states.items()
            if key not in self._found and not state.met
        )
        return min(silent, default=NEVER if self._steady else self._last + STEP)

    def _present(self, state: State, _value: float, _minute: int) -> None:
        state.met = False

    def _missing(self, state: State, minute: int) -> None:
        state.met = state.met or minute - state.data >= self._duration


#: Sources that are in use, by what they ask for.
Shared = WeakValueDictionary[tuple[str, tuple[Aggregation, ...]], Aggregated]


def build(stored: Points, catalogue: Catalogue, project: str, proto: Message, shared: Shared) -> Condition:
    """A condition ready to be evaluated; an ApiError where its metric or labels are no longer there."""

    def aggregated(text: str, given: Sequence[Message], field: str) -> Aggregated:
        chosen = condition_rules.selection(catalogue, text, field)
        wanted = tuple(condition_rules.aggregations(given))
        made = shared.get((text, wanted)) or Aggregated(stored, chosen, wanted, project)
        shared[text, wanted] = made
        return made

    inner: Any = getattr(proto, proto.WhichOneof("condition"))
    selection = condition_rules.selection(catalogue, inner.filter, "filter")
    aggregations = condition_rules.aggregations(inner.aggregations)
    metric = selection.metric.type
    if proto.HasField("condition_absent"):
        return Absent(proto.name, proto, metric, Presence(stored, selection, aggregations, project))
    above = aggregated(inner.filter, inner.aggregations, "filter")
    source: Source = above
    if inner.HasField("forecast_options"):
        horizon = inner.forecast_options.forecast_horizon.ToNanoseconds()
        source = Forecast(above, horizon, most=COMPARISONS[inner.comparison] == "COMPARISON_GT")
    elif inner.denominator_filter:
        below = aggregated(inner.denominator_filter, inner.denominator_aggregations, "denominator_filter")
        divided = condition_rules.aggregations(inner.denominator_aggregations)
        reduced = any(one.reducer != "REDUCE_NONE" for one in divided)
        source = Ratio(above, below, reduced=reduced, metric=metric)
    return Threshold(proto.name, proto, metric, source)
