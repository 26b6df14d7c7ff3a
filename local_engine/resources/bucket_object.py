"""``gcp:storage/bucketObject:BucketObject``: an object whose content the program holds, over the JSON API.

The content travels in one upload with what is said of the object, on create and on every change of it; the upload has
no precondition, so it overwrites whatever stands there, and Cloud Storage refuses it while a hold is on the object.
Holds alone are changed by a whole PUT. Everything else that is said of an object replaces it, deleted first. The
provider cannot import an object. Content from a file, keys of the caller's, contexts and retention are not modelled.

Source: the provider's resource_storage_bucket_object.go (9.35), and its calls: tests/local_engine/bucket_object.json.
"""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import Any, ClassVar, Final
from urllib.parse import quote

from ..cloud import Cloud, JsonObject
from ..errors import NotFoundError
from ..model import Change
from ..resource_type import Inputs, ResourceType, templated
from ..shapes import Shape, body, flag, labels, name_part, required, text

#: What an object is called of which nobody said the type: the provider looks at the bytes, and ours are text.
PLAIN: Final = "text/plain; charset=utf-8"
_HOLDS: Final = ("eventBasedHold", "temporaryHold")


class BucketObject(ResourceType):
    """An object."""

    token = "gcp:storage/bucketObject:BucketObject"
    endpoint = "storage"
    importable = False
    inputs: ClassVar[Shape] = {
        "bucket": required(name_part()),
        "name": name_part(),
        "content": text(secret=True, virtual=True),
        "cacheControl": text(replaces=True),
        "contentDisposition": text(replaces=True),
        "contentEncoding": text(replaces=True),
        "contentLanguage": text(replaces=True),
        "contentType": text(replaces=True),
        "metadata": labels(replaces=True),
        "storageClass": text(replaces=True),
        "eventBasedHold": flag(),
        "temporaryHold": flag(),
        "deletionPolicy": text(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """As the provider calls it."""
        return templated("{bucket}-{name}", inputs)

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Upload it, over whatever stands there."""
        said = {"bucket": inputs["bucket"]} | body(self.inputs, inputs)
        cloud.upload(
            self.endpoint,
            f"b/{quote(str(inputs['bucket']), safe='')}/o",
            said,
            str(inputs.get("content") or "").encode(),
            kind=str(inputs.get("contentType") or PLAIN),
            query={"name": str(inputs["name"])},
        )
        return self.identity(inputs), cloud.settled(lambda: cloud.get(self.endpoint, _path(inputs)))

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """Its metadata; the bytes are never read."""
        try:
            return cloud.get(self.endpoint, _path(inputs))
        except NotFoundError:
            return None

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Upload it again where the content is another one; else put it whole, with the holds as declared."""
        if changed & {"content", "detectMd5hash"}:
            return self.create(cloud, inputs)[1]
        live = cloud.get(self.endpoint, _path(inputs))
        held = {name: bool(inputs.get(name)) for name in _HOLDS if name in changed}
        cloud.call(self.endpoint, "PUT", _path(inputs), body=live | held)
        return cloud.get(self.endpoint, _path(inputs))

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Delete what is live; older versions stay as the bucket says."""
        if inputs.get("deletionPolicy") == "ABANDON":
            return
        try:
            cloud.call(self.endpoint, "DELETE", _path(inputs))
        except NotFoundError:
            return

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """What Cloud Storage says of the bytes, and where they are."""
        md5 = str(live.get("md5Hash", ""))
        return {
            "outputName": live.get("name"),
            "generation": int(live["generation"]) if "generation" in live else None,
            "crc32c": live.get("crc32c"),
            "md5hash": md5,
            "md5hexhash": _hex(md5),
            "detectMd5hash": md5,
            "selfLink": live.get("selfLink"),
            "mediaLink": live.get("mediaLink"),
        }

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Other bytes by their sum, other fields by themselves; a hold that nobody declared is one of them."""
        return list(self._moved(inputs, live))

    def _moved(self, inputs: Inputs, live: JsonObject) -> Iterator[Change]:
        wanted = base64.b64encode(hashlib.md5(str(inputs.get("content") or "").encode()).digest()).decode()
        if live.get("md5Hash") != wanted:
            yield Change(path="detectMd5hash", kind="update", old=live.get("md5Hash"), new=wanted, drift=True)
        for name, known in self.inputs.items():
            if known.virtual or (name in ("contentType", "storageClass") and not inputs.get(name)):
                continue
            declared, found = inputs.get(name) or None, live.get(name) or None
            if declared != found:
                kind = "add" if found is None else "delete" if declared is None else "update"
                yield Change(path=name, kind=kind, old=found, new=declared, drift=True, replaces=known.replaces)


def _path(inputs: Inputs) -> str:
    return f"b/{quote(str(inputs['bucket']), safe='')}/o/{quote(str(inputs['name']), safe='')}"


def _hex(md5: str) -> str:
    try:
        return base64.b64decode(md5, validate=True).hex()
    except binascii.Error:
        return ""
