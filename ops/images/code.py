"""The layer of our own code: the listed kinds of files of service_code/, and nothing that looks like a secret.

Owns which files of a commit are code. service_code/Dockerfile.dockerignore says the same to docker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ops.errors import OpsError
from ops.images.commit import Commit
from ops.images.tree import Entry

#: The kinds of files that services are made of; a service's own configuration is in stacks and specs, not here.
SUFFIXES = (".py", ".sql", ".yaml")
WHERE = "app"
#: What no file of an image may hold: keys in their usual wrappings. Values of secrets come from Secret Manager.
SECRETS = {
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{16}"),
    "a service account's key": re.compile(rb"\"private_key_id\"\s*:\s*\"[0-9a-f]{16}"),
    "an access token of Google": re.compile(rb"\bya29\.[A-Za-z0-9_-]{20}|\bAIza[A-Za-z0-9_-]{35}"),
    "a Slack webhook": re.compile(rb"hooks\.slack\.com/services/T[A-Z0-9]{6}"),
}


def tree(commit: Commit) -> dict[str, Entry]:
    """The files of a commit that services run."""
    listed = {path: data for path, data in commit.files(["service_code"]).items() if path.endswith(SUFFIXES)}
    refuse_secrets(listed)
    return {f"{WHERE}/{path}": Entry(data=data) for path, data in listed.items()}


def refuse_secrets(files: Mapping[str, bytes]) -> None:
    """An image can be read by all who may deploy it, and stays in the registry after the file is deleted."""
    for path, data in files.items():
        for what, pattern in SECRETS.items():
            if match := pattern.search(data):
                line = data.count(b"\n", 0, match.start()) + 1
                raise OpsError(
                    f"{path}:{line}: {what} stands here",
                    why="it would be in the image for all who can pull it, and it is in the repository's history",
                    fix="take it out, revoke it, and put the new one in Secret Manager (queue_configs/secrets/)",
                )
