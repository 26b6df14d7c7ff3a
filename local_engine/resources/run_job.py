"""``gcp:cloudrunv2/job:Job``: a Cloud Run job: a container that runs to its end when somebody says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..cloud import Cloud, JsonObject
from ..resource_type import Inputs
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, required, text, texts
from .run_service import ENV, GIVEN, MOUNTS, VOLUMES, VPC

_SECRET_REF = block({"secret": text(required=True), "version": text(required=True)})
_CONTAINER = {
    "name": text(),
    "image": text(required=True),
    "args": texts(),
    "commands": texts(api="command"),
    "envs": blocks(dict(ENV) | {"valueSource": block({"secretKeyRef": _SECRET_REF})}, api="env"),
    "resources": block({"limits": labels()}),
    "volumeMounts": blocks(MOUNTS),
}
_TASK = {
    "containers": blocks(_CONTAINER),
    "executionEnvironment": text(),
    "maxRetries": integer(keep=True),
    "serviceAccount": text(),
    "timeout": text(),
    "volumes": blocks(VOLUMES),
    "vpcAccess": block(VPC),
}
_TEMPLATE = {
    "annotations": labels(),
    "labels": labels(),
    "parallelism": integer(),
    "taskCount": integer(),
    "template": block(_TASK, required=True),
}


class RunJob(RestType):
    """A Cloud Run job."""

    token = "gcp:cloudrunv2/job:Job"
    endpoint = "cloudRunV2"
    collection = "projects/{project}/locations/{location}/jobs"
    name_query = "jobId"
    operations = True
    masked = False
    deletion_protection = True
    given = GIVEN | {"executionCount", "latestCreatedExecution"}
    computed: ClassVar[Mapping[str, str]] = {"uid": "uid", "generation": "generation"}
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "location": required(name_part()),
        "project": name_part(),
        "annotations": labels(),
        "client": text(),
        "clientVersion": text(),
        "deletionProtection": flag(virtual=True),
        "labels": labels(),
        "launchStage": text(),
        "runExecutionToken": text(),
        "template": block(_TEMPLATE, required=True),
    }

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """The whole job, with the launch stage that the cloud filled in."""
        return super().update(cloud, identity, old, {"launchStage": "GA"} | dict(inputs), changed)
