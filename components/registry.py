"""Where the services' image lives; revisions name it by digest, so tags are never read.

Tags cannot be moved and a tagged image is never deleted: whatever is released is pushed under a tag of its own
(`./sluice image push` does), so no clean-up takes away what a stack pins or could go back to. What has no tag, such as
the parts of a push that failed, goes after a month. The repository is guarded, since every image goes with it.

Sources: https://cloud.google.com/artifact-registry/docs/repositories/cleanup-policy and
https://cloud.google.com/artifact-registry/docs/docker/troubleshoot#immutable-tags.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import artifactregistry

from components.site import Site
from spec import names

#: Thirty days, in the form of the API.
UNTAGGED_FOR = f"{30 * 24 * 3600}s"
#: The newest versions stay whatever they are: a push by digest whose tag is still to come is among them.
KEPT = 10


@dataclass(frozen=True, kw_only=True)
class RegistryConfig:
    """Where the repository is."""

    site: Site


class Registry(pulumi.ComponentResource):
    """The image repository."""

    #: Where images are pushed: ``region-docker.pkg.dev/project/repository``.
    uri: pulumi.Output[str]
    #: Its id, by which policies name it.
    repository: pulumi.Output[str]

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
            docker_config=artifactregistry.RepositoryDockerConfigArgs(immutable_tags=True),
            cleanup_policies=[
                artifactregistry.RepositoryCleanupPolicyArgs(
                    id="delete-untagged",
                    action="DELETE",
                    condition=artifactregistry.RepositoryCleanupPolicyConditionArgs(
                        tag_state="UNTAGGED", older_than=UNTAGGED_FOR
                    ),
                ),
                artifactregistry.RepositoryCleanupPolicyArgs(
                    id="keep-newest",
                    action="KEEP",
                    most_recent_versions=artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(
                        keep_count=KEPT
                    ),
                ),
            ],
            labels=config.site.labels,
            opts=config.site.guarded(self),
        )
        self.uri, self.repository = repository.registry_uri, repository.repository_id
        self.register_outputs({"uri": self.uri})
