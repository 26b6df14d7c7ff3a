"""What watches a system: metrics, objectives, channels, alerts, dashboards, in the order in which they need each other.

Owns the order alone. A metric that Logging has just made cannot be asked for at once: for up to ten minutes Google
refuses a policy on it (404, "If a metric was created recently"). So metrics are made before everything that takes long,
and policies come last; a second apply goes on where the first was refused (docs/adr/watching.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from components.alert import Alert, AlertConfig
from components.channel import Channel, ChannelConfig
from components.dashboard import Dashboard, DashboardConfig
from components.log_metric import LogMetric, LogMetricConfig
from components.site import Site
from components.slo import Slos, SlosConfig
from spec import Alert as AlertSpec
from spec import StackConfig, System
from spec.boards import render
from spec.catalogue import Catalogue
from spec.runbook import sections


def metrics(system: System, site: Site) -> dict[str, pulumi.Resource]:
    """Declare the log-based metrics, and return for each what exists once it does."""
    made = {name: LogMetric(name, LogMetricConfig(site=site, spec=spec)) for name, spec in system.metrics.items()}
    return {name: one.metric for name, one in made.items()}


def watching(
    system: System,
    stack: StackConfig,
    site: Site,
    metrics: Mapping[str, pulumi.Resource],
    after: Sequence[pulumi.Resource],
) -> None:
    """Declare what looks at the metrics and whom it tells; ``after`` is what takes long."""
    catalogue = Catalogue(system.metrics)
    objectives: dict[str, pulumi.Resource] = {}
    for service in sorted({slo.service for slo in system.slos.values()}):
        mine = {name: slo for name, slo in system.slos.items() if slo.service == service}
        objectives |= Slos(service, SlosConfig(site=site, specs=mine, catalogue=catalogue, metrics=metrics)).objectives
    channels = {name: _channel(name, system, stack, site) for name in sorted(stack.watching.channels)}
    headings = sections(system.root)
    for name, spec in system.alerts.items():
        needs = [*(metrics[one] for one in _metrics(spec) if one in metrics)]
        needs += [objectives[condition.slo] for condition in spec.conditions if condition.slo is not None]
        config = AlertConfig(
            site=site,
            spec=spec,
            system=system,
            catalogue=catalogue,
            section=headings[spec.runbook],
            runbook=stack.watching.runbook,
            channels=[path for channel, path in channels.items() if spec.severity in system.channels[channel].takes],
            after=[*needs, *(after if needs else ())],
        )
        Alert(name, config)
    for name, board in system.boards.items():
        Dashboard(name, DashboardConfig(site=site, drawn=render(board, system, site.project)))


def _channel(name: str, system: System, stack: StackConfig, site: Site) -> pulumi.Input[str]:
    address = stack.watching.channels[name]
    if address.id is not None:
        return address.id
    return Channel(name, ChannelConfig(site=site, title=system.channels[name].what, address=address)).path


def _metrics(spec: AlertSpec) -> list[str]:
    named = {condition.metric for condition in spec.conditions}
    named |= {condition.of.metric for condition in spec.conditions if condition.of is not None}
    return sorted(name for name in named if name is not None)
