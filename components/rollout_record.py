"""The rollout record in its bucket, and who reads it: the services that choose, while they run.

Owns the object, whose bytes follow from stack config alone (``spec.record``), so that a step of a rollout makes no new
revision. While a rollout runs it holds the object, and Cloud Storage refuses any other write (403): an apply that would
undo a step fails here, before the services, which wait for it. The hold is the rollout's, not the program's. A reader
gets this one object: beside it stand the rollout's state, who walks it, and how far keys are rotated.

Sources: https://cloud.google.com/storage/docs/object-holds, the provider's resource_storage_bucket_object.go and
https://cloud.google.com/iam/docs/conditions-resource-attributes (an object is projects/_/buckets/BUCKET/objects/NAME).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site
from spec import names
from spec.permissions import RECORD_READER, record_alone

#: As a rollout writes it too, so that nothing but the content ever differs.
CONTENT_TYPE, CACHE_CONTROL = "application/json", "no-store"


@dataclass(frozen=True, kw_only=True)
class RolloutRecordConfig:
    """What is written where, for whom."""

    site: Site
    bucket: pulumi.Input[str]
    content: str
    #: Service -> its account's member.
    readers: Mapping[str, pulumi.Output[str]]


class RolloutRecord(pulumi.ComponentResource):
    """The object, and its readers."""

    #: What a service of the same release waits for.
    ready: list[pulumi.Resource]

    def __init__(self, name: str, config: RolloutRecordConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:RolloutRecord", name, None, opts)
        record = gcp.storage.BucketObject(
            name,
            bucket=config.bucket,
            name=names.RECORD_OBJECT,
            content=config.content,
            content_type=CONTENT_TYPE,
            cache_control=CACHE_CONTROL,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["temporaryHold"]),
        )
        for service, member in config.readers.items():
            gcp.storage.BucketIAMMember(
                f"{service}-reads-record",
                bucket=config.bucket,
                role=RECORD_READER,
                member=member,
                condition=gcp.storage.BucketIAMMemberConditionArgs(
                    title="record-alone",
                    description="Reads the record, and nothing else of the bucket",
                    expression=record_alone(config.site.project),
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.ready = [record]
        self.register_outputs({})
