"""What a dashboard may look like: its layout, its widgets, the queries in them.

Owns the refusals that Google makes of a dashboard as such. Whether a metric exists is not one of them: a chart of a
metric that nobody has written yet is accepted, so `check` hands back every filter for whoever wants to look.
Source: google/monitoring/dashboard/v1/*.proto, https://cloud.google.com/monitoring/quotas (widgets of a dashboard).
"""

from collections.abc import Iterator

from local_cloud.descriptors import Message, enum
from local_cloud.errors import ApiError, invalid
from local_cloud.metrics import query
from local_cloud.metrics.align import ALIGNERS
from local_cloud.metrics.reduce import REDUCERS

MAX_WIDGETS, MAX_COLUMNS = 50, 48
#: Widgets that lie over those that belong to them.
_GROUPS = ("collapsible_group", "single_view_group")
_CHARTS = ("xy_chart", "pie_chart", "time_series_table")
_ALIGNERS = {n: name for name, n in enum("google.monitoring.dashboard.v1.Aggregation.Aligner").items()}
_REDUCERS = {n: name for name, n in enum("google.monitoring.dashboard.v1.Aggregation.Reducer").items()}

Place = str
Tile = tuple[Place, Message]


def check(made: Message) -> list[tuple[Place, str]]:
    """Refuse what Google does; gives the filters of all queries with their places."""
    if not made.display_name:
        raise invalid("Field displayName is required.")
    layout = made.WhichOneof("layout")
    if layout is None:
        raise invalid("Field layout is required: one of gridLayout, mosaicLayout, rowLayout and columnLayout.")
    found = list(widgets(made))
    if len(found) > MAX_WIDGETS:
        raise invalid(f"A dashboard may have at most {MAX_WIDGETS} widgets, not {len(found)}.")
    if layout == "mosaic_layout":
        _check_mosaic(made.mosaic_layout)
    if layout == "grid_layout" and made.grid_layout.columns < 0:
        raise _refused("gridLayout.columns", made.grid_layout.columns, "it must not be negative.")
    for part in (*made.row_layout.rows, *made.column_layout.columns):
        if part.weight < 0:
            raise _refused("weight", part.weight, "it must not be negative.")
    _check_filters(made)
    return [one for place, widget in found for one in _check_widget(place, widget)]


def widgets(made: Message) -> Iterator[Tile]:
    """Every widget with its place."""
    for index, widget in enumerate(made.grid_layout.widgets):
        yield f"gridLayout.widgets[{index}]", widget
    for index, tile in enumerate(made.mosaic_layout.tiles):
        yield f"mosaicLayout.tiles[{index}].widget", tile.widget
    for kind, parts in (("rowLayout.rows", made.row_layout.rows), ("columnLayout.columns", made.column_layout.columns)):
        for at, part in enumerate(parts):
            for index, widget in enumerate(part.widgets):
                yield f"{kind}[{at}].widgets[{index}]", widget


def queries(place: Place, widget: Message) -> Iterator[Tile]:
    """Every time series query of a widget."""
    kind = widget.WhichOneof("content")
    if kind == "scorecard":
        yield f"{place}.scorecard.timeSeriesQuery", widget.scorecard.time_series_query
    elif kind in _CHARTS:
        for index, data in enumerate(getattr(widget, kind).data_sets):
            yield f"{place}.{_camel(kind)}.dataSets[{index}].timeSeriesQuery", data.time_series_query


def _check_mosaic(layout: Message) -> None:
    columns = layout.columns
    if not 1 <= columns <= MAX_COLUMNS:
        raise _refused("mosaicLayout.columns", columns, f"it must be between 1 and {MAX_COLUMNS}, inclusive.")
    for index, tile in enumerate(layout.tiles):
        place = f"mosaicLayout.tiles[{index}]"
        for field, value, least in (
            ("xPos", tile.x_pos, 0),
            ("yPos", tile.y_pos, 0),
            ("width", tile.width, 1),
            ("height", tile.height, 1),
        ):
            if value < least:
                raise _refused(f"{place}.{field}", value, f"it must be at least {least}.")
        if tile.x_pos + tile.width > columns:
            raise _refused(place, "tile", f"it must be contained within the {columns} columns of the layout.")
        for other in range(index):
            if _overlap(tile, layout.tiles[other]):
                raise _refused(place, "tile", f"it overlaps with mosaicLayout.tiles[{other}].")


def _overlap(one: Message, other: Message) -> bool:
    if (one.widget.WhichOneof("content") in _GROUPS) != (other.widget.WhichOneof("content") in _GROUPS):
        return False
    return bool(
        one.x_pos < other.x_pos + other.width
        and other.x_pos < one.x_pos + one.width
        and one.y_pos < other.y_pos + other.height
        and other.y_pos < one.y_pos + one.height
    )


def _check_filters(made: Message) -> None:
    seen: set[str] = set()
    for index, given in enumerate(made.dashboard_filters):
        if not given.label_key:
            raise invalid(f"Field dashboardFilters[{index}].labelKey is required.")
        name = given.template_variable or given.label_key
        if name in seen:
            raise _refused(f"dashboardFilters[{index}]", name, "another filter has the same name.")
        seen.add(name)


def _check_widget(place: Place, widget: Message) -> list[tuple[Place, str]]:
    kind = widget.WhichOneof("content")
    if kind is None:
        raise invalid(f"Field {place} must have a content, such as xyChart, scorecard or text.")
    content = getattr(widget, kind)
    where = f"{place}.{_camel(kind)}"
    if kind in _CHARTS and not content.data_sets:
        raise invalid(f"Field {where}.dataSets is required.")
    if kind == "xy_chart":
        _check_chart(content, where)
    elif kind == "pie_chart" and not content.chart_type:
        raise invalid(f"Field {where}.chartType is required.")
    elif kind == "scorecard":
        _check_scorecard(content, where)
    elif kind == "alert_chart" and "/alertPolicies/" not in content.name:
        raise _refused(f"{where}.name", content.name, 'it must be of the form "projects/[P]/alertPolicies/[ID]".')
    found = []
    for at, asked in queries(place, widget):
        found += _check_query(at, asked)
    return found


def _check_chart(chart: Message, where: Place) -> None:
    if chart.timeshift_duration.ToNanoseconds() and len(chart.data_sets) > 1:
        raise _refused(
            f"{where}.timeshiftDuration", chart.timeshift_duration.ToJsonString(), "one data set is allowed."
        )
    for index, threshold in enumerate(chart.thresholds):
        if threshold.color or threshold.direction:
            raise _refused(f"{where}.thresholds[{index}]", threshold.label, "color and direction are a scorecard's.")


def _check_scorecard(card: Message, where: Place) -> None:
    for index, threshold in enumerate(card.thresholds):
        if not threshold.color or not threshold.direction:
            raise invalid(f"Field {where}.thresholds[{index}] must have a color and a direction.")
        if threshold.target_axis:
            raise _refused(f"{where}.thresholds[{index}].targetAxis", threshold.target_axis, "a scorecard has no axis.")
    view = card.gauge_view
    if card.HasField("gauge_view") and view.lower_bound > view.upper_bound:
        raise _refused(f"{where}.gaugeView.lowerBound", view.lower_bound, "it must not be above the upper bound.")
    if card.HasField("spark_chart_view") and not card.spark_chart_view.spark_chart_type:
        raise invalid(f"Field {where}.sparkChartView.sparkChartType is required.")


def _check_query(place: Place, asked: Message) -> list[tuple[Place, str]]:
    source = asked.WhichOneof("source")
    if source is None:
        raise invalid(f"Field {place} must have a source, such as timeSeriesFilter.")
    if source == "time_series_filter":
        parts = [(f"{place}.timeSeriesFilter", asked.time_series_filter)]
        seconds = [asked.time_series_filter.secondary_aggregation]
    elif source == "time_series_filter_ratio":
        ratio = asked.time_series_filter_ratio
        parts = [
            (f"{place}.timeSeriesFilterRatio.{name}", getattr(ratio, name)) for name in ("numerator", "denominator")
        ]
        seconds = [ratio.secondary_aggregation]
    else:
        if not getattr(asked, source).strip():
            raise invalid(f"Field {place}.{_camel(source)} is required.")
        return []
    for where, part in parts:
        if not part.filter.strip():
            raise invalid(f"Field {where}.filter is required.")
        # With template variables it is no filter before they are filled in; an SLO's selector is read where chosen.
        if "$" not in part.filter and not query.is_slo(part.filter):
            query.parse(part.filter, f"{where}.filter")
        _check_aggregation(f"{where}.aggregation", part.aggregation)
    for second in seconds:
        _check_aggregation(f"{place}.secondaryAggregation", second)
    return [(f"{where}.filter", part.filter) for where, part in parts if "$" not in part.filter]


def _check_aggregation(place: Place, given: Message) -> None:
    for field, number, names, known in (
        ("perSeriesAligner", given.per_series_aligner, _ALIGNERS, ALIGNERS),
        ("crossSeriesReducer", given.cross_series_reducer, _REDUCERS, REDUCERS),
    ):
        if number and names.get(number) not in known:
            raise _refused(f"{place}.{field}", names.get(number, number), "it is not known.")
    period = given.alignment_period.ToNanoseconds()
    if given.HasField("alignment_period") and not query.SHORTEST <= period <= query.LONGEST:
        why = "The alignment period must be at least 60 seconds and at most 104 weeks."
        raise _refused(f"{place}.alignmentPeriod", given.alignment_period.ToJsonString(), why)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _refused(field: str, value: object, why: str) -> ApiError:
    return invalid(f'Field {field} has an invalid value of "{value}": {why}')
