"""What an instance finds at its mount paths: secrets by version and in-memory folders; other kinds are not mounted.

Owns which volumes there are and what is in them at this start; the mounting itself is engines/mounts.py's, done by the
instance's own process in a namespace of its own, so that no secret lies in a file of this machine.
Sources: https://cloud.google.com/run/docs/configuring/services/secrets, .../in-memory-volume-mounts.
"""

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.run.environment import read_secret
from local_cloud.run.resources import quantity

#: The mode of a secret's files where none is given: everybody may read them.
SECRET_MODE = 0o444
#: The kinds that are mounted; a Cloud SQL socket, NFS and Cloud Storage are kept in the template and not mounted.
MOUNTED = ("secret", "empty_dir")


def mounts(cloud: Cloud, account: str, declared: Iterable[Message], container: Message) -> list[dict[str, Any]]:
    """The container's volumes, with payloads as `account` may read them now; SecretError if it may not."""
    found = []
    for volume, places in _mounted(declared, container):
        kind = volume.WhichOneof("volume_type")
        if kind not in MOUNTED:
            continue
        files, size = [], 0
        if kind == "secret":
            files = list(_files(cloud, account, volume.secret))
        elif volume.empty_dir.size_limit:
            size = int(quantity(volume.empty_dir.size_limit) or 0)
        found.append({"files": files, "size": size, "read_only": kind == "secret", "mounts": places})
    return found


def not_mounted(declared: Iterable[Message], container: Message) -> list[str]:
    """What the instance's log says about volumes that are kept and that nothing is behind."""
    return [
        f"Volume '{volume.name}' ({volume.WhichOneof('volume_type')}) is kept and not mounted by the local cloud: "
        f"there is nothing at {', '.join(path for path, _ in places)}."
        for volume, places in _mounted(declared, container)
        if volume.WhichOneof("volume_type") not in (*MOUNTED, "cloud_sql_instance", None)
    ]


def _mounted(declared: Iterable[Message], container: Message) -> Iterator[tuple[Message, list[list[str]]]]:
    for volume in declared:
        places = [[m.mount_path, m.sub_path.strip("/")] for m in container.volume_mounts if m.name == volume.name]
        if places:
            yield volume, places


def _files(cloud: Cloud, account: str, source: Message) -> Iterator[list[Any]]:
    default = source.default_mode or SECRET_MODE
    items = [(item.path, item.version or "latest", item.mode or default) for item in source.items]
    for path, version, mode in items or [(source.secret.rpartition("/")[2], "latest", default)]:
        payload = read_secret(cloud, source.secret, version, account)
        yield [path, base64.b64encode(payload).decode(), mode]
