"""Where the services' image lives; revisions name it by digest, so tags are never read."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from components.site import Site
from spec import names


@dataclass(frozen=True, kw_only=True)
class RegistryConfig:
    """Where the repository is."""

    site: Site


class Registry(pulumi.ComponentResource):
    """The image repository."""

    #: Where images are pushed: ``region-docker.pkg.dev/project/repository``.
    uri: pulumi.Output[str]

    def __init__(self, name: str, config: RegistryConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Registry", name, None, opts)
        repository = gcp.artifactregistry.Repository(
            name,
            repository_id=names.IMAGE_REPOSITORY,
            location=config.site.region,
            project=config.site.project,
            format="DOCKER",
            mode="STANDARD_REPOSITORY",
            description="Images of the payment services",
            labels=config.site.labels,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.uri = repository.registry_uri
        self.register_outputs({"uri": self.uri})
