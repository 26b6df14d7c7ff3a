"""Cloud SQL Admin v1beta4: instances. Databases, users and operations are the neighbours'.

No server is run here: whoever owns the stack runs Postgres and gives its URL (`--postgres`), and one server is one
instance. Every operation is DONE when it is answered. Source: google/cloud/sql/v1beta4/*.proto,
https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1beta4.
"""

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, failed_precondition
from local_cloud.plain import page
from local_cloud.registry import Api, Call
from local_cloud.secrets import stamp
from local_cloud.sql.rules import check_change, check_name, check_settings
from local_cloud.sql.server import SYSTEM_DATABASES
from local_cloud.sql.state import DATABASE, INSTANCE, PACKAGE, USER, Sql, number

API = Api(
    "sqladmin",
    services=[
        f"{PACKAGE}.{service}"
        for service in (
            "SqlInstancesService",
            "SqlDatabasesService",
            "SqlUsersService",
            "SqlOperationsService",
            "SqlBackupRunsService",
            "SqlConnectService",
        )
    ],
)
ALREADY = (
    "The Cloud SQL instance already exists. When you delete an instance, you can't reuse the name of the deleted "
    "instance until one week from the deletion date."
)
PROTECTED = (
    "The instance is protected. Please disable the deletion protection and try again. To disable deletion protection, "
    "update the instance settings with deletionProtectionEnabled set to false."
)


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load what is kept, and make it where the server lacks it."""
    sql = Sql(cloud)
    cloud.provide(sql)
    await sql.restore()


def of_project(request: Message) -> str:
    """The resource of what is asked of the whole project."""
    return f"projects/{request.project}"


def of_instance(request: Message) -> str:
    """The resource of what is asked of an instance."""
    return f"projects/{request.project}/instances/{request.instance}"


@API.rpc("SqlInstancesService.Insert", permission="cloudsql.instances.create", resource=of_project)
async def insert_instance(cloud: Cloud, call: Call, request: Message) -> Message:
    """Keep a new instance, with what a running one shows; its roles are made where there is a server."""
    sql, made = cloud.use(Sql), message(INSTANCE)()
    made.CopyFrom(request.body)
    check_name(cloud.project, made.name)
    if made.name in sql.instances:
        raise ApiError("ALREADY_EXISTS", ALREADY)
    password = made.root_password
    made.ClearField("root_password")
    _complete(cloud, made)
    _complete_settings(made, None)
    check_settings(made)
    sql.check_place(made)
    stamp(made)
    sql.instances[made.name] = made
    server = sql.server_of(made.name)
    if server is not None:
        try:
            await server.prepare()
            if password:
                await server.change_user("postgres", password, (), revoke=False)
        except ApiError:
            sql.instances.pop(made.name)
            raise
    keep_database(sql, message(DATABASE)(name="postgres", instance=made.name))
    keep_user(sql, message(USER)(name="postgres", instance=made.name))
    return sql.done(call.principal.email, "CREATE", made.name)


def _complete(cloud: Cloud, made: Message) -> None:
    """What a running instance shows beside what was asked for."""
    sql = cloud.use(Sql)
    made.kind, made.project, made.region = "sql#instance", cloud.project, made.region or cloud.location
    made.database_version = made.database_version or number(made, "database_version", "MYSQL_8_0")
    made.connection_name = f"{cloud.project}:{made.region}:{made.name}"
    made.self_link, made.gce_zone = sql.link("instances", made.name), f"{made.region}-a"
    made.service_account_email_address = (
        f"p{cloud.settings.project_number}-sluice@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    )
    made.state = number(made, "state", "RUNNABLE")
    made.backend_type = number(made, "backend_type", "SECOND_GEN")
    made.instance_type = number(made, "instance_type", "CLOUD_SQL_INSTANCE")
    made.create_time.FromNanoseconds(int(cloud.now() * 1000) * 1_000_000)
    made.ip_addresses.add(ip_address="127.0.0.1", type=1)


def _complete_settings(made: Message, current: Message | None) -> None:
    settings = made.settings
    settings.kind = "sql#settings"
    settings.settings_version.value = current.settings.settings_version.value + 1 if current is not None else 1
    if not settings.HasField("data_disk_size_gb"):
        settings.data_disk_size_gb.value = current.settings.data_disk_size_gb.value if current is not None else 10
    defaults = {"edition": "ENTERPRISE", "data_disk_type": "PD_SSD", "connector_enforcement": "NOT_REQUIRED"}
    for field, name in defaults.items():
        if not getattr(settings, field):
            setattr(settings, field, number(settings, field, name))


@API.rpc("SqlInstancesService.Get", permission="cloudsql.instances.get", resource=of_instance)
async def get_instance(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read an instance."""
    return cloud.use(Sql).instance(request.instance)


@API.rpc("SqlInstancesService.List", permission="cloudsql.instances.list", resource=of_project)
async def list_instances(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All instances."""
    found = cloud.use(Sql).instances.values()
    taken, token = page(found, request.max_results, request.page_token, lambda i: str(i.name))
    answer = message(f"{PACKAGE}.InstancesListResponse")
    return answer(kind="sql#instancesList", items=taken, next_page_token=token)


@API.rpc("SqlInstancesService.Update", permission="cloudsql.instances.update", resource=of_instance)
async def update_instance(cloud: Cloud, call: Call, request: Message) -> Message:
    """Replace an instance's settings."""
    return _change(cloud, call, request, replace=True)


@API.rpc("SqlInstancesService.Patch", permission="cloudsql.instances.update", resource=of_instance)
async def patch_instance(cloud: Cloud, call: Call, request: Message) -> Message:
    """Change the settings that are given; lists and labels that are given are given whole."""
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
        _patch(made.settings, wanted.settings)
    made.database_version = wanted.database_version or made.database_version
    _complete_settings(made, current)
    check_settings(made)
    check_change(current, made)
    stamp(made)
    sql.instances[made.name] = made
    return sql.done(call.principal.email, "UPDATE", made.name)


def _patch(made: Message, wanted: Message) -> None:
    """What is given replaces what was: a `false` too, which merging would take for nothing, and lists as a whole."""
    for field, value in wanted.ListFields():
        if (
            field.is_repeated
            or field.message_type is None
            or field.message_type.full_name.startswith("google.protobuf.")
        ):
            made.ClearField(field.name)
            made.MergeFrom(type(wanted)(**{field.name: value}))
        else:
            _patch(getattr(made, field.name), value)


@API.rpc("SqlInstancesService.Delete", permission="cloudsql.instances.delete", resource=of_instance)
async def delete_instance(cloud: Cloud, call: Call, request: Message) -> Message:
    """Forget an instance and drop its databases and users, unless it is protected."""
    sql = cloud.use(Sql)
    found = sql.instance(request.instance)
    if found.settings.deletion_protection_enabled.value:
        raise failed_precondition(PROTECTED)
    server = sql.server_of(request.instance)
    if server is not None:
        for made in sql.below(sql.databases, request.instance):
            if made.name not in SYSTEM_DATABASES:
                await server.drop_database(made.name, force=True)
        for made in sql.below(sql.users, request.instance):
            if made.name != "postgres":
                await server.drop_user(made.name)
    for kept in (sql.databases, sql.users):
        for made in sql.below(kept, request.instance):
            kept.pop(f"{request.instance}/{made.name}")
    sql.instances.pop(request.instance)
    return sql.done(call.principal.email, "DELETE", request.instance)


def keep_database(sql: Sql, made: Message) -> None:
    """Keep a database with what one shows."""
    made.kind, made.project = "sql#database", sql.cloud.project
    made.charset, made.collation = made.charset or "UTF8", made.collation or "en_US.UTF8"
    made.self_link = sql.link("instances", made.instance, "databases", made.name)
    stamp(made)
    sql.databases[f"{made.instance}/{made.name}"] = made


def keep_user(sql: Sql, made: Message) -> None:
    """Keep a user without its password, which is never read back."""
    made.kind, made.project = "sql#user", sql.cloud.project
    made.ClearField("password")
    stamp(made)
    sql.users[f"{made.instance}/{made.name}"] = made
