"""Pub/Sub's own account in the project, which exists only once somebody asks for it.

The app's topics grant it dead letters and pushes; a binding of an account that does not exist is refused.

Source: https://cloud.google.com/iam/docs/create-service-agents.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site

#: Whose account our bindings name.
SERVICE = "pubsub.googleapis.com"


@dataclass(frozen=True, kw_only=True)
class ServiceAgentConfig:
    """In which project."""

    site: Site


class ServiceAgent(pulumi.ComponentResource):
    """Google makes it once and never takes it away."""

    def __init__(self, name: str, config: ServiceAgentConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:ServiceAgent", name, None, opts)
        gcp.projects.ServiceIdentity(
            name, service=SERVICE, project=config.site.project, opts=pulumi.ResourceOptions(parent=self)
        )
        self.register_outputs({})
