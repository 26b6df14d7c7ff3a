"""IAM admin v1: keys of service accounts. What they verify stands in local_cloud/iam/keys.py."""

from local_cloud.apis.iam import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import failed_precondition, invalid, not_found
from local_cloud.iam import keys
from local_cloud.registry import Call

#: An account has at most this many keys (https://cloud.google.com/iam/quotas); the words are the real service's.
MAX_KEYS = 10
USER_MANAGED, KEY_ALG_RSA_2048, TYPE_X509_PEM_FILE, TYPE_RAW_PUBLIC_KEY = 1, 2, 1, 2


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
    account = _account(cloud, request.name)
    if request.private_key_type not in (0, keys.JSON_FILE):
        raise invalid("The local cloud makes keys as TYPE_GOOGLE_CREDENTIALS_FILE only; PKCS #12 is deprecated.")
    if request.key_algorithm not in (0, KEY_ALG_RSA_2048):
        raise invalid("The local cloud makes keys with KEY_ALG_RSA_2048 only.")
    _check_count(cloud, account)
    return keys.create(cloud, account)


@API.rpc("UploadServiceAccountKey", permission="iam.serviceAccountKeys.create")
async def upload_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The public half of a key that its holder made."""
    account = _account(cloud, request.name)
    _check_count(cloud, account)
    return _shown(keys.upload(cloud, account, request.public_key_data))


@API.rpc("ListServiceAccountKeys", permission="iam.serviceAccountKeys.list")
async def list_keys(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The account's keys, without key material; those that the cloud keeps for an account are not listed."""
    account = _account(cloud, request.name)
    wanted = list(request.key_types) or [USER_MANAGED]
    found = [_shown(key) for key in _of(cloud, account) if key.key_type in wanted]
    return message("google.iam.admin.v1.ListServiceAccountKeysResponse")(keys=found)


@API.rpc("GetServiceAccountKey", permission="iam.serviceAccountKeys.get")
async def get_key(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One key; its public half when asked for: as a certificate, or as it is."""
    key = _key(cloud, request.name)
    shown = _shown(key)
    if request.public_key_type == TYPE_X509_PEM_FILE:
        public = keys.public_key(key)
        account = request.name.partition("/keys")[0].rpartition("/")[2]
        shown.public_key_data = cloud.identity.certificate(public, account).encode()
    elif request.public_key_type == TYPE_RAW_PUBLIC_KEY:
        shown.public_key_data = key.public_key_data
    return shown


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


def _of(cloud: Cloud, account: Message) -> list[Message]:
    return [key for name, key in keys.kept(cloud).items() if name.startswith(f"{account.name}/keys/")]


def _check_count(cloud: Cloud, account: Message) -> None:
    if len(_of(cloud, account)) >= MAX_KEYS:
        raise failed_precondition("Precondition check failed.")


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
