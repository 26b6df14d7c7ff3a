"""One dashboard, drawn from its template."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site


@dataclass(frozen=True, kw_only=True)
class DashboardConfig:
    """What is drawn, as JSON of the Dashboards API."""

    site: Site
    drawn: str


class Dashboard(gcp.monitoring.Dashboard):
    """A dashboard."""

    def __init__(self, name: str, config: DashboardConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, project=config.site.project, dashboard_json=config.drawn, opts=opts)
