"""From what a file says of time series to what Monitoring reads: a filter and an aggregation; and what does not fit.

Owns the translation, and the questions whether metric, resource and labels exist and whether the series can be put
together as wanted. Alerts, objectives and boards all ask here, so that the three say and refuse the same.

Source: https://cloud.google.com/monitoring/api/v3/filters, https://cloud.google.com/monitoring/api/v3/aggregation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spec.catalogue import ALIGNERS, REDUCERS, Catalogue, Metric
from spec.durations import Duration
from spec.errors import choose
from spec.selection import GROUP, MINUTE, Align, Match, Selection, Series, members

#: How the points of a minute become one, where a file does not say: the highest of a gauge, all of a count.
DEFAULT_ALIGNERS = {"GAUGE": "max", "DELTA": "sum"}

_PERCENTILES = {"p99": "PERCENTILE_99", "p95": "PERCENTILE_95", "p50": "PERCENTILE_50", "p05": "PERCENTILE_05"}
_NOTHING_FOUND = "Monitoring refuses it: no series could ever match"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """How series are put together, in Google's words."""

    period: str
    aligner: str
    reducer: str | None
    fields: tuple[str, ...]

    @property
    def json(self) -> dict[str, Any]:
        """As Google's JSON spells it."""
        made: dict[str, Any] = {"alignmentPeriod": self.period, "perSeriesAligner": self.aligner}
        if self.reducer is not None:
            made["crossSeriesReducer"] = self.reducer
        if self.fields:
            made["groupByFields"] = list(self.fields)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """What does not fit, at a key below the selection."""

    key: tuple[str | int, ...]
    what: str
    breaks: str
    fix: str


def monitored(catalogue: Catalogue, series: Series) -> str | None:
    """Return the type of resource that series are of, if there is no doubt."""
    if series.resource is not None:
        return series.resource
    metric = catalogue.find(series.metric)
    return metric.resources[0] if metric is not None and len(metric.resources) == 1 else None


def aligned(selection: Selection, metric: Metric) -> Align:
    """Return how points are aligned: as the file says, else as fits the metric."""
    return selection.align or Align.model_construct(every=MINUTE, by=DEFAULT_ALIGNERS[metric.kind])


def text(catalogue: Catalogue, series: Series) -> str:
    """Return the filter."""
    metric = catalogue.find(series.metric)
    assert metric is not None
    parts = [f"metric.type={_quoted(metric.type)}"]
    if resource := monitored(catalogue, series):
        parts.append(f"resource.type={_quoted(resource)}")
    for label in sorted(series.where):
        parts += _tests(_label(metric, label, "labels"), series.where[label], catalogue)
    return " AND ".join(parts)


def aggregation(catalogue: Catalogue, selection: Selection) -> Aggregation:
    """Return how series are put together."""
    metric = catalogue.find(selection.metric)
    assert metric is not None
    align, across = aligned(selection, metric), selection.across
    return Aggregation(
        period=align.every.google,
        aligner=_spelt("ALIGN", align.by),
        reducer=_spelt("REDUCE", across.by) if across is not None else None,
        fields=tuple(_label(metric, label, "label") for label in across.keep) if across is not None else (),
    )


def burn_rate(slo: str, over: Duration) -> str:
    """Return the filter of an objective's burn rate: 1 uses its budget up exactly by the end of the window."""
    return f'select_slo_burn_rate("{slo}", "{over.google}")'


def misfits(catalogue: Catalogue, series: Series, *, compared: bool = True) -> Iterator[Misfit]:
    """Yield what is wrong with series, and with how they are put together; compared ones have to be numbers."""
    metric = catalogue.find(series.metric)
    if metric is None:
        yield Misfit(
            key=("metric",),
            what=f"there is no metric {series.metric!r}",
            breaks="Monitoring refuses it: 404, cannot find the metric",
            fix=f"{choose(series.metric, catalogue.names, noun='metric')} "
            "A new one of ours is a file of dashboards/metrics/; one of Google's is a line of spec/google_metrics.json",
        )
        return
    resources = metric.resources or tuple(catalogue.resources)
    if series.resource is not None and series.resource not in resources:
        yield Misfit(
            key=("resource",),
            what=f"{series.metric} is not of {series.resource!r}",
            breaks=_NOTHING_FOUND,
            fix=choose(series.resource, resources, noun="resource"),
        )
        return
    if series.resource is None and len(resources) != 1:
        yield Misfit(
            key=("metric",),
            what=f"{series.metric} is of several resources: {', '.join(resources)}",
            breaks="Monitoring refuses it: a filter names one type of resource",
            fix=f"write resource: and one of them, for example resource: {resources[0]}",
        )
        return
    yield from _label_misfits(catalogue, series, metric)
    yield from _group_misfits(catalogue, series)
    if isinstance(series, Selection):
        yield from _aggregation_misfits(series, metric, compared=compared)


def _label_misfits(catalogue: Catalogue, series: Series, metric: Metric) -> Iterator[Misfit]:
    known = [*metric.labels, *catalogue.resources.get(monitored(catalogue, series) or "", ())]
    named: list[tuple[tuple[str | int, ...], str]] = [(("where", label), label) for label in series.where]
    if isinstance(series, Selection) and series.across is not None:
        named += [(("across", "keep", index), label) for index, label in enumerate(series.across.keep)]
    for key, label in named:
        if label not in known:
            yield Misfit(
                key=key,
                what=f"{series.metric} has no label {label!r}",
                breaks=_NOTHING_FOUND,
                fix=choose(label, known, noun="label"),
            )


def _group_misfits(catalogue: Catalogue, series: Series) -> Iterator[Misfit]:
    for label, match in series.where.items():
        values = match.among or match.unlike or ()
        for value in values:
            if value.startswith(GROUP) and value not in catalogue.groups:
                yield Misfit(
                    key=("where", label),
                    what=f"{value} stands for nothing",
                    breaks=_NOTHING_FOUND,
                    fix=choose(value, catalogue.groups, noun="group"),
                )
                return
        if match.among is not None and not members(match.among, catalogue.groups):
            yield Misfit(
                key=("where", label),
                what=f"nothing is {' or '.join(values)}",
                breaks=_NOTHING_FOUND,
                fix="delete the condition: there is nothing that it could watch",
            )


def _aggregation_misfits(selection: Selection, metric: Metric, *, compared: bool) -> Iterator[Misfit]:
    align = aligned(selection, metric)
    kinds, types, _, value = ALIGNERS[align.by]
    if metric.kind not in kinds or metric.value not in types:
        fitting = [name for name, law in ALIGNERS.items() if metric.kind in law[0] and metric.value in law[1]]
        yield Misfit(
            key=("align", "by"),
            what=f"{align.by} cannot be applied to {selection.metric}, a {metric.kind.lower()} of {metric.value}",
            breaks="Monitoring refuses it",
            fix=f"use one of: {', '.join(fitting)}",
        )
        return
    value = value or metric.value
    if selection.across is not None:
        taken, given = REDUCERS[selection.across.by]
        if value not in taken:
            yield Misfit(
                key=("across", "by"),
                what=f"{selection.across.by} cannot be applied to values of {value}",
                breaks="Monitoring refuses it",
                fix=f"use one of: {', '.join(name for name, law in REDUCERS.items() if value in law[0])}",
            )
            return
        value = given or value
    if compared and value not in ("INT64", "DOUBLE"):
        yield Misfit(
            key=("align", "by") if selection.align is not None else ("metric",),
            what=f"{selection.metric} is no number but a {value.lower()}, and stays one if aligned by {align.by}",
            breaks="Monitoring refuses it: only numbers can be compared",
            fix="write align: {every: 5m, by: p95}, or another percentile, or across: {by: mean}",
        )


def _label(metric: Metric, label: str, group: str) -> str:
    return f"{'metric' if label in metric.labels else 'resource'}.{group}.{label}"


def _tests(label: str, match: Match, catalogue: Catalogue) -> list[str]:
    if match.among is not None:
        among = members(match.among, catalogue.groups)
        if len(among) == 1:
            return [f"{label}={_quoted(among[0])}"]
        return [f"{label}=one_of({', '.join(_quoted(value) for value in among)})"]
    if match.unlike is not None:
        return [f"{label}!={_quoted(value)}" for value in members(match.unlike, catalogue.groups)]
    if match.starts is not None:
        return [f"{label}=starts_with({_quoted(match.starts)})"]
    return [f"{label}=monitoring.regex.full_match({_quoted(match.matches or '')})"]


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _spelt(prefix: str, name: str) -> str:
    return f"{prefix}_{_PERCENTILES.get(name, name.upper())}"
