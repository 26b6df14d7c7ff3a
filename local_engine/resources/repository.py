"""``gcp:artifactregistry/repository:Repository``: where images live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..cloud import JsonObject
from ..resource_type import Inputs, templated
from ..rest_type import RestType
from ..shapes import Shape, block, flag, labels, name_part, required, text


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
        "cleanupPolicyDryRun": flag(),
    }

    def predicted(self, inputs: Inputs) -> dict[str, Any]:
        """The provider names it by its short name."""
        uri = templated("{location}-docker.pkg.dev/{project}/{repositoryId}", inputs)
        return {"name": inputs["repositoryId"]} | ({"registryUri": uri} if uri else {})

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """Predicted ones, and the time."""
        return super().outputs(inputs, live)
