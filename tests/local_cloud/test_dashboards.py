"""Dashboards through Google's own client and REST: names, etags, paging, what one may look like, what it shows."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import advance
from tests.local_cloud.conftest import Rest
from tests.local_cloud.dashboard_series import empty_widgets
from tests.local_cloud.metrics_client import NAME, TASKS, Watcher
from tests.local_cloud.monitoring_clients import client
from tests.local_cloud.run_client import http

DEPTH = f'metric.type="{TASKS}/queue/depth" resource.type="cloud_tasks_queue"'
ATTEMPTS = f'metric.type="{TASKS}/queue/task_attempt_count" resource.type="cloud_tasks_queue"'
GONE = f'select_slo_burn_rate("{NAME}/services/s/serviceLevelObjectives/gone", "1h")'
MEAN = {"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_MEAN"}
RATE = {"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_RATE", "crossSeriesReducer": "REDUCE_SUM"}


def query(text: str = DEPTH, aggregation: Any = MEAN) -> dict[str, Any]:
    return {"timeSeriesFilter": {"filter": text, "aggregation": aggregation}}


def ratio() -> dict[str, Any]:
    part = {"filter": ATTEMPTS, "aggregation": RATE}
    return {"timeSeriesFilterRatio": {"numerator": part, "denominator": part, "secondaryAggregation": {}}}


CHART = {"xyChart": {"dataSets": [{"timeSeriesQuery": query(), "plotType": "LINE"}]}}
TEXT = {"text": {"content": "c", "format": "MARKDOWN"}}
#: A widget of each kind that is looked into.
WIDGETS: list[dict[str, Any]] = [
    CHART,
    {"title": "ratio", "xyChart": {"dataSets": [{"timeSeriesQuery": ratio()}], "thresholds": [{"value": 1.5}]}},
    {"scorecard": {"timeSeriesQuery": query(), "thresholds": [{"value": 3, "color": "RED", "direction": "ABOVE"}]}},
    {"scorecard": {"timeSeriesQuery": query(), "sparkChartView": {"sparkChartType": "SPARK_LINE"}}},
    {"pieChart": {"chartType": "DONUT", "dataSets": [{"timeSeriesQuery": query()}]}},
    {"timeSeriesTable": {"dataSets": [{"timeSeriesQuery": query()}], "metricVisualization": "NUMBER"}},
    TEXT,
    {"blank": {}},
    {"sectionHeader": {"subtitle": "s", "dividerBelow": True}},
    {"logsPanel": {"filter": "severity>=ERROR", "resourceNames": ["projects/1"]}},
    {"incidentList": {"policyNames": [f"{NAME}/alertPolicies/1"]}},
    {"alertChart": {"name": f"{NAME}/alertPolicies/1"}},
    {"errorReportingPanel": {"projectNames": [NAME]}},
    {"xyChart": {"dataSets": [{"timeSeriesQuery": {"prometheusQuery": "up"}}]}},
]


def grid(*widgets: Any, **more: Any) -> dict[str, Any]:
    return {"displayName": "d", "gridLayout": {"columns": "2", "widgets": list(widgets)}} | more


def tile(widget: Any, x: int, y: int, width: int = 6, height: int = 4) -> dict[str, Any]:
    return {"xPos": x, "yPos": y, "width": width, "height": height, "widget": widget}


def mosaic(*tiles: Any, columns: int = 12) -> dict[str, Any]:
    return {"displayName": "d", "mosaicLayout": {"columns": columns, "tiles": list(tiles)}}


@pytest.fixture(scope="module")
def dashboards(place: Place) -> Iterator[Any]:
    with client(place, "dashboards") as made:
        yield made


@pytest.fixture(scope="module")
def refused(place: Place) -> Any:
    """Sends a dashboard that is not taken; what was said."""

    def send(made: dict[str, Any]) -> str:
        answer = http(f"{place.rest}/v1/{NAME}/dashboards", method="POST", body=json.dumps(made).encode())
        assert answer.status == 400, answer.body
        return str(answer.body)

    return send


@pins(
    "monitoring",
    "Policies and dashboards",
    "A widget of every kind, in every layout, reads back word for word",
    documented="google/monitoring/dashboard/v1/*.proto",
)
async def test_dashboards_read_back_word_for_word(rest: Rest) -> None:
    at = f"/v1/{NAME}/dashboards"
    below = {"weight": "1", "widgets": WIDGETS[:3]}
    group = {"collapsibleGroup": {"collapsed": True}}
    for given in (
        grid(
            *WIDGETS, labels={"team": ""}, dashboardFilters=[{"labelKey": "queue_id", "filterType": "RESOURCE_LABEL"}]
        ),
        mosaic(tile(group, 0, 0, 12, 8), tile(CHART, 0, 0), tile(CHART, 6, 0), tile(TEXT, 0, 8, 12, 1)),
        {"displayName": "rows", "rowLayout": {"rows": [below]}},
        {"displayName": "columns", "columnLayout": {"columns": [below]}},
        grid({"xyChart": {"dataSets": [{"timeSeriesQuery": query(f"{DEPTH} $" + "{queue}")}]}}),
    ):
        made = await rest.ok("POST", at, given)
        found = await rest.ok("GET", f"/v1/{made['name']}")
        assert found == made
        want = {name: value for name, value in found.items() if name not in ("name", "etag")}
        assert without_zeros(want) == without_zeros(given)


def without_zeros(value: Any) -> Any:
    """JSON of protos leaves out zeros of numbers."""
    if isinstance(value, dict):
        return {name: without_zeros(one) for name, one in value.items() if one != 0 or isinstance(one, bool)}
    return [without_zeros(one) for one in value] if isinstance(value, list) else value


@pins(
    "monitoring",
    "Policies and dashboards",
    "Names are made or chosen; a stale etag is refused, none overwrites; validate_only keeps nothing",
    documented="google/monitoring/dashboard/v1/dashboards_service.proto",
)
def test_names_etags_and_looking_only(dashboards: Any) -> None:
    given = {"display_name": "d", "grid_layout": {"widgets": [{"text": {"content": "c"}}]}}
    made = dashboards.create_dashboard(request={"parent": NAME, "dashboard": given})
    named = given | {"name": f"{NAME}/dashboards/payments-overview"}
    assert dashboards.create_dashboard(request={"parent": NAME, "dashboard": named}).name == named["name"]
    with pytest.raises(exceptions.AlreadyExists):
        dashboards.create_dashboard(request={"parent": NAME, "dashboard": named})
    changed = dashboards.update_dashboard(request={"dashboard": named | {"display_name": "new"}})
    assert changed.etag != made.etag
    stale = named | {"etag": "0123"}
    with pytest.raises(exceptions.FailedPrecondition):
        dashboards.update_dashboard(request={"dashboard": stale})
    fresh = dashboards.update_dashboard(request={"dashboard": named | {"etag": changed.etag}})
    assert (fresh.display_name, fresh.etag != changed.etag) == ("d", True)
    looked = {"dashboard": named | {"display_name": "x"}, "validate_only": True}
    assert dashboards.update_dashboard(request=looked).display_name == "x"
    assert dashboards.get_dashboard(request={"name": named["name"]}) == fresh
    dashboards.create_dashboard(request={"parent": NAME, "dashboard": given, "validate_only": True})
    listed = [one.name for one in dashboards.list_dashboards(request={"parent": NAME, "page_size": 1})]
    assert listed == sorted([made.name, named["name"]])
    for name in listed:
        dashboards.delete_dashboard(request={"name": name})
        for call in (dashboards.get_dashboard, dashboards.delete_dashboard):
            with pytest.raises(exceptions.NotFound, match="Requested entity was not found"):
                call(request={"name": name})
    wrong = given | {"name": f"{NAME}/boards/x"}
    with pytest.raises(exceptions.InvalidArgument):
        dashboards.create_dashboard(request={"parent": NAME, "dashboard": wrong})


def chart(**more: Any) -> dict[str, Any]:
    return grid({"xyChart": CHART["xyChart"] | more})


def card(**more: Any) -> dict[str, Any]:
    return grid({"scorecard": {"timeSeriesQuery": query()} | more})


@pins(
    "monitoring",
    "Policies and dashboards",
    "50 widgets; tiles within their columns and not over one another; queries, thresholds and views that can be drawn",
    documented="google/monitoring/dashboard/v1/*.proto; quotas of Cloud Monitoring",
)
def test_what_google_would_not_draw_is_refused(refused: Any) -> None:
    for given, said in (
        (grid(*[TEXT] * 51), "50 widgets"),
        ({"displayName": "d"}, "layout"),
        (grid(TEXT, displayName=""), "displayName"),
        (grid({"title": "nothing"}), "content"),
        (mosaic(tile(TEXT, 0, 0), columns=0), "mosaicLayout.columns"),
        (mosaic(tile(TEXT, 0, 0), columns=49), "mosaicLayout.columns"),
        (mosaic(tile(TEXT, 7, 0)), "12 columns"),
        (mosaic(tile(TEXT, -1, 0)), "xPos"),
        (mosaic(tile(TEXT, 0, 0, 0)), "width"),
        (mosaic(tile(TEXT, 0, 0), tile(TEXT, 5, 3)), "overlaps"),
        (chart(dataSets=[]), "dataSets"),
        (chart(dataSets=[{"timeSeriesQuery": {}}]), "source"),
        (chart(dataSets=[{"timeSeriesQuery": query("")}]), "filter"),
        (chart(dataSets=[{"timeSeriesQuery": query("metric.type =")}]), "Unparseable filter"),
        (chart(dataSets=[{"timeSeriesQuery": query(DEPTH, {"alignmentPeriod": "30s"})}]), "alignmentPeriod"),
        (chart(thresholds=[{"value": 1, "color": "RED"}]), "thresholds"),
        (card(thresholds=[{"value": 1}]), "thresholds"),
        (card(gaugeView={"lowerBound": 2, "upperBound": 1}), "lowerBound"),
        (card(sparkChartView={}), "sparkChartType"),
        (grid({"pieChart": {"dataSets": [{"timeSeriesQuery": query()}]}}), "chartType"),
        (grid({"alertChart": {"name": "x"}}), "alertPolicies"),
        (grid(TEXT, dashboardFilters=[{}]), "labelKey"),
    ):
        assert said in refused(given), given


@pins(
    "monitoring",
    "Policies and dashboards",
    "A chart of a metric that does not exist is taken, and the cloud's log says that it will show nothing",
    documented="a chart of a metric without data is accepted",
)
@pytest.mark.parametrize("of", ['metric.type="custom.googleapis.com/not/yet"', GONE])
def test_a_chart_of_nothing_is_taken_with_a_warning(place: Place, watch: Watcher, of: str) -> None:
    given = grid({"xyChart": {"dataSets": [{"timeSeriesQuery": query(of)}]}})
    body = json.dumps(given).encode()
    assert http(f"{place.rest}/v1/{NAME}/dashboards", method="POST", body=body).status == 200
    assert place.cloud is not None
    assert any("will show nothing" in event["message"] for event in place.cloud.log.events)


@pins(
    "monitoring",
    "Policies and dashboards",
    "What a dashboard's queries ask for is answered by the same series",
    documented="TimeSeriesQuery",
)
def test_a_dashboards_queries_are_answered(watch: Watcher) -> None:
    queue = watch.queue("shown")
    watch.tasks.pause_queue(name=queue)
    advance(watch.place, 180)
    mine = f'{DEPTH} resource.labels.queue_id="shown"'
    none = f'{DEPTH} resource.labels.queue_id="not-there"'
    shown = grid(
        {"title": "depth", "xyChart": {"dataSets": [{"timeSeriesQuery": query(mine)}]}},
        {"title": "nothing", "scorecard": {"timeSeriesQuery": query(none)}},
        {"title": "both", "pieChart": {"chartType": "PIE", "dataSets": [{"timeSeriesQuery": query(mine)}]}},
    )
    assert empty_widgets(watch.place.rest, PROJECT, shown, watch.now()) == ["nothing"]
