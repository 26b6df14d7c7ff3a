"""The words that a board's template may use: series and how they are drawn, each a line of JSON.

Owns the shapes of the Dashboards API that our boards are made of. Metrics, resources and labels are checked as those of
alerts are, so that no chart is empty by a slip of the pen.

Source: google/monitoring/dashboard/v1/{xychart,scorecard,text,logs_panel,incident_list,metrics}.proto.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from spec import filters
from spec.catalogue import Catalogue
from spec.durations import Duration
from spec.errors import SpecError, choose
from spec.graph import System
from spec.log_lines import LogLines
from spec.selection import Selection

#: How a chart draws its series.
PLOTS = {"line": "LINE", "area": "STACKED_AREA", "bar": "STACKED_BAR", "heatmap": "HEATMAP"}

#: The colours of a scorecard's thresholds.
COLOURS = {"yellow": "YELLOW", "red": "RED"}

_REFUSED = "Monitoring refuses the dashboard, or the chart stays empty"

Shape = dict[str, Any]


class BoardError(SpecError):
    """A board cannot be drawn."""

    def __init__(self, what: str, *, breaks: str, fix: str, line: int = 1) -> None:
        self.what, self.breaks, self.fix, self.line = what, breaks, fix, line
        super().__init__(what)

    def at(self, line: int) -> BoardError:
        """Return the error at a line of the template."""
        return BoardError(self.what, breaks=self.breaks, fix=self.fix, line=line)


def words(system: System, catalogue: Catalogue, project: str) -> Mapping[str, Callable[..., Any]]:
    """Return every word by its name."""
    return {
        "series": _series(catalogue),
        "ratio": ratio,
        "burn": _burn(system, project),
        "chart": chart,
        "number": number,
        "text": text,
        "logs": logs,
        "incidents": incidents,
    }


def _series(catalogue: Catalogue) -> Callable[..., Shape]:
    def series(
        metric: str,
        *,
        where: Mapping[str, Any] | None = None,
        resource: str | None = None,
        every: str = "60s",
        by: str | None = None,
        across: str | None = None,
        keep: Sequence[str] = (),
        legend: str = "",
    ) -> Shape:
        """Time series of one metric, aligned and put together."""
        written: Shape = {"metric": metric, "resource": resource, "where": dict(where or {})}
        if by is not None:
            written["align"] = {"every": every, "by": by}
        if across is not None:
            written["across"] = {"by": across, "keep": tuple(keep)}
        try:
            selection = Selection.model_validate(written)
        except ValidationError as error:
            raise BoardError(_said(error), breaks=_REFUSED, fix="correct the series") from None
        for misfit in filters.misfits(catalogue, selection, compared=False):
            raise BoardError(misfit.what, breaks=misfit.breaks, fix=misfit.fix)
        together = filters.aggregation(catalogue, selection).json
        shown = {"filter": filters.text(catalogue, selection), "aggregation": together}
        return {"query": {"timeSeriesFilter": shown}, "legend": legend}

    return series


def ratio(numerator: Shape, denominator: Shape, legend: str = "") -> Shape:
    """One series divided by another."""
    parts = {"numerator": numerator, "denominator": denominator}
    shown = {name: part["query"]["timeSeriesFilter"] for name, part in parts.items()}
    return {"query": {"timeSeriesFilterRatio": shown}, "legend": legend}


def _burn(system: System, project: str) -> Callable[..., Shape]:
    def burn(slo: str, over: str = "1h", legend: str = "") -> Shape:
        """How fast the budget of an objective burns: 1 uses it up exactly by the end of the window."""
        if slo not in system.slos:
            raise BoardError(
                f"there is no objective {slo!r}", breaks=_REFUSED, fix=choose(slo, system.slos, noun="objective")
            )
        burning = filters.burn_rate(system.slos[slo].path(project), Duration.parse(over))
        shown = {"filter": burning, "aggregation": {"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_MEAN"}}
        return {"query": {"timeSeriesFilter": shown}, "legend": legend}

    return burn


def chart(
    title: str, series: Sequence[Shape], *, plot: str = "line", axis: str = "", marks: Sequence[float] = ()
) -> str:
    """A chart of one or more series over time; marks are horizontal lines."""
    if plot not in PLOTS:
        raise BoardError(f"there is no plot {plot!r}", breaks=_REFUSED, fix=choose(plot, PLOTS, noun="plot"))
    sets = [_data_set(one, PLOTS[plot]) for one in ([series] if isinstance(series, dict) else series)]
    drawn: Shape = {"dataSets": sets, "yAxis": {"label": axis, "scale": "LINEAR"}}
    if marks:
        drawn["thresholds"] = [{"value": mark} for mark in marks]
    return _printed({"title": title, "xyChart": drawn})


def number(
    title: str, series: Shape, *, above: Mapping[str, float] | None = None, below: Mapping[str, float] | None = None
) -> str:
    """The latest value of one series, with the colour that it has above or below a value."""
    marks = []
    for direction, limits in (("ABOVE", above or {}), ("BELOW", below or {})):
        for colour, value in limits.items():
            if colour not in COLOURS:
                raise BoardError(
                    f"there is no colour {colour!r}", breaks=_REFUSED, fix=choose(colour, COLOURS, noun="colour")
                )
            marks.append({"value": value, "color": COLOURS[colour], "direction": direction})
    card: Shape = {"timeSeriesQuery": series["query"], "sparkChartView": {"sparkChartType": "SPARK_LINE"}}
    if marks:
        card["thresholds"] = marks
    return _printed({"title": title, "scorecard": card})


def text(content: str, title: str = "") -> str:
    """A few words in Markdown."""
    return _printed({"title": title, "text": {"content": content, "format": "MARKDOWN"}})


def logs(title: str, **lines: Any) -> str:
    """The log lines of an event, a service, a severity, or a query: the keys of a log-based metric."""
    try:
        found = LogLines.model_validate(lines)
    except ValidationError as error:
        raise BoardError(_said(error), breaks=_REFUSED, fix="write event=, service=, severity= or where=") from None
    return _printed({"title": title, "logsPanel": {"filter": found.filter}})


def incidents(title: str) -> str:
    """What fires now."""
    return _printed({"title": title, "incidentList": {}})


def _data_set(series: Shape, plot: str) -> Shape:
    made: Shape = {"timeSeriesQuery": series["query"], "plotType": plot, "targetAxis": "Y1"}
    if series["legend"]:
        made["legendTemplate"] = series["legend"]
    return made


def _printed(widget: Shape) -> str:
    return json.dumps({key: value for key, value in widget.items() if value != ""})


def _said(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    refused = first.get("ctx", {}).get("error")
    where = ".".join(str(step) for step in first["loc"])
    said = getattr(refused, "what", None) or first["msg"]
    return f"{where}: {said}" if where else str(said)
