"""The repositories of the project: what is kept of each, and which one a name on the wire means.

Leaves alone what lies in them (registry.py) and how the API changes them (apis/artifact_registry/).
"""

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum
from local_cloud.images.names import Path
from local_cloud.plain import Plain

REPOSITORY = "google.devtools.artifactregistry.v1.Repository"
DOCKER = enum(f"{REPOSITORY}.Format")["DOCKER"]
STANDARD = enum(f"{REPOSITORY}.Mode")["STANDARD_REPOSITORY"]


class Repositories(Plain):
    """The repositories of the project."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, REPOSITORY, noun="Repository")
        self._cloud = cloud

    def named(self, path: Path) -> str:
        """The full name of the repository that a name on the wire means, whether or not it is there.

        Without a location it is the home region's, unless only another one has it.
        """
        home = f"projects/{self._project(path.project)}/locations"
        if path.location:
            return f"{home}/{path.location}/repositories/{path.repository}"
        found = [name for name in self.kept if name.startswith(f"{home}/") and name.endswith(f"/{path.repository}")]
        own = f"{home}/{self._cloud.location}/repositories/{path.repository}"
        return own if own in found or len(found) != 1 else found[0]

    def _project(self, project: str) -> str:
        return self._cloud.project if project == self._cloud.settings.project_number else project

    def holds_images(self, name: str) -> bool:
        """Whether images may be pushed to a repository: it is there, and it is Docker's and no other's mirror."""
        found: Message | None = self.kept.get(name)
        return found is not None and found.format == DOCKER and found.mode in (0, STANDARD)
