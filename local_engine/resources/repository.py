"""``gcp:artifactregistry/repository:Repository``: where images live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..resource_type import Inputs, templated
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, required, text, texts

_CONDITION = {
    "newerThan": text(),
    "olderThan": text(),
    "packageNamePrefixes": texts(),
    "tagPrefixes": texts(),
    "tagState": text(),
    "versionNamePrefixes": texts(),
}
_POLICY = {
    "id": text(required=True),
    "action": text(),
    "condition": block(_CONDITION),
    "mostRecentVersions": block({"keepCount": integer(), "packageNamePrefixes": texts()}),
}


class Repository(RestType):
    """An Artifact Registry repository."""

    token = "gcp:artifactregistry/repository:Repository"
    endpoint = "artifactRegistry"
    collection = "projects/{project}/locations/{location}/repositories"
    name_input = "repositoryId"
    name_query = "repository_id"
    operations, patch_operates = True, False
    computed: ClassVar[Mapping[str, str]] = {"createTime": "createTime"}
    inputs: ClassVar[Shape] = {
        "repositoryId": required(name_part()),
        "location": name_part(),
        "project": name_part(),
        "format": text(required=True, replaces=True),
        "mode": text(replaces=True),
        "description": text(),
        "labels": labels(),
        "dockerConfig": block({"immutableTags": flag()}),
        "cleanupPolicies": blocks(_POLICY),
        "cleanupPolicyDryRun": flag(),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """Policies are a map by their ids."""
        sent = super().body(cloud, inputs)
        policies = sent.pop("cleanupPolicies", [])
        return sent | ({"cleanupPolicies": {one.pop("id"): one for one in policies}} if policies else {})

    def predicted(self, inputs: Inputs) -> dict[str, Any]:
        """The provider names it by its short name."""
        uri = templated("{location}-docker.pkg.dev/{project}/{repositoryId}", inputs)
        return {"name": inputs["repositoryId"]} | ({"registryUri": uri} if uri else {})

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """Predicted ones, and the time."""
        return super().outputs(inputs, live)
