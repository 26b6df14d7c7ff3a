"""A query of time series: filter, interval, aggregations, to the series that come out.

Owns the order (select, align, reduce, again for a second aggregation), what a filter may name, and the refusals of what
does not exist. Used by ListTimeSeries; whoever watches metrics asks the same way. A filter may also be a selector of an
SLO's series, `select_slo_burn_rate("projects/P/services/S/serviceLevelObjectives/O", "3600s")` (slo.py).
Source: https://cloud.google.com/monitoring/api/v3/filters, .../reading-metrics, metric_service.proto.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from local_cloud.errors import ApiError, invalid, not_found
from local_cloud.metrics import align, filters, points, reduce, slo
from local_cloud.metrics.catalogue import Catalogue, Metric
from local_cloud.metrics.descriptors import RESOURCES
from local_cloud.metrics.points import Points
from local_cloud.metrics.series import SECOND, STEP, Key, Series

NO_METRIC = (
    'Cannot find metric(s) that match type = "{type}". If a metric was created recently, it could take up to 10 '
    "minutes to become available. Please try again soon."
)
NO_COMBINATION = (
    "The supplied filter does not specify a valid combination of metric and monitored resource descriptors. The query "
    "will not return any time series."
)
#: Bounds of an alignment period.
SHORTEST, LONGEST = 60 * SECOND, 104 * 7 * 24 * 3600 * SECOND


@dataclass(frozen=True, kw_only=True)
class Aggregation:
    """One aggregation; `field` is its place in the request."""

    aligner: str = "ALIGN_NONE"
    period: int = 0
    reducer: str = "REDUCE_NONE"
    group_by: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it asks for nothing."""
        return self.aligner == "ALIGN_NONE" and self.reducer == "REDUCE_NONE"


@dataclass(frozen=True)
class Selection:
    """A filter of which all is known to exist: one metric and the series of it that are meant."""

    metric: Metric
    filter: filters.Filter
    #: Where the filter selects series of an SLO, which are worked out and not kept.
    slo: "tuple[slo.Selector, slo.Slo] | None" = None

    def matches(self, key: Key, project: str) -> bool:
        """Whether a series is meant."""
        return self.filter.matches(subject(key, project))


def subject(key: Key, project: str) -> dict[tuple[str, str], str]:
    """A series as filters see it."""
    made = {("metric.type", ""): key.metric, ("resource.type", ""): key.resource, ("project", ""): project}
    made.update({("metric.labels", name): value for name, value in key.metric_labels})
    made.update({("resource.labels", name): value for name, value in key.resource_labels})
    return made


def parse(text: str, field: str = "filter") -> filters.Filter:
    """Reads a filter; refuses in Google's words what cannot be read."""
    try:
        return filters.parse(text)
    except filters.FilterError as error:
        raise _refused(field, text, str(error)) from None


def choose(catalogue: Catalogue, text: str, field: str = "filter") -> Selection:
    """Reads a filter for series: it must name one metric or select an SLO's, and what it names must exist."""
    if is_slo(text):
        return _choose_slo(catalogue, text, field)
    found = parse(text, field)
    types = found.wanted.get(("metric.type", ""), [])
    if len(set(types)) != 1:
        raise _refused(
            field,
            text,
            'must specify a restriction on "metric.type" in the filter that names one metric; see '
            '"https://cloud.google.com/monitoring/api/metrics" for a list of available metric types.',
        )
    metric = catalogue.find(types[0])
    if metric is None:
        raise not_found(NO_METRIC.format(type=types[0]))
    resources = set(found.wanted.get(("resource.type", ""), metric.resources))
    possible = resources & metric.resources
    labels = {label for kind in possible for label, _ in RESOURCES[kind][2]}
    for selector, name in found.named:
        known = {"metric.labels": metric.labels, "resource.labels": labels}.get(selector)
        if known is not None and name not in known:
            possible = set()
    if not possible:
        raise invalid(NO_COMBINATION)
    return Selection(metric, found)


def is_slo(text: str) -> bool:
    """Whether a filter is a selector of an SLO's series: it names neither a metric nor a resource."""
    return text.lstrip().startswith("select_slo_")


def _choose_slo(catalogue: Catalogue, text: str, field: str) -> Selection:
    try:
        selector = slo.read(text)
    except ValueError as error:
        raise _refused(field, text, str(error)) from None
    assert selector is not None
    found = catalogue.find_slo(selector.slo)
    if found is None:
        raise not_found(f"Service level objective '{selector.slo}' not found.")
    kind, value, unit = slo.SELECTORS[selector.name]
    labels = frozenset({"event_type"}) if selector.name == "select_slo_counts" else frozenset[str]()
    metric = Metric(selector.text, kind, value, unit, labels, frozenset({"global"}))
    return Selection(metric, filters.Filter(text), (selector, found))


def run(
    stored: Points,
    selection: Selection,
    start: int,
    end: int,
    aggregations: Sequence[Aggregation],
    *,
    project: str,
    visible: int,
) -> list[Series]:
    """The series of an interval (start, end], newest point last; points after `visible` are not there yet."""
    metric = selection.metric
    aggregations = check(metric, aggregations)
    first = aggregations[0] if aggregations else None
    reach = align.reach(first.aligner, metric.kind, first.period) if first is not None else 0
    if selection.slo is not None:
        # Ratios of an alignment period are those of its events, not means of ratios: the points are the periods'.
        selector, objective = selection.slo
        step = first.period if first is not None else STEP
        last = end if first is not None else end // STEP * STEP
        until = min(end, visible)
        found = selector.series(objective, start - reach, until, step=step, end=last, project=project)
    else:
        chosen = [kept for kept in stored.find(metric.type) if selection.matches(kept.key, project)]
        found = sorted(points.iterate(chosen, start - reach, min(end, visible)))
    for aggregation in aggregations:
        if aggregation.aligner != "ALIGN_NONE":
            found = [align.align(series, aggregation.aligner, aggregation.period, start, end) for series in found]
        if aggregation.aligner in align.FILLING:
            found = [series._replace(points=[p for p in series.points if p.end <= visible]) for series in found]
        found = [series for series in found if series.points]
        if aggregation.reducer != "REDUCE_NONE":
            found = reduce.reduce(found, aggregation.reducer, aggregation.group_by)
    return found


def check(metric: Metric, aggregations: Sequence[Aggregation]) -> list[Aggregation]:
    """Refuses what cannot be applied; gives those that do something."""
    kind, value_type = metric.kind, metric.value
    made = [aggregation for aggregation in aggregations if not aggregation.empty]
    try:
        for aggregation in made:
            if aggregation.aligner == "ALIGN_NONE":
                why = "A per-series aligner must be given where a cross-series reducer is."
                raise align.AggregationError("perSeriesAligner", aggregation.aligner, why)
            if not SHORTEST <= aggregation.period <= LONGEST:
                shown = f"{aggregation.period / SECOND:g}s"
                why = "The alignment period must be at least 60 seconds and at most 104 weeks."
                raise align.AggregationError("alignmentPeriod", shown, why)
            align.check(aggregation.aligner, kind, value_type)
            kind, value_type = align.outcome(aggregation.aligner, kind, value_type)
            if aggregation.reducer != "REDUCE_NONE":
                reduce.fields(aggregation.group_by)
                reduce.check(aggregation.reducer, kind, value_type)
                kind, value_type = reduce.outcome(aggregation.reducer, kind, value_type)
    except align.AggregationError as error:
        raise invalid(str(error)) from None
    return made


def unit(metric: Metric, aggregations: Sequence[Aggregation]) -> str:
    """The unit of what comes out."""
    found = metric.unit
    for aggregation in aggregations:
        if aggregation.aligner == "ALIGN_RATE":
            found = f"{found or '1'}/s"
        elif aggregation.aligner == "ALIGN_PERCENT_CHANGE":
            found = "%"
        elif aggregation.aligner.startswith("ALIGN_COUNT") or aggregation.reducer.startswith("REDUCE_COUNT"):
            found = "1"
    return found


def _refused(field: str, text: str, why: str) -> ApiError:
    return invalid(f'Field {field} had an invalid value of "{text}": {why}')
