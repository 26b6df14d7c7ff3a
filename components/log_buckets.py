"""How long log entries are kept: those about payments and access to data in a bucket of their own, the rest as it was.

A line about a payment stands in both buckets and is paid for in both; that is less than a year of everything. The
default bucket is Google's: its days are ours, it outlives the stack. The own one's name is blocked for a week after its
deletion. What is logged is the services' and ``audit_logs``'.

Sources: https://cloud.google.com/logging/docs/buckets and https://cloud.google.com/logging/docs/routing/overview.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site
from spec import names
from spec.logs import Logs

#: Lines of services that name a payment, the migrations' lines, and who read what. In Logging OR binds before AND.
FILTER = (
    '(resource.type="cloud_run_revision" AND jsonPayload.unique_id:*) OR resource.type="cloud_run_job"'
    ' OR log_id("cloudaudit.googleapis.com/data_access")'
)


@dataclass(frozen=True, kw_only=True)
class LogBucketsConfig:
    """How many days, where."""

    site: Site
    spec: Logs


class LogBuckets(pulumi.ComponentResource):
    """The two buckets and the way into the first."""

    def __init__(self, name: str, config: LogBucketsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:LogBuckets", name, None, opts)
        site = config.site
        gcp.logging.ProjectBucketConfig(
            "default",
            bucket_id="_Default",
            location="global",
            project=site.project,
            retention_days=config.spec.other_days,
            opts=pulumi.ResourceOptions(parent=self),
        )
        bucket = gcp.logging.ProjectBucketConfig(
            names.LOG_BUCKET,
            bucket_id=names.LOG_BUCKET,
            location=site.region,
            project=site.project,
            description="Lines about payments, migrations and access to data",
            retention_days=config.spec.payment_days,
            opts=site.guarded(self),
        )
        gcp.logging.ProjectSink(
            names.LOG_SINK,
            name=names.LOG_SINK,
            project=site.project,
            description="Lines about payments, migrations and access to data",
            destination=bucket.id.apply(lambda path: f"logging.googleapis.com/{path}"),
            filter=FILTER,
            unique_writer_identity=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
