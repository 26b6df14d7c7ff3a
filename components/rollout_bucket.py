"""The bucket of the rollout record and of a rollout's own state. It stands below the layer that a release changes.

Every version of what is written is kept for a month, so that it can be said afterwards what was in force when. The
record itself is the app's (``rollout_record``), and so is who reads it; what else is in the bucket a rollout writes.

Sources: https://cloud.google.com/storage/docs/object-versioning, https://cloud.google.com/storage/docs/soft-delete and
https://cloud.google.com/storage/docs/public-access-prevention.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import storage

from components.site import Site
from spec import names
from spec.unprotect import ROLLOUT

#: Days for which a version is kept that another one has taken the place of.
KEPT_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class RolloutBucketConfig:
    """Where the bucket is."""

    site: Site


class RolloutBucket(pulumi.ComponentResource):
    """A bucket that nobody outside of the project sees."""

    #: Its name, which the app reads.
    bucket: pulumi.Output[str]

    def __init__(self, name: str, config: RolloutBucketConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:RolloutBucket", name, None, opts)
        site = config.site
        bucket = gcp.storage.Bucket(
            name,
            name=names.rollout_bucket(site.project),
            project=site.project,
            location=site.region.upper(),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=storage.BucketVersioningArgs(enabled=True),
            # Versions keep what soft deletion would keep a second time.
            soft_delete_policy=storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=0),
            lifecycle_rules=[
                storage.BucketLifecycleRuleArgs(
                    action=storage.BucketLifecycleRuleActionArgs(type="Delete"),
                    condition=storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=KEPT_DAYS),
                )
            ],
            force_destroy=not site.guards(ROLLOUT),
            labels=site.labels,
            opts=site.guarded(self, ROLLOUT),
        )
        self.bucket = bucket.name
        self.register_outputs({"bucket": self.bucket})
