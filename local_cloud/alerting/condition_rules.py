"""What a condition must be when it is written, refused in Google's words.

Owns the checks of each kind of condition: filters name a metric and a resource that exist, aggregations fit the kind of
the metric and give numbers, durations are whole minutes. What cannot be evaluated here (MQL, PromQL, SQL) is refused by
name, since a policy that is accepted and never fires would be worse. Sources: google/monitoring/v3/alert.proto; the
wordings are those of public issues of Google's clients and providers, where there are some.
"""

import re
from collections.abc import Sequence

from local_cloud.alerting.words import ALIGNERS, COMPARISONS, MISSING, REDUCERS, proto, shown, wrong
from local_cloud.descriptors import Message
from local_cloud.errors import ApiError, invalid
from local_cloud.logs import extract
from local_cloud.logs import query as logs
from local_cloud.metrics import align, query, reduce
from local_cloud.metrics.catalogue import Catalogue
from local_cloud.metrics.query import Aggregation, Selection
from local_cloud.metrics.series import SECOND

NO_RESOURCE = (
    'must specify a restriction on "resource.type" in the filter; see '
    '"https://cloud.google.com/monitoring/api/resources" for a list of available resource types.'
)
NOT_EMULATED = {
    "condition_monitoring_query_language": "MQL",
    "condition_prometheus_query_language": "PromQL",
    "condition_sql": "SQL",
}
MINUTE = 60
#: Seconds. A longer retest window is refused, as is a shorter absence.
LONGEST, SHORTEST_ABSENCE = 84_600, 180
#: Seconds that a forecast may reach.
SHORTEST_FORECAST, LONGEST_FORECAST = 3600, 60 * 3600
MAX_AGGREGATIONS, MAX_EXTRACTORS = 2, 10
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def check(catalogue: Catalogue, condition: Message, where: str) -> None:
    """Refuses what Google refuses of one condition; `where` is its place in the request."""
    kind = condition.WhichOneof("condition")
    if kind is None:
        why = 'Condition subtype (e.g. "condition_absent","condition_threshold", etc.) is absent or unknown.'
        raise wrong(f"{where}.condition_case", 0, why)
    if kind in NOT_EMULATED:
        raise ApiError(
            "UNIMPLEMENTED",
            f"Field {where}.{kind}: conditions in {NOT_EMULATED[kind]} are not emulated by the local cloud, and "
            "none is accepted that would never fire. Give a threshold, an absence or a log match.",
        )
    inner = getattr(condition, kind)
    if kind == "condition_threshold":
        _check_threshold(catalogue, inner, f"{where}.{kind}")
    elif kind == "condition_absent":
        _check_absent(catalogue, inner, f"{where}.{kind}")
    else:
        _check_match(inner, f"{where}.{kind}")


def selection(catalogue: Catalogue, text: str, field: str) -> Selection:
    """The series that a condition is about: one metric, on resources of a type that it names."""
    if not text:
        raise wrong(field, text, "The filter must not be empty.")
    found = query.choose(catalogue, text, field)
    if found.slo is None and ("resource.type", "") not in found.filter.named:
        raise wrong(field, text, NO_RESOURCE)
    return found


def aggregations(given: Sequence[Message]) -> list[Aggregation]:
    """As queries take them; those that do nothing left out."""
    made = [
        Aggregation(
            aligner=ALIGNERS.get(one.per_series_aligner, "ALIGN_NONE"),
            period=one.alignment_period.ToNanoseconds(),
            reducer=REDUCERS.get(one.cross_series_reducer, "REDUCE_NONE"),
            group_by=tuple(one.group_by_fields),
        )
        for one in given
    ]
    return [one for one in made if not one.empty]


def _check_aggregations(found: Selection, given: Sequence[Message], field: str) -> None:
    if len(given) > MAX_AGGREGATIONS:
        raise wrong(field, len(given), f"A condition can have at most {MAX_AGGREGATIONS} aggregations.")
    for index, one in enumerate(given):
        if one.per_series_aligner not in ALIGNERS:
            raise wrong(f"{field}[{index}].per_series_aligner", one.per_series_aligner, "It is not known.")
        if one.cross_series_reducer not in REDUCERS:
            raise wrong(f"{field}[{index}].cross_series_reducer", one.cross_series_reducer, "It is not known.")
        if one.HasField("alignment_period") and one.alignment_period.ToNanoseconds() % (MINUTE * SECOND):
            why = "alignment period must be in multiples of one minute"
            raise wrong(f"{field}[{index}].alignment_period", proto(one.alignment_period), why)
    query.check(found.metric, aggregations(given))


def _check_numbers(found: Selection, given: Sequence[Message], field: str) -> None:
    """A threshold is held against numbers."""
    kind, value = found.metric.kind, found.metric.value
    for one in aggregations(given):
        kind, value = align.outcome(one.aligner, kind, value)
        kind, value = reduce.outcome(one.reducer, kind, value)
    if kind == "CUMULATIVE" or value not in ("INT64", "DOUBLE"):
        why = (
            f"The aggregated time series are of kind {kind} and value type {value}, and only numbers of kind GAUGE or "
            "DELTA can be compared with a threshold. Choose an aligner that gives them."
        )
        raise wrong(field, ", ".join(one.aligner for one in aggregations(given)), why)


def _check_threshold(catalogue: Catalogue, inner: Message, where: str) -> None:
    found = selection(catalogue, inner.filter, f"{where}.filter")
    _check_aggregations(found, inner.aggregations, f"{where}.aggregations")
    _check_numbers(found, inner.aggregations, f"{where}.aggregations")
    if inner.denominator_filter:
        below = selection(catalogue, inner.denominator_filter, f"{where}.denominator_filter")
        _check_aggregations(below, inner.denominator_aggregations, f"{where}.denominator_aggregations")
        _check_numbers(below, inner.denominator_aggregations, f"{where}.denominator_aggregations")
        if _spacing(inner.aggregations) != _spacing(inner.denominator_aggregations):
            why = "The alignment period must be that of the numerator's aggregations."
            raise wrong(f"{where}.denominator_aggregations", _spacing(inner.denominator_aggregations), why)
    elif inner.denominator_aggregations:
        why = "It can be given only where denominator_filter is."
        raise wrong(f"{where}.denominator_aggregations", len(inner.denominator_aggregations), why)
    comparison = COMPARISONS.get(inner.comparison, inner.comparison)
    if comparison not in ("COMPARISON_GT", "COMPARISON_LT"):
        why = "Only COMPARISON_GT and COMPARISON_LT are supported."
        raise wrong(f"{where}.comparison", comparison, why)
    _check_duration(inner.duration, f"{where}.duration")
    if inner.evaluation_missing_data and not inner.duration.seconds:
        named = MISSING.get(inner.evaluation_missing_data, inner.evaluation_missing_data)
        why = "Conditions setting evaluation_missing_data must have a non-zero duration."
        raise wrong(f"{where}.evaluation_missing_data", named, why)
    if inner.HasField("forecast_options"):
        horizon = inner.forecast_options.forecast_horizon
        if not SHORTEST_FORECAST <= horizon.seconds <= LONGEST_FORECAST:
            why = "The forecast horizon can range from 1 hour to 60 hours."
            raise wrong(f"{where}.forecast_options.forecast_horizon", shown(horizon), why)
        if inner.denominator_filter:
            why = "A ratio cannot be forecast."
            raise wrong(f"{where}.forecast_options", shown(horizon), why)
    _check_trigger(inner, where)


def _check_absent(catalogue: Catalogue, inner: Message, where: str) -> None:
    found = selection(catalogue, inner.filter, f"{where}.filter")
    _check_aggregations(found, inner.aggregations, f"{where}.aggregations")
    if inner.duration.ToNanoseconds() < SHORTEST_ABSENCE * SECOND:
        why = f"Durations shorter than {SHORTEST_ABSENCE // MINUTE}m are not supported."
        raise wrong(f"{where}.duration", shown(inner.duration), why)
    _check_duration(inner.duration, f"{where}.duration")
    _check_trigger(inner, where)


def _check_duration(duration: Message, field: str) -> None:
    if duration.ToNanoseconds() < 0:
        raise wrong(field, shown(duration), "Durations must not be negative.")
    if duration.ToNanoseconds() % (MINUTE * SECOND):
        raise wrong(field, shown(duration), "only multiples of 1 minute are supported")
    if duration.seconds > LONGEST:
        raise wrong(field, shown(duration), "Durations longer than 23h30m are not supported.")


def _check_trigger(inner: Message, where: str) -> None:
    kind = inner.trigger.WhichOneof("type")
    if kind == "count" and inner.trigger.count < 1:
        raise wrong(f"{where}.trigger.count", inner.trigger.count, "The count must be at least 1.")
    if kind == "percent" and not 0 < inner.trigger.percent <= 100:
        why = "The percent must be greater than 0 and at most 100."
        raise wrong(f"{where}.trigger.percent", f"{inner.trigger.percent:g}", why)


def _check_match(inner: Message, where: str) -> None:
    if not inner.filter.strip():
        raise wrong(f"{where}.filter", inner.filter, "The filter must not be empty.")
    try:
        logs.parse(inner.filter)
    except logs.QueryError as error:
        raise wrong(f"{where}.filter", inner.filter, f"Unparseable filter: {error}") from None
    if len(inner.label_extractors) > MAX_EXTRACTORS:
        raise invalid(f"Field {where}.label_extractors: there can be at most {MAX_EXTRACTORS} of them.")
    for name, extractor in inner.label_extractors.items():
        field = f'{where}.label_extractors["{name}"]'
        if not _LABEL.fullmatch(name):
            raise wrong(field, name, "A key is a letter or underscore, then letters, digits and underscores.")
        try:
            extract.text_of(extractor)
        except extract.ExtractorError as error:
            raise wrong(field, extractor, f"{error}.") from None


def _spacing(given: Sequence[Message]) -> list[int]:
    return [one.period // SECOND for one in aggregations(given)]
