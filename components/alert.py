"""One alert policy: its conditions in Google's words, whom it tells, and what stands in the message.

Owns the translation of a spec whose metrics and labels were checked at load. Leaves to ``conditions`` what one
condition looks like, and to ``watching`` which channels take its severity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import monitoring

from components.conditions import condition
from components.site import Site
from spec import Alert as AlertSpec
from spec import System
from spec.catalogue import Catalogue
from spec.first import filled

#: What each way to combine conditions is called.
COMBINERS = {"any": "OR", "all": "AND", "all_on_one_resource": "AND_WITH_MATCHING_RESOURCE"}

#: Severities as Google has them; information has none.
SEVERITIES = {"critical": "CRITICAL", "error": "ERROR", "warning": "WARNING"}


@dataclass(frozen=True, kw_only=True)
class AlertConfig:
    """The policy, and what it is made of."""

    site: Site
    spec: AlertSpec
    system: System
    catalogue: Catalogue
    #: The heading of the runbook's section.
    section: str
    #: The runbook's URL, if this stack has one.
    runbook: str | None
    #: Full names of the channels that are told.
    channels: Sequence[pulumi.Input[str]]
    #: What must stand before: metrics and objectives.
    after: Sequence[pulumi.Resource]


class Alert(gcp.monitoring.AlertPolicy):
    """An alert policy."""

    def __init__(self, name: str, config: AlertConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        spec, site = config.spec, config.site
        super().__init__(
            name,
            display_name=spec.name,
            project=site.project,
            combiner=COMBINERS[spec.combine],
            severity=SEVERITIES.get(spec.severity),
            conditions=[condition(one, config.system, config.catalogue, site.project) for one in spec.conditions],
            alert_strategy=_strategy(config),
            documentation=_documentation(config),
            notification_channels=list(config.channels),
            user_labels={**site.labels, "severity": spec.severity, "runbook": spec.runbook},
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(config.after))),
        )


def _strategy(config: AlertConfig) -> monitoring.AlertPolicyAlertStrategyArgs | None:
    spec = config.spec
    if spec.at_most_every is None and spec.auto_close is None and spec.remind_every is None:
        return None
    limit = spec.at_most_every
    reminded = monitoring.AlertPolicyAlertStrategyNotificationChannelStrategyArgs(
        notification_channel_names=list(config.channels),
        renotify_interval=spec.remind_every.google if spec.remind_every is not None else None,
    )
    return monitoring.AlertPolicyAlertStrategyArgs(
        auto_close=spec.auto_close.google if spec.auto_close is not None else None,
        notification_rate_limit=(
            monitoring.AlertPolicyAlertStrategyNotificationRateLimitArgs(period=limit.google)
            if limit is not None
            else None
        ),
        notification_channel_strategies=[reminded] if spec.remind_every is not None else None,
    )


def _documentation(config: AlertConfig) -> monitoring.AlertPolicyDocumentationArgs:
    """What whoever is woken reads: what is wrong, the first command, the section of the runbook."""
    spec = config.spec
    title, page = f"Runbook: {config.section}", f"docs/runbook.md#{spec.runbook}"
    first = filled(spec.first, stack=config.site.env, project=config.site.project, region=config.site.region)
    url = f"{config.runbook}#{spec.runbook}" if config.runbook is not None else None
    said = [
        f"**{spec.what}.**",
        spec.means.strip() if spec.means is not None else "",
        f"First: `{first}`",
        f"Runbook: [{config.section}]({url or page})",
        f"From {spec.source}; dashboards/alerts/{spec.name}.yaml",
    ]
    return monitoring.AlertPolicyDocumentationArgs(
        subject=f"[{spec.severity}] {spec.what}",
        content="\n\n".join(part for part in said if part),
        mime_type="text/markdown",
        links=[monitoring.AlertPolicyDocumentationLinkArgs(display_name=title, url=url)] if url is not None else None,
    )
