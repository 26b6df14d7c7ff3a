"""Customer-managed encryption keys: one configuration a location, kept and read back.

Nothing is encrypted with the key, and it need not exist: that is our own choice, and so are the words of the refusals.
Source: the v2 reference of CmekConfig, and the page "Use customer-managed encryption keys".
"""

import re

from local_cloud.apis.cloud_tasks import names
from local_cloud.apis.cloud_tasks.api import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import invalid
from local_cloud.registry import Call

KIND = "google.cloud.tasks.v2.CmekConfig"
CmekConfig = message(KIND)

#: The last part of a configuration's name.
LAST = "/cmekConfig"
_KEY = re.compile(r"projects/[^/]+/locations/([^/]+)/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}")


@API.rpc("GetCmekConfig", permission="cloudtasks.cmekConfig.get")
async def get_cmek_config(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The configuration; one without a key where none was set."""
    name = _name(cloud, request.name)
    kept: Message | None = cloud.store.messages("cloudtasks.cmek", KIND).get(name)
    return kept if kept is not None else CmekConfig(name=name)


@API.rpc("UpdateCmekConfig", permission="cloudtasks.cmekConfig.update")
async def update_cmek_config(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Sets the key; an empty one turns the encryption off."""
    name = _name(cloud, request.cmek_config.name)
    paths = [path for path in request.update_mask.paths if path not in ("name", "*")]
    if unknown := [path for path in paths if path not in ("kms_key", "kmsKey")]:
        raise invalid(f"Invalid field in the update mask: '{unknown[0]}'. CmekConfig has kms_key.")
    kept = cloud.store.messages("cloudtasks.cmek", KIND)
    config = kept.get(name) or CmekConfig(name=name)
    if paths or "name" not in request.update_mask.paths:
        config = CmekConfig(name=name, kms_key=_key(name, request.cmek_config.kms_key))
    kept[name] = config
    return config


def _name(cloud: Cloud, given: str) -> str:
    """The full name. The reference writes its last part with a capital once; both are taken."""
    name = cloud.canonical(given)
    parent, slash, last = name.rpartition("/")
    if f"{slash}{last}".lower() != LAST.lower():
        raise invalid('CMEK config name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/cmekConfig".')
    names.check_parent(parent)
    return f"{parent}{LAST}"


def _key(name: str, key: str) -> str:
    """Cloud Tasks takes keys of its own region alone."""
    if not key:
        return ""
    match = _KEY.fullmatch(key)
    if not match:
        raise invalid(
            "CmekConfig.kmsKey must be formatted: "
            '"projects/<PROJECT_ID>/locations/<LOCATION_ID>/keyRings/<KEY_RING_ID>/cryptoKeys/<KEY_ID>".'
        )
    location = name.split("/")[3]
    if match[1] != location:
        raise invalid(f"CmekConfig.kmsKey must be in the location '{location}', not in '{match[1]}'.")
    return key
