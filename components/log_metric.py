"""One log-based metric: what services log becomes a series that alerts, objectives and charts can ask for.

Owns the metric's descriptor in Monitoring. Kind and type of a metric cannot be changed, so a file that changes them
replaces it: the old one goes first, since the name is the same, and with it its history.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import logging

from components.site import Site
from spec import LogMetric as LogMetricSpec
from spec.log_metric import Buckets

#: What cannot be changed in a metric that exists.
FIXED = ["metricDescriptor.metricKind", "metricDescriptor.valueType"]


@dataclass(frozen=True, kw_only=True)
class LogMetricConfig:
    """Which metric, where."""

    site: Site
    spec: LogMetricSpec


class LogMetric(gcp.logging.Metric):
    """A log-based metric."""

    def __init__(self, name: str, config: LogMetricConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        spec = config.spec
        super().__init__(
            name,
            name=spec.name,
            project=config.site.project,
            description=spec.what,
            filter=spec.filter,
            value_extractor=spec.value.google if spec.value is not None else None,
            label_extractors={label: taken.google for label, taken in sorted(spec.labels.items())} or None,
            metric_descriptor=logging.MetricMetricDescriptorArgs(
                metric_kind="DELTA",
                value_type="DISTRIBUTION" if spec.kind == "distribution" else "INT64",
                unit=spec.unit,
                display_name=spec.what,
                labels=[
                    logging.MetricMetricDescriptorLabelArgs(key=label, value_type="STRING")
                    for label in sorted(spec.labels)
                ],
            ),
            bucket_options=_buckets(spec.buckets) if spec.buckets is not None else None,
            opts=pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(replace_on_changes=FIXED, delete_before_replace=True)
            ),
        )


def _buckets(buckets: Buckets) -> logging.MetricBucketOptionsArgs:
    if buckets.linear is not None:
        linear = buckets.linear
        return logging.MetricBucketOptionsArgs(
            linear_buckets=logging.MetricBucketOptionsLinearBucketsArgs(
                num_finite_buckets=linear.count, offset=linear.first, width=linear.width
            )
        )
    if buckets.exponential is not None:
        exponential = buckets.exponential
        return logging.MetricBucketOptionsArgs(
            exponential_buckets=logging.MetricBucketOptionsExponentialBucketsArgs(
                growth_factor=exponential.growth, num_finite_buckets=exponential.count, scale=exponential.first
            )
        )
    bounds = [float(bound) for bound in buckets.bounds or ()]
    return logging.MetricBucketOptionsArgs(
        explicit_buckets=logging.MetricBucketOptionsExplicitBucketsArgs(bounds=bounds)
    )
