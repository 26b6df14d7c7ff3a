"""An image's files by Python's own tarfile, which knows nothing of how they were packed."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import Any

from ops.images.build import Built


def entries(built: Built) -> dict[str, tarfile.TarInfo]:
    """Everything in the image by its path, the upper layers' last."""
    found: dict[str, tarfile.TarInfo] = {}
    for layer in built.layers:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer.data))) as tar:
            found |= {info.name: info for info in tar}
    return found


def text(built: Built, path: str) -> str:
    """One file."""
    for layer in reversed(built.layers):
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer.data))) as tar:
            if path in tar.getnames() and (opened := tar.extractfile(path)):
                return opened.read().decode()
    raise KeyError(path)


def config(built: Built) -> dict[str, Any]:
    """The image's configuration."""
    name = json.loads(built.image.manifest)["config"]["digest"]
    found: dict[str, Any] = json.loads(built.image.blobs[name])
    return found
