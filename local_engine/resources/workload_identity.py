"""``gcp:iam``: workload identity pools and their providers. Deleted ones read as DELETED, which is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..cloud import Cloud, JsonObject
from ..resource_type import Inputs
from ..rest_type import RestType
from ..shapes import Shape, block, flag, labels, name_part, required, text, texts

_POOLS = "projects/{project}/locations/global/workloadIdentityPools"


class FederationType(RestType):
    """What pools and providers have in common."""

    endpoint = "iamBeta"
    operations = True
    computed: ClassVar[Mapping[str, str]] = {"name": "name", "state": "state"}

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """A deleted one is gone."""
        live = super().read(cloud, identity, inputs)
        return None if live is None or live.get("state") == "DELETED" else live


class Pool(FederationType):
    """A pool."""

    token = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool"
    collection = _POOLS
    name_input = name_query = "workloadIdentityPoolId"
    inputs: ClassVar[Shape] = {
        "workloadIdentityPoolId": required(name_part()),
        "project": name_part(),
        "description": text(),
        "disabled": flag(),
        "displayName": text(),
        "mode": text(),
        "deletionPolicy": text(virtual=True),
    }


class Provider(FederationType):
    """A provider of a pool."""

    token = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
    collection = f"{_POOLS}/{{workloadIdentityPoolId}}/providers"
    name_input = name_query = "workloadIdentityPoolProviderId"
    masks: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "oidc": ("oidc.allowedAudiences", "oidc.issuerUri", "oidc.jwksJson"),
    }
    inputs: ClassVar[Shape] = {
        "workloadIdentityPoolProviderId": required(name_part()),
        "workloadIdentityPoolId": required(name_part()),
        "project": name_part(),
        "attributeCondition": text(),
        "attributeMapping": labels(),
        "aws": block({"accountId": text(required=True)}),
        "description": text(),
        "disabled": flag(),
        "displayName": text(),
        "oidc": block({"issuerUri": text(required=True), "allowedAudiences": texts(), "jwksJson": text()}),
        "deletionPolicy": text(virtual=True),
    }
