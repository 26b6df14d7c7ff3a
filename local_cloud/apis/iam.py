"""IAM admin v1: service accounts and their policies. Roles and keys are declared in iam_roles.py and iam_keys.py.

What an account is to the rest of the cloud stands in local_cloud/iam/accounts.py; here is its wire: checks and wording.
Source: google/iam/admin/v1/iam.proto and https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.
"""

import re

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, already_exists, invalid, not_found
from local_cloud.paging import page
from local_cloud.registry import Api, Call

API = Api(
    "iam",
    services=["google.iam.admin.v1.IAM"],
    refusal="Permission '{permission}' denied on resource (or it may not exist).",
)

_ACCOUNT_ID = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])")

#: The fields that a PATCH may name.
_PATCHABLE = ("display_name", "description")


def _exists(cloud: Cloud, resource: str) -> None:
    _account(cloud, resource)


def _account(cloud: Cloud, name: str) -> Message:
    found = cloud.iam.accounts.find(name)
    if found is None:
        raise not_found(f"Unknown service account: {name.rpartition('/')[2]}")
    return found


API.iam_policies("projects/*/serviceAccounts/*", permission="iam.serviceAccounts", exists=_exists, service="IAM")


@API.rpc("ListServiceAccounts", permission="iam.serviceAccounts.list")
async def list_accounts(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The project's accounts in the order of creation."""
    items, token = page(cloud.iam.accounts.all(), request.page_size, request.page_token, default=100, most=100)
    return message("google.iam.admin.v1.ListServiceAccountsResponse")(accounts=items, next_page_token=token)


@API.rpc("GetServiceAccount", permission="iam.serviceAccounts.get")
async def get_account(cloud: Cloud, _call: Call, request: Message) -> Message:
    """By e-mail or unique id, under the project or `-`."""
    return _account(cloud, request.name)


@API.rpc("CreateServiceAccount", permission="iam.serviceAccounts.create")
async def create_account(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A new account."""
    account_id = request.account_id
    if not 6 <= len(account_id) <= 30:
        raise invalid(f'The account ID "{account_id}" does not have a length between 6 and 30.')
    if not _ACCOUNT_ID.fullmatch(account_id):
        raise invalid(f'The account ID "{account_id}" does not match the pattern [a-z]([-a-z0-9]*[a-z0-9]).')
    if cloud.iam.accounts.find(f"{account_id}@{cloud.iam.accounts.domain}"):
        raise already_exists(f"Service account {account_id} already exists within project {request.name}.")
    _check_texts(request.service_account)
    return cloud.iam.accounts.create(account_id, request.service_account)


@API.rpc("PatchServiceAccount", permission="iam.serviceAccounts.update")
async def patch_account(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Changes what the mask names; without a mask, both texts."""
    account = _account(cloud, request.service_account.name)
    _check_etag(account, request.service_account)
    _check_texts(request.service_account)
    for path in request.update_mask.paths:
        if path not in (*_PATCHABLE, "etag"):
            raise invalid(f"Field {path} cannot be updated: update_mask takes {' and '.join(_PATCHABLE)}.")
    for field in _PATCHABLE:
        if not request.update_mask.paths or field in request.update_mask.paths:
            setattr(account, field, getattr(request.service_account, field))
    cloud.iam.accounts.save(account)
    return account


@API.rpc("UpdateServiceAccount", permission="iam.serviceAccounts.update")
async def update_account(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The older form: display name and description are replaced."""
    account = _account(cloud, request.name)
    _check_etag(account, request)
    _check_texts(request)
    account.display_name, account.description = request.display_name, request.description
    cloud.iam.accounts.save(account)
    return account


@API.rpc("DeleteServiceAccount", permission="iam.serviceAccounts.delete")
async def delete_account(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Deletes; bindings then name it as deleted. Its policy goes with it."""
    account = _account(cloud, request.name)
    cloud.iam.accounts.delete(account.email)
    cloud.iam.forget(account.name)
    return message("google.protobuf.Empty")()


@API.rpc("UndeleteServiceAccount", permission="iam.serviceAccounts.undelete")
async def undelete_account(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Within 30 days, by unique id."""
    restored = cloud.iam.accounts.undelete(request.name.rpartition("/")[2])
    return message("google.iam.admin.v1.UndeleteServiceAccountResponse")(restored_account=restored)


@API.rpc("EnableServiceAccount", permission="iam.serviceAccounts.enable")
async def enable_account(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Lets it get tokens again."""
    return _set_disabled(cloud, request.name, False)


@API.rpc("DisableServiceAccount", permission="iam.serviceAccounts.disable")
async def disable_account(cloud: Cloud, _call: Call, request: Message) -> Message:
    """It gets no tokens, and those it has are refused."""
    return _set_disabled(cloud, request.name, True)


def _set_disabled(cloud: Cloud, name: str, disabled: bool) -> Message:
    account = _account(cloud, name)
    account.disabled = disabled
    cloud.iam.accounts.save(account)
    return message("google.protobuf.Empty")()


def _check_texts(account: Message) -> None:
    if len(account.display_name.encode()) > 100:
        raise invalid("The display name must be at most 100 UTF-8 bytes.")
    if len(account.description.encode()) > 256:
        raise invalid("The description must be at most 256 UTF-8 bytes.")


def _check_etag(account: Message, given: Message) -> None:
    if given.etag and given.etag != account.etag:
        raise ApiError("ABORTED", "There were concurrent changes to the service account. Please read it again.")
