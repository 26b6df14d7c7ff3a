"""The layer of our own code: the listed kinds of files of service_code/, and nothing that looks like a secret.

Owns which files of a commit are code. service_code/Dockerfile.dockerignore says the same to docker.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops.errors import OpsError
from ops.images.commit import Commit
from ops.images.tree import Entry
from spec.secret_forms import IN_CODE

#: The kinds of files that services are made of; a service's own configuration is in stacks and specs, not here.
SUFFIXES = (".py", ".sql", ".yaml")
WHERE = "app"


def tree(commit: Commit) -> dict[str, Entry]:
    """The files of a commit that services run."""
    listed = {path: data for path, data in commit.files(["service_code"]).items() if path.endswith(SUFFIXES)}
    refuse_secrets(listed)
    return {f"{WHERE}/{path}": Entry(data=data) for path, data in listed.items()}


def refuse_secrets(files: Mapping[str, bytes]) -> None:
    """An image can be read by all who may deploy it, and stays in the registry after the file is deleted."""
    for path, data in files.items():
        text = data.decode(errors="replace")
        for what, pattern in IN_CODE.items():
            if match := pattern.search(text):
                line = text.count("\n", 0, match.start()) + 1
                raise OpsError(
                    f"{path}:{line}: {what} stands here",
                    why="it would be in the image for all who can pull it, and it is in the repository's history",
                    fix="take it out, revoke it, and put the new one in Secret Manager (queue_configs/secrets/)",
                )
