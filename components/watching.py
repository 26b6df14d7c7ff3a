"""What watches a system: metrics, objectives, channels, alerts, dashboards, in the order in which they need each other.

Owns the order alone; each of its children is one resource of one file, so only the whole is a component. A metric that
Logging has just made cannot be asked for at once: for up to ten minutes Google refuses a policy on it (404, "If a
metric was created recently"). So metrics wait for nothing, and policies on them for what takes long; where a policy is
refused all the same, a second apply goes on there (docs/adr/watching.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class WatchingConfig:
    """What is watched, and where the stack says who is told."""

    site: Site
    system: System
    stack: StackConfig
    #: What takes long to deploy.
    after: Sequence[pulumi.Resource]


class Watching(pulumi.ComponentResource):
    """All that looks at one system."""

    def __init__(self, name: str, config: WatchingConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Watching", name, None, opts)
        system, site = config.system, config.site
        self._child = pulumi.ResourceOptions(parent=self)
        self._catalogue = Catalogue(system.metrics, system.groups)
        metrics = {
            metric: LogMetric(metric, LogMetricConfig(site=site, spec=spec), self._child)
            for metric, spec in system.metrics.items()
        }
        objectives = dict(self._objectives(config, metrics))
        channels = {channel: self._channel(channel, config) for channel in sorted(config.stack.watching.channels)}
        headings = sections(system.root)
        for alert, spec in system.alerts.items():
            needs: list[pulumi.Resource] = [metrics[one] for one in _metrics(spec) if one in metrics]
            needs += [objectives[one.slo] for one in spec.conditions if one.slo is not None]
            told = [path for channel, path in channels.items() if spec.severity in system.channels[channel].takes]
            policy = AlertConfig(
                site=site,
                spec=spec,
                system=system,
                catalogue=self._catalogue,
                section=headings[spec.runbook],
                runbook=config.stack.watching.runbook,
                channels=told,
                after=[*needs, *(config.after if needs else ())],
            )
            Alert(alert, policy, self._child)
        for board, template in system.boards.items():
            drawn = render(template, system, site.project)
            Dashboard(board, DashboardConfig(site=site, drawn=drawn), self._child)
        self.register_outputs({})

    def _objectives(
        self, config: WatchingConfig, metrics: Mapping[str, pulumi.Resource]
    ) -> Iterator[tuple[str, pulumi.Resource]]:
        specs = config.system.slos
        for service in sorted({slo.service for slo in specs.values()}):
            mine = {name: slo for name, slo in specs.items() if slo.service == service}
            slos = SlosConfig(site=config.site, specs=mine, catalogue=self._catalogue, metrics=metrics)
            yield from Slos(service, slos, self._child).objectives.items()

    def _channel(self, name: str, config: WatchingConfig) -> pulumi.Input[str]:
        """Return the full name of a channel: of one that was made by hand, or of one that is made here."""
        address = config.stack.watching.channels[name]
        if address.id is not None:
            return address.id
        made = ChannelConfig(site=config.site, title=config.system.channels[name].what, address=address)
        return Channel(name, made, self._child).name


def _metrics(spec: AlertSpec) -> list[str]:
    named = {condition.metric for condition in spec.conditions}
    named |= {condition.of.metric for condition in spec.conditions if condition.of is not None}
    return sorted(name for name in named if name is not None)
