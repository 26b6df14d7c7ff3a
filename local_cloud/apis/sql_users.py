"""Cloud SQL's users: kept, and made or dropped as login roles on the instance's server.

A BUILT_IN user has a password and is a member of cloudsqlsuperuser; an IAM user has none and is named by its address, a
service account's without `.gserviceaccount.com`. Whether a login shows a token of its account is the server's affair.
Source: https://cloud.google.com/sql/docs/postgres/users, .../add-manage-iam-users.
"""

from local_cloud.apis.sql_admin import API, keep_user, of_instance
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import invalid, not_found
from local_cloud.registry import Call
from local_cloud.sql.server import MEMBER_OF
from local_cloud.sql.state import PACKAGE, USER, Sql, user_type

#: Postgres cuts longer names off.
LONGEST = 63
_SUFFIX = ".gserviceaccount.com"


@API.rpc("SqlUsersService.Insert", permission="cloudsql.users.create", resource=of_instance)
async def insert_user(cloud: Cloud, call: Call, request: Message) -> Message:
    """Make a user; one that is there gets the password that is given."""
    sql, made = cloud.use(Sql), message(USER)()
    sql.instance(request.instance)
    made.CopyFrom(request.body)
    made.instance = request.instance
    _check(made)
    password, kind = made.password, user_type(made)
    if kind == "CLOUD_IAM_SERVICE_ACCOUNT":
        made.iam_email = f"{made.name}{_SUFFIX}"
    elif kind != "BUILT_IN":
        made.iam_email = made.name
    server = sql.server_of(made.instance)
    if server is not None:
        if kind not in MEMBER_OF:
            raise invalid(f"Invalid request: users of type {kind} cannot be made on the local Postgres.")
        await server.make_user(made.name, kind, password, list(made.database_roles))
    keep_user(sql, made)
    return sql.done(call.principal.email, "CREATE_USER", request.instance)


@API.rpc("SqlUsersService.Get", permission="cloudsql.users.get", resource=of_instance)
async def get_user(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a user."""
    return _user(cloud.use(Sql), request)


@API.rpc("SqlUsersService.List", permission="cloudsql.users.list", resource=of_instance)
async def list_users(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The users of an instance."""
    sql = cloud.use(Sql)
    sql.instance(request.instance)
    found = list(sql.below(sql.users, request.instance))
    return message(f"{PACKAGE}.UsersListResponse")(kind="sql#usersList", items=found)


@API.rpc("SqlUsersService.Update", permission="cloudsql.users.update", resource=of_instance)
async def update_user(cloud: Cloud, call: Call, request: Message) -> Message:
    """Change a user's password or roles."""
    sql = cloud.use(Sql)
    found, kept = message(USER)(), _user(sql, request)
    found.CopyFrom(kept)
    found.MergeFrom(request.body)
    found.name, found.instance, found.type, password = kept.name, kept.instance, kept.type, request.body.password
    if password and user_type(found) != "BUILT_IN":
        raise invalid("Invalid request: an IAM user has no password.")
    roles = list(dict.fromkeys([*request.database_roles, *request.body.database_roles]))
    revoke = request.revoke_existing_roles
    del found.database_roles[:]
    found.database_roles.extend(dict.fromkeys([*([] if revoke else kept.database_roles), *roles]))
    server = sql.server_of(request.instance)
    if server is not None:
        await server.change_user(found.name, password, roles, revoke=revoke)
    keep_user(sql, found)
    return sql.done(call.principal.email, "UPDATE_USER", request.instance)


@API.rpc("SqlUsersService.Delete", permission="cloudsql.users.delete", resource=of_instance)
async def delete_user(cloud: Cloud, call: Call, request: Message) -> Message:
    """Drop a user that nothing depends on."""
    sql = cloud.use(Sql)
    _user(sql, request)
    server = sql.server_of(request.instance)
    if server is not None:
        if request.name == "postgres":
            raise invalid("Invalid request: failed to delete user postgres: it administers the server.")
        await server.drop_user(request.name)
    sql.users.pop(f"{request.instance}/{request.name}")
    return sql.done(call.principal.email, "DELETE_USER", request.instance)


def _check(made: Message) -> None:
    if not made.name:
        raise invalid("Invalid request: Missing parameter: name.")
    if len(made.name.encode()) > LONGEST or "\0" in made.name:
        raise invalid(f"Invalid request: User name ({made.name}) to be created is too long (max {LONGEST}).")
    kind = user_type(made)
    if kind == "CLOUD_IAM_SERVICE_ACCOUNT" and made.name.endswith(_SUFFIX):
        raise invalid(
            f'Invalid request: Database username for Cloud IAM service account should be created without "{_SUFFIX}" '
            "suffix."
        )
    if kind != "BUILT_IN":
        if "@" not in made.name:
            raise invalid(f"Invalid request: the name of a user of type {kind} is an address, not {made.name}.")
        if made.password:
            raise invalid("Invalid request: an IAM user has no password.")


def _user(sql: Sql, request: Message) -> Message:
    sql.instance(request.instance)
    found = sql.users.get(f"{request.instance}/{request.name}")
    if found is None:
        raise not_found("Not Found: the user does not exist.")
    return found
