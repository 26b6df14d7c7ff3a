"""Cloud SQL Admin v1beta4's plain part: instances, databases, users and operations are kept and read back.

No server is run here; whoever owns the stack runs Postgres and says where it is. Every operation is DONE when it is
answered. Source: google/cloud/sql/v1beta4/*.proto, https://cloud.google.com/sql/docs/mysql/admin-api/rest/v1beta4.
"""

import re
import uuid

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, already_exists, failed_precondition, invalid, not_found
from local_cloud.plain import page
from local_cloud.registry import Api, Call
from local_cloud.secrets import stamp

_PACKAGE = "google.cloud.sql.v1beta4"
API = Api(
    "sqladmin",
    services=[
        f"{_PACKAGE}.{service}"
        for service in ("SqlInstancesService", "SqlDatabasesService", "SqlUsersService", "SqlOperationsService")
    ],
)
INSTANCE, DATABASE, USER, OPERATION = (
    f"{_PACKAGE}.{kind}" for kind in ("DatabaseInstance", "Database", "User", "Operation")
)
_INSTANCE_ID = re.compile(r"[a-z][a-z0-9-]{0,96}[a-z0-9]")


class Sql:
    """What is kept: instances by name, databases and users by instance/name, operations by id."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.instances = cloud.store.messages("sql.instances", INSTANCE)
        self.databases = cloud.store.messages("sql.databases", DATABASE)
        self.users = cloud.store.messages("sql.users", USER)
        self.operations = cloud.store.messages("sql.operations", OPERATION)

    def instance(self, name: str) -> Message:
        """An instance, or the 404 that hides whether it exists."""
        found = self.instances.get(name)
        if found is None:
            raise ApiError("NOT_FOUND", "The Cloud SQL instance does not exist.")
        return found

    def link(self, *parts: str) -> str:
        """A self link."""
        return "/".join(("https://sqladmin.googleapis.com/sql/v1beta4/projects", self.cloud.project, *parts))

    def done(self, call: Call, kind: str, instance: str) -> Message:
        """An operation that is over."""
        made = message(OPERATION)(kind="sql#operation", name=str(uuid.uuid4()), target_id=instance)
        made.target_project, made.user = self.cloud.project, call.principal.email
        made.target_link, made.self_link = self.link("instances", instance), self.link("operations", made.name)
        for field, value in (("operation_type", kind), ("status", "DONE")):
            values = made.DESCRIPTOR.fields_by_name[field].enum_type.values_by_name
            setattr(made, field, values[value].number)
        for moment in (made.insert_time, made.start_time, made.end_time):
            moment.FromNanoseconds(int(self.cloud.now() * 1000) * 1_000_000)
        self.operations[made.name] = made
        return made


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load what is kept."""
    cloud.provide(Sql(cloud))


def _project(request: Message) -> str:
    return f"projects/{request.project}"


def _instance(request: Message) -> str:
    return f"projects/{request.project}/instances/{request.instance}"


@API.rpc("SqlInstancesService.Insert", permission="cloudsql.instances.create", resource=_project)
async def insert_instance(cloud: Cloud, call: Call, request: Message) -> Message:
    """Keep a new instance, with what a running one shows."""
    sql, made = cloud.use(Sql), message(INSTANCE)()
    made.CopyFrom(request.body)
    if not _INSTANCE_ID.fullmatch(made.name):
        raise invalid(f"Invalid request: Invalid value for: Invalid instance name ({made.name}).")
    if made.name in sql.instances:
        raise already_exists("The Cloud SQL instance already exists. When you delete an instance, you can't reuse the "
                             "name of the deleted instance until one week from the deletion date.")  # fmt: skip
    if not made.settings.tier:
        raise invalid("Invalid request: Missing parameter: tier.")
    made.kind, made.project, made.region = "sql#instance", cloud.project, made.region or cloud.location
    made.ClearField("root_password")
    made.connection_name = f"{cloud.project}:{made.region}:{made.name}"
    made.self_link, made.gce_zone = sql.link("instances", made.name), f"{made.region}-a"
    made.service_account_email_address = (
        f"p{cloud.settings.project_number}-sluice@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    )
    values = made.DESCRIPTOR.fields_by_name
    made.state = values["state"].enum_type.values_by_name["RUNNABLE"].number
    made.backend_type = values["backend_type"].enum_type.values_by_name["SECOND_GEN"].number
    made.instance_type = values["instance_type"].enum_type.values_by_name["CLOUD_SQL_INSTANCE"].number
    made.create_time.FromNanoseconds(int(cloud.now() * 1000) * 1_000_000)
    made.ip_addresses.add(ip_address="127.0.0.1", type=1)
    _complete_settings(made, None)
    stamp(made)
    sql.instances[made.name] = made
    _keep_database(sql, message(DATABASE)(name="postgres", instance=made.name))
    _keep_user(sql, message(USER)(name="postgres", instance=made.name))
    return sql.done(call, "CREATE", made.name)


def _complete_settings(made: Message, current: Message | None) -> None:
    settings = made.settings
    settings.kind = "sql#settings"
    settings.settings_version.value = current.settings.settings_version.value + 1 if current is not None else 1
    if not settings.HasField("data_disk_size_gb"):
        settings.data_disk_size_gb.value = 10
    fields = settings.DESCRIPTOR.fields_by_name
    defaults = {"edition": "ENTERPRISE", "data_disk_type": "PD_SSD", "connector_enforcement": "NOT_REQUIRED"}
    for field, name in defaults.items():
        if not getattr(settings, field):
            setattr(settings, field, fields[field].enum_type.values_by_name[name].number)


@API.rpc("SqlInstancesService.Get", permission="cloudsql.instances.get", resource=_instance)
async def get_instance(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read an instance."""
    return cloud.use(Sql).instance(request.instance)


@API.rpc("SqlInstancesService.List", permission="cloudsql.instances.list", resource=_project)
async def list_instances(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All instances."""
    found = cloud.use(Sql).instances.values()
    taken, token = page(found, request.max_results, request.page_token, lambda i: str(i.name))
    answer = message(f"{_PACKAGE}.InstancesListResponse")
    return answer(kind="sql#instancesList", items=taken, next_page_token=token)


@API.rpc("SqlInstancesService.Update", permission="cloudsql.instances.update", resource=_instance)
async def update_instance(cloud: Cloud, call: Call, request: Message) -> Message:
    """Replace an instance's settings."""
    return _change(cloud, call, request, replace=True)


@API.rpc("SqlInstancesService.Patch", permission="cloudsql.instances.update", resource=_instance)
async def patch_instance(cloud: Cloud, call: Call, request: Message) -> Message:
    """Change the settings that are given."""
    return _change(cloud, call, request, replace=False)


def _change(cloud: Cloud, call: Call, request: Message, *, replace: bool) -> Message:
    sql = cloud.use(Sql)
    current, wanted = sql.instance(request.instance), request.body
    version = wanted.settings.settings_version.value
    if version and version != current.settings.settings_version.value:
        raise ApiError("FAILED_PRECONDITION", "The settings version is not the current one.", status=412)
    made = message(INSTANCE)()
    made.CopyFrom(current)
    if replace and wanted.HasField("settings"):
        made.settings.CopyFrom(wanted.settings)
    else:
        made.settings.MergeFrom(wanted.settings)
    made.database_version = wanted.database_version or made.database_version
    _complete_settings(made, current)
    stamp(made)
    sql.instances[made.name] = made
    return sql.done(call, "UPDATE", made.name)


@API.rpc("SqlInstancesService.Delete", permission="cloudsql.instances.delete", resource=_instance)
async def delete_instance(cloud: Cloud, call: Call, request: Message) -> Message:
    """Forget an instance with its databases and users, unless it is protected."""
    sql = cloud.use(Sql)
    found = sql.instance(request.instance)
    if found.settings.deletion_protection_enabled.value:
        raise failed_precondition("The instance is protected. Please disable the deletion protection and try again.")
    del sql.instances[request.instance]
    for kept in (sql.databases, sql.users):
        for key, _ in kept.items():
            if key.startswith(f"{request.instance}/"):
                kept.pop(key)
    return sql.done(call, "DELETE", request.instance)


def _keep_database(sql: Sql, made: Message) -> None:
    made.kind, made.project = "sql#database", sql.cloud.project
    made.charset, made.collation = made.charset or "UTF8", made.collation or "en_US.UTF8"
    made.self_link = sql.link("instances", made.instance, "databases", made.name)
    stamp(made)
    sql.databases[f"{made.instance}/{made.name}"] = made


def _database(sql: Sql, request: Message) -> Message:
    sql.instance(request.instance)
    found = sql.databases.get(f"{request.instance}/{request.database}")
    if found is None:
        raise not_found("Not Found: the database does not exist.")
    return found


@API.rpc("SqlDatabasesService.Insert", permission="cloudsql.databases.create", resource=_instance)
async def insert_database(cloud: Cloud, call: Call, request: Message) -> Message:
    """Keep a new database."""
    sql, made = cloud.use(Sql), message(DATABASE)()
    sql.instance(request.instance)
    made.CopyFrom(request.body)
    made.instance = request.instance
    if not made.name:
        raise invalid("Invalid request: Missing parameter: name.")
    if f"{made.instance}/{made.name}" in sql.databases:
        raise already_exists(f"database '{made.name}' already exists")
    _keep_database(sql, made)
    return sql.done(call, "CREATE_DATABASE", request.instance)


@API.rpc("SqlDatabasesService.Get", permission="cloudsql.databases.get", resource=_instance)
async def get_database(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a database."""
    return _database(cloud.use(Sql), request)


@API.rpc("SqlDatabasesService.List", permission="cloudsql.databases.list", resource=_instance)
async def list_databases(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The databases of an instance."""
    sql = cloud.use(Sql)
    sql.instance(request.instance)
    found = [d for key, d in sql.databases.items() if key.startswith(f"{request.instance}/")]
    return message(f"{_PACKAGE}.DatabasesListResponse")(kind="sql#databasesList", items=found)


@API.rpc("SqlDatabasesService.Patch", permission="cloudsql.databases.update", resource=_instance)
@API.rpc("SqlDatabasesService.Update", permission="cloudsql.databases.update", resource=_instance)
async def update_database(cloud: Cloud, call: Call, request: Message) -> Message:
    """Change a database's character set."""
    sql = cloud.use(Sql)
    found = _database(sql, request)
    found.charset = request.body.charset or found.charset
    found.collation = request.body.collation or found.collation
    _keep_database(sql, found)
    return sql.done(call, "UPDATE_DATABASE", request.instance)


@API.rpc("SqlDatabasesService.Delete", permission="cloudsql.databases.delete", resource=_instance)
async def delete_database(cloud: Cloud, call: Call, request: Message) -> Message:
    """Forget a database."""
    sql = cloud.use(Sql)
    _database(sql, request)
    del sql.databases[f"{request.instance}/{request.database}"]
    return sql.done(call, "DELETE_DATABASE", request.instance)


def _keep_user(sql: Sql, made: Message) -> None:
    made.kind, made.project = "sql#user", sql.cloud.project
    made.ClearField("password")  # never read back
    stamp(made)
    sql.users[f"{made.instance}/{made.name}"] = made


def _user(sql: Sql, request: Message) -> Message:
    sql.instance(request.instance)
    found = sql.users.get(f"{request.instance}/{request.name}")
    if found is None:
        raise not_found("Not Found: the user does not exist.")
    return found


@API.rpc("SqlUsersService.Insert", permission="cloudsql.users.create", resource=_instance)
async def insert_user(cloud: Cloud, call: Call, request: Message) -> Message:
    """Keep a new user."""
    sql, made = cloud.use(Sql), message(USER)()
    sql.instance(request.instance)
    made.CopyFrom(request.body)
    made.instance = request.instance
    if not made.name:
        raise invalid("Invalid request: Missing parameter: name.")
    _keep_user(sql, made)
    return sql.done(call, "CREATE_USER", request.instance)


@API.rpc("SqlUsersService.Get", permission="cloudsql.users.get", resource=_instance)
async def get_user(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a user."""
    return _user(cloud.use(Sql), request)


@API.rpc("SqlUsersService.List", permission="cloudsql.users.list", resource=_instance)
async def list_users(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The users of an instance."""
    sql = cloud.use(Sql)
    sql.instance(request.instance)
    found = [u for key, u in sql.users.items() if key.startswith(f"{request.instance}/")]
    return message(f"{_PACKAGE}.UsersListResponse")(kind="sql#usersList", items=found)


@API.rpc("SqlUsersService.Update", permission="cloudsql.users.update", resource=_instance)
async def update_user(cloud: Cloud, call: Call, request: Message) -> Message:
    """Change a user (its password is not kept)."""
    sql = cloud.use(Sql)
    found = _user(sql, request)
    found.MergeFrom(request.body)
    found.instance = request.instance
    _keep_user(sql, found)
    return sql.done(call, "UPDATE_USER", request.instance)


@API.rpc("SqlUsersService.Delete", permission="cloudsql.users.delete", resource=_instance)
async def delete_user(cloud: Cloud, call: Call, request: Message) -> Message:
    """Forget a user."""
    sql = cloud.use(Sql)
    _user(sql, request)
    del sql.users[f"{request.instance}/{request.name}"]
    return sql.done(call, "DELETE_USER", request.instance)


@API.rpc("SqlOperationsService.Get", permission="cloudsql.instances.get", resource=_project)
async def get_operation(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read an operation."""
    found = cloud.use(Sql).operations.get(request.operation)
    if found is None:
        raise not_found("Not Found: the operation does not exist.")
    return found


@API.rpc("SqlOperationsService.List", permission="cloudsql.instances.get", resource=_project)
async def list_operations(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The operations of an instance, newest first."""
    found = [o for o in cloud.use(Sql).operations.values() if request.instance in ("", o.target_id)]
    answer = message(f"{_PACKAGE}.OperationsListResponse")
    return answer(kind="sql#operationsList", items=found[::-1])
