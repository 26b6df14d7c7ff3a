"""A client of registries in a few lines: layers made here, pushed over HTTP as docker does, blob by blob."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.local_cloud.run_client import Answer, http

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Entry:
    """One entry of a layer: a file where it has data, a folder by its slash, a link by where it leads."""

    name: str
    data: bytes = b""
    mode: int = 0o755
    link: str = ""
    hard: bool = False
    uid: int = 0


def layer(*entries: Entry) -> bytes:
    """A layer's tar."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name.rstrip("/") or ".")
            info.mode, info.size, info.uid = entry.mode, len(entry.data), entry.uid
            if entry.name.endswith("/"):
                info.type = tarfile.DIRTYPE
            elif entry.link:
                info.type = tarfile.LNKTYPE if entry.hard else tarfile.SYMTYPE
                info.linkname = entry.link
            tar.addfile(info, io.BytesIO(entry.data))
    return made.getvalue()


@dataclass
class Repository:
    """An image's name at a registry: http://HOST/v2/PROJECT/REPOSITORY/IMAGE."""

    base: str
    name: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        url = path if path.startswith("http") else f"{self.base}/v2/{self.name}/{path}"
        return http(url, method=method, body=body, headers={**self.headers, **(headers or {})})

    def blob(self, data: bytes) -> dict[str, Any]:
        """Upload a blob unless it is there; its descriptor."""
        digest = digest_of(data)
        if self.ask("HEAD", f"blobs/{digest}").status != 200:
            begun = self.ask("POST", "blobs/uploads/", b"")
            assert begun.status == 202, begun.body
            done = self.ask("PUT", f"{self.base}{begun.headers['location']}?digest={digest}", data)
            assert done.status == 201, done.body
        return {"digest": digest, "size": len(data)}

    def manifest(self, reference: str, value: Any, media_type: str = OCI_MANIFEST) -> Answer:
        return self.ask("PUT", f"manifests/{reference}", json.dumps(value).encode(), {"Content-Type": media_type})

    def push(self, reference: str, layers: Sequence[bytes], config: Mapping[str, Any] | None = None) -> str:
        """Push an image; its digest."""
        found = {"architecture": ARCHITECTURE, "os": "linux", "config": dict(config or {})}
        found["rootfs"] = {"type": "layers", "diff_ids": [digest_of(one) for one in layers]}
        blobs = [{"mediaType": LAYER, **self.blob(gzip.compress(one, 1, mtime=0))} for one in layers]
        configuration = {"mediaType": OCI_CONFIG, **self.blob(json.dumps(found).encode())}
        value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": configuration, "layers": blobs}
        answer = self.manifest(reference, value)
        assert answer.status == 201, answer.body
        return str(answer.headers["docker-content-digest"])


def make_repository(rest: str, repository: str, **settings: Any) -> str:
    """A repository for images; its full name. One that is there stays as it is."""
    home = "projects/sluice-local/locations/us-central1/repositories"
    body = json.dumps({"format": "DOCKER", **settings}).encode()
    made = http(f"{rest}/v1/{home}?repositoryId={repository}", method="POST", body=body)
    assert made.status in (200, 409), made.body
    return f"{home}/{repository}"
