"""IAM admin v1: predefined and custom roles. What a role grants stands in local_cloud/iam/roles.py.

Source: google/iam/admin/v1/iam.proto and https://cloud.google.com/iam/docs/creating-custom-roles.
"""

import re
import secrets

from local_cloud.apis.iam import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, already_exists, failed_precondition, invalid, not_found
from local_cloud.iam.roles import KIND, UNDELETE_SECONDS, predefined
from local_cloud.paging import page
from local_cloud.registry import Call

_ROLE_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")
_PERMISSION = re.compile(r"[a-z][a-zA-Z0-9-]*\.[a-zA-Z0-9]+\.[a-zA-Z0-9]+")
FULL = 1  # google.iam.admin.v1.RoleView.FULL

#: Days after deletion for which an id stays taken.
ID_TAKEN_SECONDS = 37 * 86400


@API.rpc("ListRoles")
async def list_roles(cloud: Cloud, call: Call, request: Message) -> Message:
    """Google's roles, or the project's own when a parent is named."""
    full = request.view == FULL
    if not request.parent:
        found = [role.to_message(full=full) for role in predefined().values()]
    else:
        parent = cloud.canonical(request.parent)
        cloud.iam.require(call.principal, "iam.roles.list", parent)
        kept = [role for role in cloud.iam.roles.custom.values() if request.show_deleted or not role.deleted]
        found = [_shown(role, full) for role in kept]
    items, token = page(found, request.page_size, request.page_token, default=300, most=1000)
    return message("google.iam.admin.v1.ListRolesResponse")(roles=items, next_page_token=token)


@API.rpc("GetRole")
async def get_role(cloud: Cloud, call: Call, request: Message) -> Message:
    """A role with its permissions."""
    if request.name in predefined():
        return predefined()[request.name].to_message(full=True)
    if request.name.startswith("projects/"):
        cloud.iam.require(call.principal, "iam.roles.get", "/".join(request.name.split("/")[:2]))
    return _role(cloud, request.name)


@API.rpc("CreateRole", permission="iam.roles.create", resource=lambda r: str(r.parent))
async def create_role(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A new custom role."""
    if not _ROLE_ID.fullmatch(request.role_id):
        raise invalid(f'The role id "{request.role_id}" must match [a-zA-Z0-9_.]{{3,64}}.')
    name = f"{cloud.canonical(request.parent)}/roles/{request.role_id}"
    kept = cloud.iam.roles.custom.get(name)
    if kept is not None and kept.deleted:
        if cloud.now() - cloud.iam.roles.deleted_at[name] < ID_TAKEN_SECONDS:
            raise failed_precondition(
                f"You can't create a role with role_id ({request.role_id}) where there is an existing role with that "
                "role_id in a deleted state."
            )
    elif kept is not None:
        raise already_exists(f"A role named {request.role_id} in {request.parent} already exists.")
    role = message(KIND)()
    role.CopyFrom(request.role)
    role.name, role.deleted = name, False
    _check(role)
    cloud.iam.roles.deleted_at.pop(name)
    return _keep(cloud, role)


@API.rpc("UpdateRole", permission="iam.roles.update", resource=lambda r: "/".join(r.name.split("/")[:2]))
async def update_role(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Changes what the mask names, or everything that is given."""
    role = message(KIND)()
    role.CopyFrom(_role(cloud, request.name))
    if request.role.etag and request.role.etag != role.etag:
        raise ApiError("ABORTED", "There were concurrent changes to the role. Please read it again and retry.")
    if role.deleted:
        raise failed_precondition(f"You can't update role ({role.name}) in a deleted state.")
    paths = list(request.update_mask.paths) or [f.name for f, _ in request.role.ListFields()]
    for path in paths:
        field = role.DESCRIPTOR.fields_by_name.get(path)
        if field is None:
            raise invalid(f"Invalid field mask: {path}.")
        if path == "included_permissions":
            del role.included_permissions[:]
            role.included_permissions.extend(request.role.included_permissions)
        elif path in ("title", "description", "stage"):
            setattr(role, path, getattr(request.role, path))
    _check(role)
    return _keep(cloud, role)


@API.rpc("DeleteRole", permission="iam.roles.delete", resource=lambda r: "/".join(r.name.split("/")[:2]))
async def delete_role(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Softly: it grants nothing, and can be undeleted for 7 days."""
    role = _role(cloud, request.name)
    if role.deleted:
        raise failed_precondition(f"You can't delete role_id ({role.name}) that is already deleted.")
    role.deleted = True
    cloud.iam.roles.deleted_at[role.name] = cloud.now()
    return _keep(cloud, role)


@API.rpc("UndeleteRole", permission="iam.roles.undelete", resource=lambda r: "/".join(r.name.split("/")[:2]))
async def undelete_role(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Brings it back with what it granted."""
    role = _role(cloud, request.name)
    if not role.deleted:
        raise failed_precondition(f"You can't undelete role ({role.name}) that is not deleted.")
    if cloud.now() - cloud.iam.roles.deleted_at[role.name] > UNDELETE_SECONDS:
        raise failed_precondition(f"You can't undelete role ({role.name}): it was deleted more than 7 days ago.")
    role.deleted = False
    cloud.iam.roles.deleted_at.pop(role.name)
    return _keep(cloud, role)


@API.rpc("QueryGrantableRoles")
async def query_grantable_roles(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Every role that is known: which of them make sense on a resource is not modelled."""
    full = request.view == FULL
    found = [role.to_message(full=full) for role in predefined().values()]
    found += [_shown(role, full) for role in cloud.iam.roles.custom.values() if not role.deleted]
    items, token = page(found, request.page_size, request.page_token, default=300, most=1000)
    return message("google.iam.admin.v1.QueryGrantableRolesResponse")(roles=items, next_page_token=token)


@API.rpc("QueryTestablePermissions")
async def query_testable_permissions(_cloud: Cloud, _call: Call, request: Message) -> Message:
    """Every permission that is known."""
    known = sorted({p for role in predefined().values() for p in role.permissions})
    items, token = page(known, request.page_size, request.page_token, default=100, most=1000)
    made = [{"name": name, "stage": "GA"} for name in items]
    return message("google.iam.admin.v1.QueryTestablePermissionsResponse")(permissions=made, next_page_token=token)


def _role(cloud: Cloud, name: str) -> Message:
    found = cloud.iam.roles.custom.get(cloud.canonical(name))
    since = cloud.now() - cloud.iam.roles.deleted_at[found.name] if found is not None and found.deleted else 0.0
    if found is None or since > ID_TAKEN_SECONDS:
        raise not_found(f"The role named {name} was not found.")
    return found


def _keep(cloud: Cloud, role: Message) -> Message:
    role.etag = b"\x07\x05" + secrets.token_bytes(6)
    cloud.iam.roles.custom[role.name] = role
    cloud.iam.changed()
    return role


def _check(role: Message) -> None:
    for permission in role.included_permissions:
        if not _PERMISSION.fullmatch(permission):
            raise invalid(f"Permission {permission} is not valid.")
    if len(role.title) > 100:
        raise invalid("The role title must be at most 100 characters.")


def _shown(role: Message, full: bool) -> Message:
    if full:
        return role
    shown = message(KIND)()
    shown.CopyFrom(role)
    shown.ClearField("included_permissions")
    return shown
