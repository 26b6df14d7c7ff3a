"""One secret as an empty container. Its data is added outside the program, so that no state ever holds it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site
from spec import Secret as SecretSpec
from spec.unprotect import word


@dataclass(frozen=True, kw_only=True)
class SecretConfig:
    """Which secret, where."""

    site: Site
    spec: SecretSpec


class Secret(pulumi.ComponentResource):
    """A secret; who may read it, ``run_service`` says."""

    #: The secret's full name.
    path: pulumi.Output[str]

    def __init__(self, name: str, config: SecretConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Secret", name, None, opts)
        secret = gcp.secretmanager.Secret(
            name,
            secret_id=config.spec.name,
            project=config.site.project,
            labels=config.site.labels,
            replication=gcp.secretmanager.SecretReplicationArgs(auto=gcp.secretmanager.SecretReplicationAutoArgs()),
            opts=config.site.guarded(self, word("secrets", config.spec.name)),
        )
        self.path = secret.id
        self.register_outputs({"path": self.path})
