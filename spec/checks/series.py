"""The metrics, labels, objectives and log lines that dashboards/ names: all of them exist, and can be put together so.

Owns what needs more than one file. What one file alone can say wrongly, its model refuses; who is told is `told`'s.
"""

from __future__ import annotations

from collections.abc import Iterator

from spec import filters
from spec.board_words import BoardError
from spec.boards import draw
from spec.catalogue import Catalogue
from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Where, choose
from spec.filters import Misfit
from spec.log_lines import LogLines
from spec.selection import Series

Key = tuple[str | int, ...]


@rule("SL401")
def series_exist(draft: Draft) -> Iterator[Finding]:
    """Every metric, resource and label that an alert names exists, and what comes out can be compared."""
    catalogue = Catalogue(draft.system.metrics, draft.system.groups)
    for alert in draft.system.alerts.values():
        for index, condition in enumerate(alert.conditions):
            at: Key = ("conditions", index)
            if condition.metric is not None:
                compared = condition.absent_for is None
                yield from _misfits(draft, catalogue, alert.name, at, condition.selection, compared=compared)
            if condition.denominator is not None:
                yield from _misfits(draft, catalogue, alert.name, (*at, "of"), condition.denominator, compared=True)


def _misfits(
    draft: Draft, catalogue: Catalogue, alert: str, at: Key, series: Series, *, compared: bool
) -> Iterator[Finding]:
    for misfit in _readable(draft, series, filters.misfits(catalogue, series, compared=compared)):
        yield draft.error("alert", alert, *at, *misfit.key, what=misfit.what, breaks=misfit.breaks, fix=misfit.fix)


def _readable(draft: Draft, series: Series, found: Iterator[Misfit]) -> Iterator[Misfit]:
    """Leave out what is said already: the file of the metric could not be used."""
    if series.metric in draft.system.metrics or not draft.is_declared("metric", series.metric):
        yield from found


@rule("SL402")
def objectives_exist(draft: Draft) -> Iterator[Finding]:
    """Every objective whose burn rate is watched has a file."""
    for alert in draft.system.alerts.values():
        for index, condition in enumerate(alert.conditions):
            if condition.slo is not None and not draft.is_declared("slo", condition.slo):
                yield draft.error(
                    "alert",
                    alert.name,
                    *("conditions", index, "slo"),
                    what=f"there is no objective {condition.slo!r}",
                    breaks="Monitoring refuses the policy: 404",
                    fix=f"{choose(condition.slo, draft.declared['slo'], noun='objective')} "
                    "A new one is a file of dashboards/slos/",
                )


@rule("SL403")
def objectives_count(draft: Draft) -> Iterator[Finding]:
    """An objective is made of series that exist and count, or of a distribution that is cut."""
    catalogue = Catalogue(draft.system.metrics, draft.system.groups)
    for slo in draft.system.slos.values():
        for key, series in slo.series.items():
            wrong = list(_readable(draft, series, filters.misfits(catalogue, series)))
            for misfit in wrong:
                yield draft.error(
                    "slo", slo.name, key, *misfit.key, what=misfit.what, breaks=misfit.breaks, fix=misfit.fix
                )
            metric = catalogue.find(series.metric)
            wanted = ("DISTRIBUTION",) if key == "quick" else ("INT64", "DOUBLE")
            if metric is not None and not wrong and (metric.kind == "GAUGE" or metric.value not in wanted):
                yield draft.error(
                    "slo",
                    slo.name,
                    *(key, "metric"),
                    what=f"{series.metric} is a {metric.kind.lower()} of {metric.value}",
                    breaks="Monitoring refuses the objective",
                    fix="name a distribution" if key == "quick" else "name a metric that counts",
                )


@rule("SL404")
def lines_exist(draft: Draft) -> Iterator[Finding]:
    """Every service and resource whose log lines are meant exists."""
    resources = Catalogue({}).resources
    for noun, name, at, lines in _lines(draft):
        if lines.resource not in resources:
            yield draft.error(
                noun,
                name,
                *at,
                "resource",
                what=f"there is no resource {lines.resource!r}",
                breaks="no line would ever be found",
                fix=choose(lines.resource, resources, noun="resource"),
            )
        for service in lines.service or ():
            if lines.resource == "cloud_run_revision" and not draft.is_declared("service", service):
                yield draft.error(
                    noun,
                    name,
                    *at,
                    "service",
                    what=f"there is no service {service!r}",
                    breaks="no line would ever be found",
                    fix=choose(service, draft.declared["service"], noun="service"),
                )


def _lines(draft: Draft) -> Iterator[tuple[str, str, Key, LogLines]]:
    yield from (("metric", name, (), metric) for name, metric in draft.system.metrics.items())
    for alert in draft.system.alerts.values():
        for index, condition in enumerate(alert.conditions):
            if condition.log is not None:
                yield "alert", alert.name, ("conditions", index, "log"), condition.log


@rule("SL405")
def boards_are_drawn(draft: Draft) -> Iterator[Finding]:
    """Every board can be drawn; not asked while a metric's file cannot be used."""
    if not draft.system.boards or draft.system.metrics.keys() != draft.declared["metric"]:
        return
    for board in draft.system.boards.values():
        try:
            draw(board, draft.system)
        except BoardError as error:
            yield Finding(
                where=Where(board.file, error.line),
                key="",
                what=error.what,
                breaks=error.breaks,
                fix=error.fix,
            )


RULES: tuple[Rule, ...] = (series_exist, objectives_exist, objectives_count, lines_exist, boards_are_drawn)
