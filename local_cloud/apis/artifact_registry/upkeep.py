"""What Artifact Registry does by itself once a day: clean-up policies, and blobs that nothing needs.

Owns when, and what is said of it; which versions go is images/cleanup.py's.
Source: https://cloud.google.com/artifact-registry/docs/repositories/cleanup-policy ("about one day").
"""

from local_cloud.apis.artifact_registry.api import API
from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.images.cleanup import Candidate, to_delete
from local_cloud.images.names import image_of
from local_cloud.images.registry import Images
from local_cloud.images.repositories import Repositories

#: Between two looks.
PERIOD = 86_400.0


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load what was pushed, and begin to look after it."""
    repositories = Repositories(cloud)
    cloud.provide(repositories)
    cloud.provide(Images(cloud, repositories))
    cloud.clock.call_later(PERIOD, lambda: _look(cloud))


def _look(cloud: Cloud) -> None:
    cloud.clock.call_later(PERIOD, lambda: _look(cloud))
    for name in list(cloud.use(Repositories).kept):
        clean(cloud, name)
    cloud.use(Images).collect()


def clean(cloud: Cloud, repository: str) -> None:
    """Delete what a repository's policies say; in a dry run, only say it."""
    images, kept = cloud.use(Images), cloud.use(Repositories).kept[repository]
    if not kept.cleanup_policies:
        return
    found = [
        Candidate(
            name,
            image_of(package.rpartition("/")[2]),
            tuple(tag.rpartition("/")[2] for tag, _ in images.tags_of(package, name.rpartition("/")[2])),
            version["at"],
        )
        for package, versions in images.packages(repository).items()
        for name, version in versions
    ]
    for name in to_delete(kept.cleanup_policies.values(), found, cloud.now()):
        if kept.cleanup_policy_dry_run:
            cloud.log.event("INFO", f"Clean-up (dry run) would delete {name}.")
            continue
        try:
            images.may_delete(name, force=True)
        except ApiError as kept_back:
            cloud.log.event("INFO", f"Clean-up keeps {name}: {kept_back.text}")
            continue
        images.delete(name)
        cloud.log.event("INFO", f"Clean-up deleted {name}.")
