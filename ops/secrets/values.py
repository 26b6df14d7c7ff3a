"""The versions of one secret in Secret Manager, at Google or in the local cloud, and what their values are made of.

Owns reading, adding, disabling and destroying versions; and keys as lines (the services' kit reads them so): a new one,
and the id by which tokens and log lines name one. Values stay in memory.
Source: https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions.
"""

from __future__ import annotations

import base64
import hashlib
import secrets as random
from collections.abc import Callable
from dataclasses import dataclass

from ops.errors import CallFailed, OpsError
from ops.place import Place

#: Characters of a key of ours (DECISIONS 5).
KEY_CHARACTERS = 64


@dataclass(frozen=True)
class Version:
    """One version."""

    number: int
    state: str
    created: str

    @property
    def enabled(self) -> bool:
        """Whether a service could read it."""
        return self.state == "ENABLED"


class Values:
    """One secret of one place."""

    def __init__(self, place: Place, name: str) -> None:
        self._place, self._name = place, name
        self._path = f"projects/{place.project}/secrets/{name}"

    def versions(self) -> list[Version]:
        """All of them, newest first."""
        found: list[Version] = []
        token = ""
        while True:
            query = {"pageSize": 1000, **({"pageToken": token} if token else {})}
            try:
                page = self._place.call("secretmanager", "GET", f"{self._path}/versions", query=query)
            except CallFailed as error:
                raise self._explained(error) from error
            for one in page.get("versions", ()):
                number = int(str(one["name"]).rpartition("/")[2])
                found.append(Version(number, str(one["state"]), str(one.get("createTime", ""))))
            token = str(page.get("nextPageToken", ""))
            if not token:
                return sorted(found, key=lambda one: -one.number)

    def read(self, version: str | int) -> str:
        """The value of a version."""
        try:
            found = self._place.call("secretmanager", "GET", f"{self._path}/versions/{version}:access")
        except CallFailed as error:
            raise self._explained(error) from error
        return base64.b64decode(found["payload"]["data"]).decode()

    def add(self, value: str) -> str:
        """A new version; its number."""
        body = {"payload": {"data": base64.b64encode(value.encode()).decode()}}
        try:
            made = self._place.call("secretmanager", "POST", f"{self._path}:addVersion", body)
        except CallFailed as error:
            raise self._explained(error) from error
        return str(made["name"]).rpartition("/")[2]

    def found(self, newer: int, fits: Callable[[str], bool]) -> str | None:
        """The newest enabled version after a number whose value fits: what an interrupted run has made already."""
        for one in self.versions():
            if one.number > newer and one.enabled and fits(self.read(one.number)):
                return str(one.number)
        return None

    def disable(self, version: Version) -> None:
        """Nobody can read it any more; it can be enabled again."""
        self._place.call("secretmanager", "POST", f"{self._path}/versions/{version.number}:disable", {})

    def destroy(self, version: Version) -> None:
        """Its value is gone for good."""
        self._place.call("secretmanager", "POST", f"{self._path}/versions/{version.number}:destroy", {})

    def _explained(self, error: CallFailed) -> OpsError:
        if error.status == 404:
            return OpsError(
                f"there is no such secret or version in {self._place.stack}: {self._name}",
                why="a rotation begins with the value that services have now",
                fix="./sluice up"
                if self._place.local
                else f"deploy the stack, and add its first version: docs/runbook.md; secrets: {self._path}",
            )
        return error


def lines(value: str) -> list[str]:
    """The keys of a value, one a line, as the services' kit reads them."""
    return [line.strip() for line in value.splitlines() if line.strip()]


def new_key() -> str:
    """A signing key of ours, at random."""
    return random.token_urlsafe(KEY_CHARACTERS)[:KEY_CHARACTERS]


def key_id(key: str) -> str:
    """The id by which tokens and log lines name a key, as the services' kit makes it."""
    return hashlib.sha256(b"TPS_HOSTPAY key id\0" + key.encode()).digest()[:4].hex()
