"""Cloud SQL's databases: kept, and made or dropped on the instance's server. Collations are only kept."""

from local_cloud.apis.sql_admin import API, keep_database, of_instance
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import already_exists, invalid, not_found
from local_cloud.registry import Call
from local_cloud.sql.server import SYSTEM_DATABASES
from local_cloud.sql.state import DATABASE, PACKAGE, Sql

#: Postgres cuts longer names off.
LONGEST = 63


@API.rpc("SqlDatabasesService.Insert", permission="cloudsql.databases.create", resource=of_instance)
async def insert_database(cloud: Cloud, call: Call, request: Message) -> Message:
    """Make a database."""
    sql, made = cloud.use(Sql), message(DATABASE)()
    sql.instance(request.instance)
    made.CopyFrom(request.body)
    made.instance = request.instance
    if not made.name:
        raise invalid("Invalid request: Missing parameter: name.")
    if len(made.name.encode()) > LONGEST or "\0" in made.name + made.charset:
        raise invalid(f"Invalid request: Invalid database name ({made.name}): at most {LONGEST} bytes.")
    if f"{made.instance}/{made.name}" in sql.databases:
        raise already_exists(f"database '{made.name}' already exists")
    server = sql.server_of(made.instance)
    if server is not None:
        if made.name in SYSTEM_DATABASES:
            raise invalid(f"Invalid request: failed to create database {made.name}: it is a system database.")
        await server.make_database(made.name, made.charset)
    keep_database(sql, made)
    return sql.done(call.principal.email, "CREATE_DATABASE", request.instance)


@API.rpc("SqlDatabasesService.Get", permission="cloudsql.databases.get", resource=of_instance)
async def get_database(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a database."""
    return _database(cloud.use(Sql), request)


@API.rpc("SqlDatabasesService.List", permission="cloudsql.databases.list", resource=of_instance)
async def list_databases(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The databases of an instance."""
    sql = cloud.use(Sql)
    sql.instance(request.instance)
    found = list(sql.below(sql.databases, request.instance))
    return message(f"{PACKAGE}.DatabasesListResponse")(kind="sql#databasesList", items=found)


@API.rpc("SqlDatabasesService.Patch", permission="cloudsql.databases.update", resource=of_instance)
@API.rpc("SqlDatabasesService.Update", permission="cloudsql.databases.update", resource=of_instance)
async def update_database(cloud: Cloud, call: Call, request: Message) -> Message:
    """Change a database's character set and collation, which Postgres cannot."""
    sql = cloud.use(Sql)
    found = message(DATABASE)()
    found.CopyFrom(_database(sql, request))
    before = found.charset, found.collation
    found.charset = request.body.charset or found.charset
    found.collation = request.body.collation or found.collation
    if sql.server_of(request.instance) is not None and (found.charset, found.collation) != before:
        raise invalid("Invalid request: charset and collation of a Postgres database cannot be changed.")
    keep_database(sql, found)
    return sql.done(call.principal.email, "UPDATE_DATABASE", request.instance)


@API.rpc("SqlDatabasesService.Delete", permission="cloudsql.databases.delete", resource=of_instance)
async def delete_database(cloud: Cloud, call: Call, request: Message) -> Message:
    """Drop a database that nobody is connected to."""
    sql = cloud.use(Sql)
    _database(sql, request)
    server = sql.server_of(request.instance)
    if server is not None:
        if request.database in SYSTEM_DATABASES:
            raise invalid(f"Invalid request: failed to delete database {request.database}: it is a system database.")
        await server.drop_database(request.database)
    sql.databases.pop(f"{request.instance}/{request.database}")
    return sql.done(call.principal.email, "DELETE_DATABASE", request.instance)


def _database(sql: Sql, request: Message) -> Message:
    sql.instance(request.instance)
    found = sql.databases.get(f"{request.instance}/{request.database}")
    if found is None:
        raise not_found("Not Found: the database does not exist.")
    return found
