"""``gcp:cloudrunv2/service:Service``: a Cloud Run service with its template and its traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..resource_type import Inputs
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, required, text, texts

#: Fields of services and jobs that only Cloud Run sets.
GIVEN = frozenset(
    {
        *("generation", "observedGeneration", "creator", "lastModifier", "conditions", "terminalCondition"),
        *("deleteTime", "expireTime"),
    }
)
_SECRET_REF = block({"secret": text(required=True), "version": text()})
ENV = {
    "name": text(required=True),
    "value": text(),
    "valueSource": block({"secretKeyRef": _SECRET_REF}),
}
_HEADERS = blocks({"name": text(required=True), "value": text()})
_HTTP_GET = block({"httpHeaders": _HEADERS, "path": text(), "port": integer()}, keep=True)
_GRPC = block({"port": integer(), "service": text()}, keep=True)
_PROBE = {
    "failureThreshold": integer(),
    "grpc": _GRPC,
    "httpGet": _HTTP_GET,
    "initialDelaySeconds": integer(),
    "periodSeconds": integer(),
    "tcpSocket": block({"port": integer()}, keep=True),
    "timeoutSeconds": integer(),
}
_RESOURCES = {"cpuIdle": flag(keep=True), "limits": labels(), "startupCpuBoost": flag()}
MOUNTS = {"name": text(required=True), "mountPath": text(required=True)}
VOLUMES = {"name": text(required=True), "cloudSqlInstance": block({"instances": texts()})}
_SECRET_FILE = {"mode": integer(), "path": text(required=True), "version": text()}
_VOLUMES = {
    **VOLUMES,
    "emptyDir": block({"medium": text(), "sizeLimit": text()}),
    "gcs": block({"bucket": text(required=True), "readOnly": flag(), "mountOptions": texts()}),
    "secret": block({"secret": text(required=True), "defaultMode": integer(), "items": blocks(_SECRET_FILE)}),
}
_CONTAINER = {
    "name": text(),
    "image": text(required=True),
    "args": texts(),
    "commands": texts(api="command"),
    "dependsOns": texts(api="dependsOn"),
    "envs": blocks(ENV, api="env"),
    "ports": block({"containerPort": integer(), "name": text()}, listed=True),
    "resources": block(_RESOURCES),
    "startupProbe": block(_PROBE),
    "livenessProbe": block(_PROBE | {"tcpSocket": block({"port": integer(required=True)}, keep=True)}),
    "volumeMounts": blocks(MOUNTS | {"subPath": text()}),
    "workingDir": text(),
}
VPC = {"egress": text(), "networkInterfaces": blocks({"network": text(), "subnetwork": text(), "tags": texts()})}
_TEMPLATE = {
    "annotations": labels(),
    "containers": blocks(_CONTAINER),
    "encryptionKey": text(),
    "executionEnvironment": text(),
    "healthCheckDisabled": flag(),
    "labels": labels(),
    "maxInstanceRequestConcurrency": integer(),
    "revision": text(),
    "scaling": block({"maxInstanceCount": integer(), "minInstanceCount": integer()}),
    "serviceAccount": text(),
    "sessionAffinity": flag(),
    "timeout": text(),
    "volumes": blocks(_VOLUMES),
    "vpcAccess": block(VPC | {"connector": text()}),
}
_SCALING = {
    "manualInstanceCount": integer(),
    "maxInstanceCount": integer(),
    "minInstanceCount": integer(),
    "scalingMode": text(),
}
_TRAFFIC = {"percent": integer(), "revision": text(), "tag": text(), "type": text()}


class RunService(RestType):
    """A Cloud Run service."""

    token = "gcp:cloudrunv2/service:Service"
    endpoint = "cloudRunV2"
    collection = "projects/{project}/locations/{location}/services"
    name_query = "serviceId"
    operations = True
    masked = False
    deletion_protection = True
    given = GIVEN | {
        *("uri", "urls", "latestReadyRevision", "latestCreatedRevision", "trafficStatuses", "threatDetectionEnabled")
    }
    computed: ClassVar[Mapping[str, str]] = {
        "uri": "uri",
        "urls": "urls",
        "uid": "uid",
        "generation": "generation",
        "latestReadyRevision": "latestReadyRevision",
        "latestCreatedRevision": "latestCreatedRevision",
    }
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "location": required(name_part()),
        "project": name_part(),
        "annotations": labels(),
        "client": text(),
        "clientVersion": text(),
        "customAudiences": texts(),
        "defaultUriDisabled": flag(),
        "deletionProtection": flag(virtual=True),
        "description": text(),
        "ingress": text(),
        "invokerIamDisabled": flag(),
        "labels": labels(),
        "launchStage": text(),
        "scaling": block(_SCALING),
        "template": block(_TEMPLATE, required=True),
        "traffics": blocks(_TRAFFIC, api="traffic"),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """The provider sends the alternatives of a probe as null."""
        sent = super().body(cloud, inputs)
        for container in sent.get("template", {}).get("containers", ()):
            for probe in ("startupProbe", "livenessProbe"):
                if probe in container:
                    container[probe] = {"grpc": None, "tcpSocket": None} | container[probe]
        return sent

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """The whole service, with the launch stage that the cloud filled in."""
        return super().update(cloud, identity, old, {"launchStage": "GA"} | dict(inputs), changed)

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """A service that is being deleted is gone."""
        live = super().read(cloud, identity, inputs)
        return None if live is None or live.get("deleteTime") else live

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """URLs and revisions are the cloud's."""
        return {name: value for name, value in super().outputs(inputs, live).items() if value is not None}
