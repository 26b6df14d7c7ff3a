"""The calls that Cloud Scheduler makes to one service, by an account of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import cloudscheduler

from components.service_account import ServiceAccount
from components.site import Site
from spec import ScheduledCall

#: How long one call may take; the work behind it is idempotent and the next call comes anyway.
ATTEMPT_DEADLINE = "60s"


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """What is called, as whom."""

    site: Site
    calls: Sequence[ScheduledCall]
    #: The service's base URL, which is the audience too.
    url: str
    account: ServiceAccount
    #: What must stand before the first call.
    receiver: pulumi.Resource


class Schedule(pulumi.ComponentResource):
    """The Cloud Scheduler jobs of one service."""

    def __init__(self, name: str, config: ScheduleConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Schedule", name, None, opts)
        for call in config.calls:
            gcp.cloudscheduler.Job(
                call.job,
                name=call.job,
                region=config.site.region,
                project=config.site.project,
                schedule=call.cron,
                time_zone="Etc/UTC",
                attempt_deadline=ATTEMPT_DEADLINE,
                http_target=cloudscheduler.JobHttpTargetArgs(
                    uri=config.url + call.path,
                    http_method="POST",
                    oidc_token=cloudscheduler.JobHttpTargetOidcTokenArgs(
                        service_account_email=config.account.email, audience=config.url
                    ),
                ),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[config.receiver]),
            )
        self.register_outputs({})
