"""The objectives of one service in Monitoring's sense: a name under which its SLOs are kept.

Owns the custom service and its objectives. Alerts on their burn rates are policies (``alert``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import monitoring

from components.site import Site
from spec import Slo, filters
from spec.catalogue import Catalogue
from spec.selection import Series
from spec.slo import CALENDAR


@dataclass(frozen=True, kw_only=True)
class SlosConfig:
    """The objectives of one service, and the metrics that they are made of."""

    site: Site
    specs: Mapping[str, Slo]
    catalogue: Catalogue
    #: Own metric -> what exists once it does.
    metrics: Mapping[str, pulumi.Resource]


class Slos(pulumi.ComponentResource):
    """A custom service and its objectives."""

    #: Objective -> what exists once it does.
    objectives: Mapping[str, pulumi.Resource]

    def __init__(self, name: str, config: SlosConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Slos", name, None, opts)
        service = gcp.monitoring.CustomService(
            name,
            service_id=name,
            project=config.site.project,
            display_name=name,
            user_labels=config.site.labels,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.objectives = {slo: self._objective(slo, spec, service, config) for slo, spec in config.specs.items()}
        self.register_outputs({})

    def _objective(
        self, name: str, spec: Slo, service: gcp.monitoring.CustomService, config: SlosConfig
    ) -> gcp.monitoring.Slo:
        named = {series.metric for series in spec.series.values()}
        return gcp.monitoring.Slo(
            name,
            slo_id=name,
            service=service.service_id,
            project=config.site.project,
            display_name=spec.what,
            goal=spec.share,
            rolling_period_days=spec.days,
            calendar_period=CALENDAR[spec.calendar] if spec.calendar is not None else None,
            request_based_sli=_indicator(spec, config.catalogue),
            user_labels=config.site.labels,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[config.metrics[one] for one in sorted(named) if one in config.metrics]
            ),
        )


def _indicator(spec: Slo, catalogue: Catalogue) -> monitoring.SloRequestBasedSliArgs:
    if spec.quick is not None:
        return monitoring.SloRequestBasedSliArgs(
            distribution_cut=monitoring.SloRequestBasedSliDistributionCutArgs(
                distribution_filter=filters.text(catalogue, spec.quick),
                range=monitoring.SloRequestBasedSliDistributionCutRangeArgs(max=float(spec.quick.below)),
            )
        )

    def text(series: Series | None) -> str | None:
        return filters.text(catalogue, series) if series is not None else None

    return monitoring.SloRequestBasedSliArgs(
        good_total_ratio=monitoring.SloRequestBasedSliGoodTotalRatioArgs(
            good_service_filter=text(spec.good),
            bad_service_filter=text(spec.bad),
            total_service_filter=text(spec.total),
        )
    )
