"""One condition of an alert policy in Google's words: a threshold, an absence, a log line, a burn rate, a forecast.

Pure: specs in, arguments out. Google has MQL and PromQL too; what a filter cannot say, no file of ours says.

Source: google/monitoring/v3/alert.proto; https://cloud.google.com/stackdriver/docs/solutions/slo-monitoring.
"""

from __future__ import annotations

from pulumi_gcp import monitoring

from spec import Condition, System, filters
from spec.catalogue import Catalogue
from spec.condition import Trigger
from spec.selection import Selection

#: What missing data does to an incident; nothing is Google's default.
MISSING = {"fires": "EVALUATION_MISSING_DATA_ACTIVE", "closes": "EVALUATION_MISSING_DATA_INACTIVE"}


def condition(
    spec: Condition, system: System, catalogue: Catalogue, project: str
) -> monitoring.AlertPolicyConditionArgs:
    """Return one condition."""
    title = spec.title
    if spec.log is not None:
        return monitoring.AlertPolicyConditionArgs(
            display_name=title,
            condition_matched_log=monitoring.AlertPolicyConditionConditionMatchedLogArgs(
                filter=spec.log.filter,
                label_extractors={label: taken.google for label, taken in sorted(spec.labels.items())} or None,
            ),
        )
    if spec.slo is not None:
        return monitoring.AlertPolicyConditionArgs(
            display_name=title, condition_threshold=_burn_rate(spec, system, project)
        )
    if spec.absent_for is not None:
        return monitoring.AlertPolicyConditionArgs(display_name=title, condition_absent=_absent(spec, catalogue))
    return monitoring.AlertPolicyConditionArgs(display_name=title, condition_threshold=_threshold(spec, catalogue))


def _threshold(spec: Condition, catalogue: Catalogue) -> monitoring.AlertPolicyConditionConditionThresholdArgs:
    below, trigger = spec.denominator, spec.trigger
    forecast = monitoring.AlertPolicyConditionConditionThresholdForecastOptionsArgs
    return monitoring.AlertPolicyConditionConditionThresholdArgs(
        filter=filters.text(catalogue, spec.selection),
        aggregations=[_aggregation(spec.selection, catalogue)],
        denominator_filter=filters.text(catalogue, below) if below is not None else None,
        denominator_aggregations=[_below(below, catalogue)] if below is not None else None,
        comparison=_comparison(spec),
        threshold_value=_number(spec),
        duration=spec.held.google,
        evaluation_missing_data=MISSING.get(spec.missing),
        forecast_options=forecast(forecast_horizon=spec.forecast.google) if spec.forecast is not None else None,
        trigger=_trigger(trigger) if trigger is not None else None,
    )


def _trigger(trigger: Trigger) -> monitoring.AlertPolicyConditionConditionThresholdTriggerArgs:
    percent = float(trigger.percent) if trigger.percent is not None else None
    return monitoring.AlertPolicyConditionConditionThresholdTriggerArgs(count=trigger.count, percent=percent)


def _absent(spec: Condition, catalogue: Catalogue) -> monitoring.AlertPolicyConditionConditionAbsentArgs:
    assert spec.absent_for is not None
    together, trigger = filters.aggregation(catalogue, spec.selection), spec.trigger
    percent = float(trigger.percent) if trigger is not None and trigger.percent is not None else None
    given = monitoring.AlertPolicyConditionConditionAbsentTriggerArgs
    return monitoring.AlertPolicyConditionConditionAbsentArgs(
        filter=filters.text(catalogue, spec.selection),
        aggregations=[
            monitoring.AlertPolicyConditionConditionAbsentAggregationArgs(
                alignment_period=together.period,
                per_series_aligner=together.aligner,
                cross_series_reducer=together.reducer,
                group_by_fields=list(together.fields) or None,
            )
        ],
        duration=spec.absent_for.google,
        trigger=given(count=trigger.count, percent=percent) if trigger is not None else None,
    )


def _burn_rate(spec: Condition, system: System, project: str) -> monitoring.AlertPolicyConditionConditionThresholdArgs:
    assert spec.slo is not None
    assert spec.over is not None
    return monitoring.AlertPolicyConditionConditionThresholdArgs(
        filter=filters.burn_rate(system.slos[spec.slo].path(project), spec.over),
        comparison=_comparison(spec),
        threshold_value=_number(spec),
        duration=spec.held.google,
    )


def _aggregation(
    selection: Selection, catalogue: Catalogue
) -> monitoring.AlertPolicyConditionConditionThresholdAggregationArgs:
    together = filters.aggregation(catalogue, selection)
    return monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
        alignment_period=together.period,
        per_series_aligner=together.aligner,
        cross_series_reducer=together.reducer,
        group_by_fields=list(together.fields) or None,
    )


def _below(
    selection: Selection, catalogue: Catalogue
) -> monitoring.AlertPolicyConditionConditionThresholdDenominatorAggregationArgs:
    together = filters.aggregation(catalogue, selection)
    return monitoring.AlertPolicyConditionConditionThresholdDenominatorAggregationArgs(
        alignment_period=together.period,
        per_series_aligner=together.aligner,
        cross_series_reducer=together.reducer,
        group_by_fields=list(together.fields) or None,
    )


def _comparison(spec: Condition) -> str:
    return "COMPARISON_GT" if spec.above is not None else "COMPARISON_LT"


def _number(spec: Condition) -> float:
    value = spec.above if spec.above is not None else spec.below
    assert value is not None
    return float(value)
