"""IAM admin v1: keys of service accounts. What they verify stands in local_cloud/iam/keys.py."""

from local_cloud.apis.iam import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import not_found
from local_cloud.iam import keys
from local_cloud.registry import Call


def _account(cloud: Cloud, name: str) -> Message:
    found = cloud.iam.accounts.find(name.partition("/keys")[0])
    if found is None:
        raise not_found(f"Unknown service account: {name.partition('/keys')[0].rpartition('/')[2]}")
    return found


def _key(cloud: Cloud, name: str) -> Message:
    account = _account(cloud, name)
    found = keys.kept(cloud).get(f"{account.name}/keys/{name.rpartition('/')[2]}")
    if found is None:
        raise not_found("Service account key does not exist.")
    return found


@API.rpc("CreateServiceAccountKey", permission="iam.serviceAccountKeys.create")
async def create_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A new key with its private half."""
    return keys.create(cloud, _account(cloud, request.name))


@API.rpc("ListServiceAccountKeys", permission="iam.serviceAccountKeys.list")
async def list_keys(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The account's keys, without key material."""
    account = _account(cloud, request.name)
    found = [_shown(key) for name, key in keys.kept(cloud).items() if name.startswith(f"{account.name}/keys/")]
    return message("google.iam.admin.v1.ListServiceAccountKeysResponse")(keys=found)


@API.rpc("GetServiceAccountKey", permission="iam.serviceAccountKeys.get")
async def get_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One key; its public half when asked for."""
    key = _key(cloud, request.name)
    return key if request.public_key_type else _shown(key)


@API.rpc("DeleteServiceAccountKey", permission="iam.serviceAccountKeys.delete")
async def delete_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Gone: assertions that it signed are refused from now on."""
    keys.kept(cloud).pop(_key(cloud, request.name).name)
    return message("google.protobuf.Empty")()


@API.rpc("DisableServiceAccountKey", permission="iam.serviceAccountKeys.disable")
async def disable_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Refused until it is enabled again."""
    return _set_disabled(cloud, request.name, True)


@API.rpc("EnableServiceAccountKey", permission="iam.serviceAccountKeys.enable")
async def enable_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Accepted again."""
    return _set_disabled(cloud, request.name, False)


def _set_disabled(cloud: Cloud, name: str, disabled: bool) -> Message:
    key = _key(cloud, name)
    key.disabled = disabled
    keys.kept(cloud).save(key.name)
    return message("google.protobuf.Empty")()


def _shown(key: Message) -> Message:
    shown = message(keys.KIND)()
    shown.CopyFrom(key)
    shown.ClearField("public_key_data")
    return shown
