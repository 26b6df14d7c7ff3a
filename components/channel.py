"""One notification channel that needs no secret: an address or a URL. What needs one is made by hand and named by id.

Owns the channel alone; which severities it is told of is the specs' (dashboards/channels/), where it leads the stack's.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site
from spec.watching import Address


@dataclass(frozen=True, kw_only=True)
class ChannelConfig:
    """Who is told, and how."""

    site: Site
    #: As people see it in a list of channels.
    title: str
    address: Address


class Channel(gcp.monitoring.NotificationChannel):
    """A notification channel; policies and budgets know it by its ``name``, which Monitoring chooses."""

    def __init__(self, name: str, config: ChannelConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            name,
            type=config.address.kind,
            project=config.site.project,
            display_name=config.title,
            labels=config.address.labels,
            user_labels=config.site.labels,
            opts=opts,
        )
