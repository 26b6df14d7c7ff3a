"""Cloud Monitoring: time series read and written.

Reading is metrics/query.py's, with paging and views here; writing custom metrics has its laws here: one point a series
and call, in order, 5 s apart, of the descriptor's kind and type.
Source: google/monitoring/v3/metric_service.proto; the wordings are those of public issues of Google's clients.
"""

import base64
import binascii
from itertools import pairwise

from local_cloud.apis.monitoring import API
from local_cloud.apis.monitoring_descriptors import check_type
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, invalid
from local_cloud.metrics import query, wire
from local_cloud.metrics.catalogue import Catalogue
from local_cloud.metrics.descriptors import KINDS, RESOURCES, TYPES
from local_cloud.metrics.distribution import Distribution
from local_cloud.metrics.query import Aggregation
from local_cloud.metrics.series import SECOND, Key, Point, Run, Series, Value, key
from local_cloud.registry import Call

ALIGNERS = {number: name for name, number in enum("google.monitoring.v3.Aggregation.Aligner").items()}
REDUCERS = {number: name for name, number in enum("google.monitoring.v3.Aggregation.Reducer").items()}
HEADERS = enum("google.monitoring.v3.ListTimeSeriesRequest.TimeSeriesView")["HEADERS"]
#: Points of a page, or series where only headers are asked for.
MAX_PAGE = 100_000
#: Series of one write, and points of one series a second apart at least.
MAX_WRITTEN, APART = 200, 5 * SECOND
#: How far from now a written point may end.
AHEAD, BEHIND = 5 * 60 * SECOND, 25 * 3600 * SECOND
_KINDS = {number: name for name, number in KINDS.items()}
_TYPES = {number: name for name, number in TYPES.items()}


@API.rpc("MetricService.ListTimeSeries", permission="monitoring.timeSeries.list")
async def list_time_series(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The series of a filter in an interval, aggregated as asked; points newest first."""
    if not request.name.startswith("projects/"):
        raise invalid(f"Only series of a project can be listed here, not those of {request.name}.")
    if request.order_by:
        raise invalid(f'Field orderBy had an invalid value of "{request.order_by}": it must be left blank.')
    if request.page_size < 0:
        raise invalid("Field pageSize must not be negative.")
    cloud.meter.catch_up()
    selection = query.choose(cloud.use(Catalogue), request.filter)
    start, end = _interval(request.interval)
    asked = [_aggregation(request.aggregation), _aggregation(request.secondary_aggregation)]
    if asked[0].empty and not asked[1].empty:
        raise invalid("Field secondaryAggregation may be given only where aggregation is.")
    visible = cloud.metric_lag.visible(cloud.now())
    found = query.run(
        cloud.meter.points, selection, start, end, asked, project=cloud.project, visible=visible
    )  # fmt: skip
    made = message("google.monitoring.v3.ListTimeSeriesResponse")(unit=query.unit(selection.metric, asked))
    _fill(made, found, request)
    return made


def _fill(made: Message, found: list[Series], request: Message) -> None:
    """One page: of points, of which a series may have several pages, or of series without points."""
    size, skip = min(request.page_size or MAX_PAGE, MAX_PAGE), _offset(request.page_token)
    passed = left = 0
    for series in found:
        points: list[Point] = series.points[::-1]
        weight = 1 if request.view == HEADERS else len(points)
        begin, room = max(0, skip - passed), size - left
        passed += weight
        if begin >= weight:
            continue
        taken = points[begin : begin + room]
        if not taken or not room:
            break
        made.time_series.append(wire.series_message(series, [] if request.view == HEADERS else taken))
        left += 1 if request.view == HEADERS else len(taken)
    total = len(found) if request.view == HEADERS else sum(len(series.points) for series in found)
    if skip + left < total:
        made.next_page_token = base64.urlsafe_b64encode(str(skip + left).encode()).decode()


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (ValueError, binascii.Error, UnicodeError):
        text = ""
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise invalid("Field pageToken had an invalid value.")
    return int(text)


def _interval(interval: Message) -> tuple[int, int]:
    """(start, end] in nanoseconds; without a start it is the moment of the end."""
    if not interval.HasField("end_time"):
        raise invalid("Field interval.endTime is required.")
    end = interval.end_time.ToNanoseconds()
    if not interval.HasField("start_time"):
        return end - 1, end
    start = interval.start_time.ToNanoseconds()
    if start > end:
        shown = interval.start_time.ToJsonString()
        raise invalid(f'Field interval.startTime had an invalid value of "{shown}": it must not be after the end time.')
    return min(start, end - 1), end


def _aggregation(given: Message) -> Aggregation:
    period = given.alignment_period.ToNanoseconds() if given.HasField("alignment_period") else 0
    for field, number, names in (
        ("perSeriesAligner", given.per_series_aligner, ALIGNERS),
        ("crossSeriesReducer", given.cross_series_reducer, REDUCERS),
    ):
        if number not in names:
            raise invalid(f'Field aggregation.{field} had an invalid value of "{number}".')
    return Aggregation(
        aligner=ALIGNERS[given.per_series_aligner],
        period=period,
        reducer=REDUCERS[given.cross_series_reducer],
        group_by=tuple(given.group_by_fields),
    )


@API.rpc("MetricService.CreateTimeSeries", permission="monitoring.timeSeries.create")
async def create_time_series(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Write points of custom metrics. What can be written is, even where the answer is an error for the rest."""
    if not 1 <= len(request.time_series) <= MAX_WRITTEN:
        raise invalid(f"Field timeSeries must have 1 to {MAX_WRITTEN} elements, not {len(request.time_series)}.")
    cloud.meter.catch_up()
    seen: set[Key] = set()
    wrong: list[str] = []
    for index, given in enumerate(request.time_series):
        place = f"timeSeries[{index}]"
        try:
            _write(cloud, given, place, seen)
        except ApiError as error:
            wrong.append(f"{error.text}: {place}" if place not in error.text else error.text)
    cloud.meter.changed()
    if wrong:
        count = len(request.time_series)
        summary = message("google.monitoring.v3.CreateTimeSeriesSummary")(
            total_point_count=count, success_point_count=count - len(wrong)
        )
        summary.errors.add(status={"code": 3}, point_count=len(wrong))
        raise invalid(f"One or more TimeSeries could not be written: {'; '.join(wrong)}", summary)
    return message("google.protobuf.Empty")()


def _write(cloud: Cloud, given: Message, place: str, seen: set[Key]) -> None:
    check_type(given.metric.type, f"{place}.metric.type")
    kind, value_type, run = _point(cloud, given, place)
    resource = given.resource.type or "global"
    if resource not in RESOURCES:
        raise invalid(f'Field {place}.resource.type had an invalid value of "{resource}": it is not known.')
    known = {label for label, _ in RESOURCES[resource][2]}
    strange = sorted(set(given.resource.labels) - known)
    if strange:
        raise invalid(f"Field {place}.resource.labels: {resource} has no label {', '.join(strange)}.")
    labels = {**given.resource.labels, "project_id": cloud.project}
    name = key(given.metric.type, resource, labels, dict(given.metric.labels))
    if name in seen:
        why = "Duplicate TimeSeries encountered. Only one point can be written per TimeSeries per request."
        raise invalid(f"Field {place} had an invalid value: {why}: {place}")
    seen.add(name)
    catalogue = cloud.use(Catalogue)
    metric = catalogue.find(given.metric.type)
    if metric is not None and (metric.kind, metric.value) != (kind, value_type):
        raise invalid(
            f"Field {place} had an invalid value: {given.metric.type} is of kind {metric.kind} and value type "
            f"{metric.value}, not {kind} and {value_type}"
        )
    kept = cloud.meter.points.get(name)
    last = kept.last if kept is not None else None
    if last is not None and run.end < last.last:
        raise invalid(
            "Points must be written in order. One or more of the points specified had an older end time than the most "
            f"recent point.: {_shown(name)} {place}"
        )
    if last is not None and run.end - last.last < APART:
        raise invalid(
            "One or more points were written more frequently than the maximum sampling period configured for the "
            f"metric.: {_shown(name)} {place}"
        )
    catalogue.learn(given.metric.type, kind, value_type, given.metric.labels)
    cloud.meter.points.append(name, kind, value_type, run)


def _point(cloud: Cloud, given: Message, place: str) -> tuple[str, str, Run]:
    """The one point of a written series, with its kind and type."""
    if len(given.points) != 1:
        raise invalid(f"Field {place}.points had an invalid value: exactly one point must be given")
    [point] = given.points
    value_type, value = wire.value_of(point.value)
    if not value_type or (given.value_type and _TYPES.get(given.value_type) != value_type):
        wanted = _TYPES.get(given.value_type, "a value") if given.value_type else "a value"
        raise invalid(f"Field {place}.points[0].value had an invalid value: {wanted} is expected")
    _check_value(value, place)
    kind = _KINDS.get(given.metric_kind, "METRIC_KIND_UNSPECIFIED")
    kind = "GAUGE" if kind == "METRIC_KIND_UNSPECIFIED" else kind
    if value_type in ("BOOL", "STRING") and kind != "GAUGE":
        raise invalid(f"Field {place}.valueType had an invalid value: {value_type} is for kind GAUGE")
    end = point.interval.end_time.ToNanoseconds()
    start = point.interval.start_time.ToNanoseconds() if point.interval.HasField("start_time") else end
    where, now = f"{place}.points[0].interval", int(cloud.now() * SECOND)
    if not point.interval.HasField("end_time"):
        raise invalid(f"Field {where}.endTime is required")
    if (start != end) if kind == "GAUGE" else (start >= end):
        law = "the same as" if kind == "GAUGE" else "before"
        raise invalid(f"Field {where}.startTime had an invalid value: of kind {kind} it must be {law} the end time")
    if end > now + AHEAD:
        raise invalid(f"Field {where}.endTime had an invalid value: it is more than 5 minutes in the future")
    if end < now - BEHIND:
        raise invalid(f"Field {where}.endTime had an invalid value: it is more than 25 hours in the past")
    return kind, value_type, Run(start, end, 1, value)


def _check_value(value: Value, place: str) -> None:
    """Distributions must be possible, and their buckets no more than 200."""
    if not isinstance(value, Distribution):
        return
    kind, numbers = value.buckets
    if kind == "explicit":
        good = len(numbers) <= 200 and all(a < b for a, b in pairwise(numbers))
        buckets = len(numbers) + 1
    else:
        second = numbers[1] > 1 if kind == "exponential" else numbers[1] > 0
        third = numbers[2] > 0 if kind == "exponential" else True
        good = 0 < numbers[0] <= 200 and second and third
        good = good and (kind == "linear" or numbers[1] < 10_000)
        buckets = int(numbers[0]) + 2
    if not good or value.size < 0 or len(value.counts) > buckets or any(count < 0 for count in value.counts):
        raise invalid(
            f"Field {place}.points[0].value.distributionValue had an invalid value: its buckets are not valid"
        )
    if value.counts and sum(value.counts) != value.size:
        raise invalid(
            f"Field {place}.points[0].value.distributionValue had an invalid value: the bucket counts must sum up to "
            "the count"
        )


def _shown(name: Key) -> str:
    def labels(given: tuple[tuple[str, str], ...]) -> str:
        return ",".join(f"{label}:{value}" for label, value in given if label != "project_id")

    return f"{name.resource}{{{labels(name.resource_labels)}}} {name.metric}{{{labels(name.metric_labels)}}}"
