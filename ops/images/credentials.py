"""Who pushes: Google's credentials for Google's registries, docker's own for every other, nobody where there are none.

Owns finding them. Nothing is stored here; what is used is what `gcloud` and `docker login` keep.
Sources: https://cloud.google.com/artifact-registry/docs/docker/authentication, docker's config.json and its helpers.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from ops.errors import OpsError
from ops.google import SCOPE

#: Google's registries, which take an access token as the password of this user.
GOOGLES = re.compile(r"(.+-docker\.pkg\.dev|(.+\.)?gcr\.io)")
USER = "oauth2accesstoken"
#: An access token that the environment hands over, as `gcloud auth print-access-token` prints it.
TOKEN = "SLUICE_REGISTRY_TOKEN"


def basic(host: str) -> str:
    """What stands in `Authorization: Basic ...` for a registry; "" where nobody is known for it."""
    if token := os.environ.get(TOKEN):
        return _packed(USER, token)
    return _dockers(host) or (_packed(USER, _googles(host)) if GOOGLES.fullmatch(host) else "")


def _packed(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _googles(host: str) -> str:
    """An access token of the application-default credentials: a person's, or in CI those of the identity federation."""
    import google.auth
    import google.auth.exceptions
    import google.auth.transport.requests

    try:
        credentials, _ = google.auth.default(scopes=[SCOPE])
        credentials.refresh(google.auth.transport.requests.Request())  # type: ignore[no-untyped-call]
    except google.auth.exceptions.GoogleAuthError as error:
        raise OpsError(
            f"there are no credentials for {host}: {error}",
            why="an image is pushed as somebody who may write to the repository (roles/artifactregistry.writer)",
            fix=f"gcloud auth application-default login, or {TOKEN}=$(gcloud auth print-access-token)",
        ) from error
    return str(credentials.token)


def _dockers(host: str) -> str:
    """What `docker login` or a credential helper has."""
    home = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        config: dict[str, Any] = json.loads((home / "config.json").read_text())
    except (OSError, ValueError):
        return ""
    helper = config.get("credHelpers", {}).get(host)
    if helper:
        return _helped(helper, host)
    return str(config.get("auths", {}).get(host, {}).get("auth", "")) or _helped(config.get("credsStore", ""), host)


def _helped(helper: str, host: str) -> str:
    if not helper:
        return ""
    words = [f"docker-credential-{helper}", "get"]
    try:
        done = subprocess.run(words, input=host, capture_output=True, text=True, timeout=60, check=False)
        found = json.loads(done.stdout)
        return _packed(found["Username"], found["Secret"])
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        return ""
