"""Secrets and their versions, as Secret Manager keeps them: what exists, in which state, and the bytes.

Owned here and not in apis/secret_manager.py because Cloud Run reads secrets too, at deployment and at each start. Names
inside are those of the project's id; answers carry the project's number, as Google's do. The store's file, which
holds the payloads, is readable by its owner only.
"""

import contextlib
import hashlib
import os
from typing import Any

from local_cloud.clock import Timer
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import already_exists, failed_precondition, not_found

SECRET = "google.cloud.secretmanager.v1.Secret"
VERSION = "google.cloud.secretmanager.v1.SecretVersion"
_STATES = enum(f"{VERSION}.State")
ENABLED, DISABLED, DESTROYED = _STATES["ENABLED"], _STATES["DISABLED"], _STATES["DESTROYED"]
_STATE_NAMES = {number: name for name, number in _STATES.items()}


class Secrets:
    """All secrets of the project."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.secrets = cloud.store.messages("secretmanager.secrets", SECRET)
        self.versions = cloud.store.messages("secretmanager.versions", VERSION)
        self.payloads = cloud.store.collection("secretmanager.payloads", encode=bytes, decode=bytes)
        #: When a secret is to go, by its name.
        self.expiries: dict[str, Timer] = {}
        for path in cloud.store.directory.glob(f"{cloud.store.path.name}*"):
            with contextlib.suppress(OSError):
                os.chmod(path, 0o600)

    def shown(self, name: str) -> str:
        """A name as answers and errors carry it."""
        project, number = f"projects/{self._cloud.project}/", self._cloud.settings.project_number
        return f"projects/{number}/{name.removeprefix(project)}" if name.startswith(project) else name

    # Secrets

    def get(self, name: str) -> Message:
        """A secret, or NOT_FOUND."""
        found = self.secrets.get(name)
        if found is None:
            raise not_found(f"Secret [{self.shown(name)}] not found.")
        return found

    def create(self, name: str, secret: Message) -> Message:
        """Keep a new secret."""
        if name in self.secrets:
            raise already_exists(f"Secret [{self.shown(name)}] already exists.")
        secret.name = self.shown(name)
        secret.create_time.FromNanoseconds(self._nanoseconds())
        return self.save(name, secret)

    def save(self, name: str, secret: Message) -> Message:
        """Keep a secret that was made or changed, under a new etag."""
        stamp(secret)
        self.secrets[name] = secret
        return secret

    def delete(self, name: str) -> None:
        """Forget a secret with all its versions and its policy."""
        self.get(name)
        for version, _ in self.versions_of(name):
            self.versions.pop(version)
            self.payloads.pop(version)
        del self.secrets[name]
        if (timer := self.expiries.pop(name, None)) is not None:
            timer.cancel()
        self._cloud.iam.forget(name)

    # Versions

    def versions_of(self, name: str) -> list[tuple[str, Message]]:
        """The versions of a secret, oldest first."""
        return [(key, found) for key, found in self.versions.items() if key.startswith(f"{name}/versions/")]

    def add(self, name: str, data: bytes, *, checked: bool) -> Message:
        """A new version, enabled."""
        secret = self.get(name)
        last = max((int(key.rpartition("/")[2]) for key, _ in self.versions_of(name)), default=0)
        key = f"{name}/versions/{last + 1}"
        made = message(VERSION)(name=self.shown(key), state=ENABLED, client_specified_payload_checksum=checked)
        made.create_time.FromNanoseconds(self._nanoseconds())
        if secret.replication.WhichOneof("replication") == "user_managed":
            for replica in secret.replication.user_managed.replicas:
                made.replication_status.user_managed.replicas.add(location=replica.location)
        else:
            made.replication_status.automatic.SetInParent()
        stamp(made)
        self.versions[key], self.payloads[key] = made, data
        return made

    def resolve(self, name: str) -> str:
        """The numbered name behind `latest`, an alias or a number; NOT_FOUND when there is none."""
        parent, _, version = name.rpartition("/versions/")
        secret = self.get(parent)
        if version == "latest":
            known = self.versions_of(parent)
            if not known:
                raise not_found(f"Secret [{self.shown(parent)}] not found or has no versions.")
            return max((key for key, _ in known), key=lambda key: int(key.rpartition("/")[2]))
        if not version.isdigit() and version in secret.version_aliases:
            version = str(secret.version_aliases[version])
        key = f"{parent}/versions/{version}"
        if key not in self.versions:
            raise not_found(f"Secret Version [{self.shown(key)}] not found.")
        return key

    def access(self, name: str) -> tuple[Message, bytes]:
        """A version and its bytes; FAILED_PRECONDITION unless it is enabled."""
        key = self.resolve(name)
        found = self.versions[key]
        if found.state != ENABLED:
            raise self.in_state(found)
        return found, self.payloads[key]

    def in_state(self, version: Message) -> Exception:
        """The refusal for a version that is not enabled."""
        return failed_precondition(f"Secret Version [{version.name}] is in {_STATE_NAMES[version.state]} state.")

    def set_state(self, key: str, state: int) -> Message:
        """Enable, disable or destroy a version; what is destroyed has lost its bytes."""
        found = self.versions[key]
        if found.state != state or found.HasField("scheduled_destroy_time"):
            found.state = state
            found.ClearField("scheduled_destroy_time")
            if state == DESTROYED:
                found.destroy_time.FromNanoseconds(self._nanoseconds())
                self.payloads.pop(key)
            stamp(found)
            self.versions.save(key)
        return found

    def _nanoseconds(self) -> int:
        return int(self._cloud.now() * 1_000_000) * 1000


def stamp(made: Any) -> None:
    """Give a message the etag of its content."""
    before = made.etag
    made.etag = ""
    content = before.encode() + made.SerializeToString(deterministic=True)
    made.etag = f'"{hashlib.sha256(content).hexdigest()[:14]}"'
