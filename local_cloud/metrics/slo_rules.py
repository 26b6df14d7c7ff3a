"""From the resource to the arithmetic: what an SLO may say, and which series its indicator reads.

Owns the checks of google/monitoring/v3/service.proto and the indicators over kept points. The basic indicators of Cloud
Run are those that Google writes out for them (EXPLICIT view); for other platforms there are no metrics here.
"""

from collections.abc import Callable
from math import isnan

from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, invalid
from local_cloud.metrics import align, points, query, slo
from local_cloud.metrics.catalogue import Catalogue
from local_cloud.metrics.distribution import Distribution, below
from local_cloud.metrics.points import Points
from local_cloud.metrics.series import SECOND, Series
from local_cloud.metrics.slo import DAY, Events, Slo

PERIODS = {n: name for name, n in enum("google.type.CalendarPeriod").items()}
CALENDAR = ("DAY", "WEEK", "FORTNIGHT", "MONTH")
HIGHEST_GOAL, LONGEST = 0.9999, 30 * DAY
_CHANGES = ("DELTA", "CUMULATIVE")
_NUMBERS = ("INT64", "DOUBLE")
_RUN = 'resource.type = "cloud_run_revision" resource.labels.service_name = "{name}" resource.labels.location = "{at}"'
_COUNT, _LATENCY = "run.googleapis.com/request_count", "run.googleapis.com/request_latencies"


class Reader:
    """What indicators read: the kept points, and which metrics there are."""

    def __init__(self, catalogue: Catalogue, stored: Points, visible: Callable[[], int]) -> None:
        self._catalogue, self._stored, self._visible = catalogue, stored, visible

    def choose(self, text: str, field: str, kinds: tuple[str, ...], types: tuple[str, ...]) -> query.Selection:
        """The series of a filter; refused where they are not of these kinds and types."""
        found = query.choose(self._catalogue, text, field)
        if found.metric.kind not in kinds or found.metric.value not in types:
            raise invalid(
                f'Field {field} had an invalid value of "{text}": {found.metric.type} is {found.metric.kind} and '
                f"{found.metric.value}; {' or '.join(kinds)} and {' or '.join(types)} are expected."
            )
        return found

    def series(self, selection: query.Selection, after: int, until: int) -> list[Series]:
        """Points that ended in (after, until]; those of a cumulative metric as changes."""
        until = min(until, self._visible())
        cumulative = selection.metric.kind == "CUMULATIVE"
        project = self._catalogue.project
        kept = [one for one in self._stored.find(selection.metric.type) if selection.matches(one.key, project)]
        found = points.iterate(kept, after - (align.LOOKBACK if cumulative else 0), until)
        if not cumulative:
            return list(found)
        changed = (one._replace(points=align.differences(one.points)) for one in found)
        return [one._replace(points=[p for p in one.points if p.end > after]) for one in changed]

    def sums(self, selection: query.Selection, after: int, until: int) -> dict[int, float]:
        """The sum over all series, by the end of a point."""
        found: dict[int, float] = {}
        for one in self.series(selection, after, until):
            for point in one.points:
                assert isinstance(point.value, int | float)
                found[point.end] = found.get(point.end, 0.0) + point.value
        return found


def build(reader: Reader, service: Message, made: Message) -> Slo:
    """The objective of a resource; refused where it says what it may not."""
    if isnan(made.goal) or not 0 < made.goal <= HIGHEST_GOAL:
        raise _refused("goal", made.goal, f"it must be above 0 and at most {HIGHEST_GOAL}.")
    period = made.WhichOneof("period")
    rolling = made.rolling_period.ToNanoseconds() if period == "rolling_period" else 0
    if period is None:
        raise invalid("Field serviceLevelObjective.period is required: rollingPeriod or calendarPeriod.")
    if period == "rolling_period" and (rolling % DAY or not DAY <= rolling <= LONGEST):
        raise _refused("rollingPeriod", made.rolling_period.ToJsonString(), "it must be 1 to 30 whole days.")
    calendar = PERIODS.get(made.calendar_period, str(made.calendar_period))
    if period == "calendar_period" and calendar not in CALENDAR:
        raise _refused("calendarPeriod", calendar, f"it must be one of {', '.join(CALENDAR)}.")
    indicator = _indicator(reader, explicit(service, made.service_level_indicator))
    return Slo(name=made.name, goal=made.goal, rolling=rolling, calendar=calendar, events=indicator)


def explicit(service: Message, sli: Message) -> Message:
    """An indicator with its filters written out."""
    if sli.WhichOneof("type") != "basic_sli":
        return sli
    made, where = message("google.monitoring.v3.ServiceLevelIndicator")(), _cloud_run(service)
    if where is None:
        raise invalid(
            "Field serviceLevelObjective.serviceLevelIndicator.basicSli: of the services that have basic indicators, "
            "Cloud Run's alone are measured here."
        )
    chosen = _RUN.format(name=where[0], at=where[1])
    criteria = sli.basic_sli.WhichOneof("sli_criteria")
    if criteria == "availability":
        ratio = made.request_based.good_total_ratio
        ratio.total_service_filter = f'metric.type = "{_COUNT}" {chosen}'
        ratio.good_service_filter = f'{ratio.total_service_filter} metric.labels.response_code_class != "5xx"'
    elif criteria == "latency":
        cut = made.request_based.distribution_cut
        cut.distribution_filter = f'metric.type = "{_LATENCY}" {chosen}'
        cut.range.max = sli.basic_sli.latency.threshold.ToNanoseconds() / 1e6
        if cut.range.max <= 0:
            raise _refused("serviceLevelIndicator.basicSli.latency.threshold", cut.range.max, "it must be above 0.")
    else:
        raise invalid("Field serviceLevelObjective.serviceLevelIndicator.basicSli needs availability or latency.")
    return made


def _cloud_run(service: Message) -> tuple[str, str] | None:
    """Name and place of the Cloud Run service that a service stands for."""
    if service.WhichOneof("identifier") == "cloud_run":
        return service.cloud_run.service_name, service.cloud_run.location
    if service.basic_service.service_type == "CLOUD_RUN":
        labels = service.basic_service.service_labels
        return labels.get("service_name", ""), labels.get("location", "")
    return None


def _indicator(reader: Reader, sli: Message) -> slo.Indicator:
    where = "serviceLevelObjective.serviceLevelIndicator"
    kind = sli.WhichOneof("type")
    if kind == "request_based":
        return _requests(reader, sli.request_based, f"{where}.requestBased")
    if kind == "windows_based":
        return _windows(reader, sli.windows_based, f"{where}.windowsBased")
    raise invalid(f"Field {where} is required: basicSli, requestBased or windowsBased.")


def _requests(reader: Reader, sli: Message, where: str) -> slo.Indicator:
    method = sli.WhichOneof("method")
    if method == "good_total_ratio":
        return _ratio(reader, sli.good_total_ratio, f"{where}.goodTotalRatio")
    if method == "distribution_cut":
        return _cut(reader, sli.distribution_cut, f"{where}.distributionCut")
    raise invalid(f"Field {where} needs goodTotalRatio or distributionCut.")


def _ratio(reader: Reader, given: Message, where: str) -> slo.Indicator:
    names = {"good": "goodServiceFilter", "bad": "badServiceFilter", "total": "totalServiceFilter"}
    chosen = {
        name: reader.choose(text, f"{where}.{names[name]}", _CHANGES, _NUMBERS)
        for name in names
        if (text := getattr(given, f"{name}_service_filter"))
    }
    if len(chosen) != 2:
        raise invalid(f"Field {where}: exactly two of {', '.join(names.values())} must be given.")

    def events(after: int, until: int) -> list[Events]:
        sums = {name: reader.sums(selection, after, until) for name, selection in chosen.items()}
        found: dict[int, tuple[float, float]] = {}
        for end in sorted(set().union(*sums.values())):
            part = {name: values.get(end, 0.0) for name, values in sums.items()}
            good = part["good"] if "good" in part else max(0.0, part["total"] - part["bad"])
            bad = part["bad"] if "bad" in part else max(0.0, part["total"] - part["good"])
            found[end] = good, bad
        return slo.at_minutes(found)

    return events


def _cut(reader: Reader, given: Message, where: str) -> slo.Indicator:
    selection = reader.choose(given.distribution_filter, f"{where}.distributionFilter", _CHANGES, ("DISTRIBUTION",))
    low, high = _range(given.range, where)

    def events(after: int, until: int) -> list[Events]:
        found: dict[int, tuple[float, float]] = {}
        for one in reader.series(selection, after, until):
            for point in one.points:
                assert isinstance(point.value, Distribution)
                within = below(point.value, high) - below(point.value, low)
                before = found.get(point.end, (0.0, 0.0))
                found[point.end] = before[0] + within, before[1] + point.value.size - within
        return slo.at_minutes(found)

    return events


def _windows(reader: Reader, sli: Message, where: str) -> slo.Indicator:
    period, criterion = sli.window_period.ToNanoseconds(), sli.WhichOneof("window_criterion")
    if period < 60 * SECOND or period > DAY or DAY % period:
        raise _refused(
            "serviceLevelIndicator.windowsBased.windowPeriod",
            sli.window_period.ToJsonString(),
            "it must be an integer fraction of a day and at least 60s.",
        )
    if criterion == "good_total_ratio_threshold":
        threshold = sli.good_total_ratio_threshold
        inner = (
            _indicator(
                reader, message("google.monitoring.v3.ServiceLevelIndicator")(request_based=threshold.performance)
            )
            if threshold.WhichOneof("type") == "performance"
            else None
        )
        if inner is None:
            raise invalid(f"Field {where}.goodTotalRatioThreshold.performance is required.")
        events, least = inner, threshold.threshold
        return lambda after, until: slo.windows(events(_floor(after, period), _floor(until, period)), period, least)
    if criterion == "good_bad_metric_filter":
        chosen = reader.choose(sli.good_bad_metric_filter, f"{where}.goodBadMetricFilter", ("GAUGE",), ("BOOL",))
        return _judging(reader, chosen, period, lambda streams: any(any(values) for values in streams))
    if criterion in ("metric_mean_in_range", "metric_sum_in_range"):
        given = getattr(sli, criterion)
        low, high = _range(given.range, where)
        kinds = ("GAUGE",) if criterion == "metric_mean_in_range" else ("GAUGE", *_CHANGES)
        chosen = reader.choose(given.time_series, f"{where}.timeSeries", kinds, _NUMBERS)

        def good(streams: list[list[float]]) -> bool:
            means = [sum(values) / len(values) for values in streams]
            value = sum(means) / len(means) if criterion == "metric_mean_in_range" else sum(map(sum, streams))
            return low <= value <= high

        return _judging(reader, chosen, period, good)
    raise invalid(f"Field {where} needs a criterion, such as goodTotalRatioThreshold.")


def _judging(
    reader: Reader, chosen: query.Selection, period: int, good: Callable[[list[list[float]]], bool]
) -> slo.Indicator:
    """Windows that are judged by the values in them, a list of each series."""

    def events(after: int, until: int) -> list[Events]:
        found: dict[int, list[list[float]]] = {}
        for one in reader.series(chosen, _floor(after, period), _floor(until, period)):
            streams: dict[int, list[float]] = {}
            for point in one.points:
                assert isinstance(point.value, int | float)
                streams.setdefault(-(-point.end // period) * period, []).append(point.value)
            for end, values in streams.items():
                found.setdefault(end, []).append(values)
        return [slo.judged(end, good(streams)) for end, streams in sorted(found.items())]

    return events


def _floor(at: int, period: int) -> int:
    """The last end of a window: one that still runs is judged when it is over."""
    return at // period * period


def _range(given: Message, where: str) -> tuple[float, float]:
    if isnan(given.min) or isnan(given.max) or given.min >= given.max:
        raise invalid(f"Field {where}.range had an invalid value: min must be below max.")
    return given.min, given.max


def _refused(field: str, value: object, why: str) -> ApiError:
    return invalid(f'Field serviceLevelObjective.{field} had an invalid value of "{value}": {why}')
