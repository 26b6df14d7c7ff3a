"""Settings of the log router, and its key: kept and read back, not acted upon.

Source: google/logging/v2/logging_config.proto.
"""

from local_cloud.apis.logging.api import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.plain import merge
from local_cloud.registry import Call

SETTINGS, CMEK = "google.logging.v2.Settings", "google.logging.v2.CmekSettings"


def _parent(request: Message) -> str:
    """Over REST the name is the parent's, over gRPC it ends in /settings."""
    return "/".join(str(request.name).split("/")[:2])


@API.rpc("GetSettings", permission="logging.settings.get", resource=_parent)
async def get_settings(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The settings, or the defaults."""
    return _settings(cloud, _parent(request))


@API.rpc("UpdateSettings", permission="logging.settings.update", resource=_parent)
async def update_settings(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change settings."""
    current = _settings(cloud, _parent(request))
    made = merge(current, request.settings, request.update_mask.paths)
    made.name, made.kms_service_account_id = current.name, current.kms_service_account_id
    cloud.store.messages("logs.settings", SETTINGS)[_parent(request)] = made
    return made


@API.rpc("GetCmekSettings", permission="logging.cmekSettings.get", resource=_parent)
async def get_cmek_settings(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The key of the router."""
    return _cmek(cloud, _parent(request))


@API.rpc("UpdateCmekSettings", permission="logging.cmekSettings.update", resource=_parent)
async def update_cmek_settings(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Name another key."""
    current = _cmek(cloud, _parent(request))
    made = merge(current, request.cmek_settings, request.update_mask.paths)
    made.name, made.service_account_id = current.name, current.service_account_id
    cloud.store.messages("logs.cmek", CMEK)[_parent(request)] = made
    return made


def _settings(cloud: Cloud, parent: str) -> Message:
    kept = cloud.store.messages("logs.settings", SETTINGS).get(parent)
    return kept or message(SETTINGS)(name=f"{parent}/settings", kms_service_account_id=_account(cloud))


def _cmek(cloud: Cloud, parent: str) -> Message:
    kept = cloud.store.messages("logs.cmek", CMEK).get(parent)
    return kept or message(CMEK)(name=f"{parent}/cmekSettings", service_account_id=_account(cloud))


def _account(cloud: Cloud) -> str:
    return f"cmek-p{cloud.settings.project_number}@gcp-sa-logging.iam.gserviceaccount.com"
