"""Cloud SQL's operations, which are over when they are answered; and by name what needs a machine of its own.

Backups, exports, imports and the connectors' certificates are refused: a copy that does not restore would be a lie.
"""

from local_cloud.apis.sql_admin import API, of_instance, of_project
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, not_found
from local_cloud.paging import page
from local_cloud.registry import Call
from local_cloud.sql.state import PACKAGE, Sql

#: What is refused, what it asks for, and what to do instead.
CONNECT = (
    "The local Postgres speaks plain TCP on loopback and has no certificates for Cloud SQL's connectors: connect to it "
    "by its URL."
)
COPY = (
    "Nothing of the local Postgres is copied or restored by Cloud SQL here: pg_dump and pg_restore at its URL do that."
)
REFUSED = {
    "SqlBackupRunsService.Insert": ("cloudsql.backupRuns.create", COPY),
    "SqlInstancesService.Export": ("cloudsql.instances.export", COPY),
    "SqlInstancesService.Import": ("cloudsql.instances.import", COPY),
    "SqlInstancesService.RestoreBackup": ("cloudsql.instances.restoreBackup", COPY),
    "SqlConnectService.GetConnectSettings": ("cloudsql.instances.get", CONNECT),
    "SqlConnectService.GenerateEphemeralCert": ("cloudsql.instances.connect", CONNECT),
}
MAX_PAGE = 500


def _refuse(method: str, permission: str, why: str) -> None:
    @API.rpc(method, permission=permission, resource=of_instance)
    async def refuse(cloud: Cloud, _call: Call, request: Message) -> Message:
        cloud.use(Sql).instance(request.instance)
        raise ApiError("UNIMPLEMENTED", f"{method.partition('.')[2]} is not emulated. {why}")


for _method, (_permission, _why) in REFUSED.items():
    _refuse(_method, _permission, _why)


@API.rpc("SqlBackupRunsService.List", permission="cloudsql.backupRuns.list", resource=of_instance)
async def list_backups(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The backups of an instance: none is ever made."""
    cloud.use(Sql).instance(request.instance)
    return message(f"{PACKAGE}.BackupRunsListResponse")(kind="sql#backupRunsList")


@API.rpc("SqlOperationsService.Get", permission="cloudsql.instances.get", resource=of_project)
async def get_operation(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read an operation."""
    found = cloud.use(Sql).operations.get(request.operation)
    if found is None:
        raise not_found("Not Found: the operation does not exist.")
    return found


@API.rpc("SqlOperationsService.List", permission="cloudsql.instances.get", resource=of_project)
async def list_operations(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The operations of an instance, newest first."""
    sql = cloud.use(Sql)
    found = [made for made in sql.operations.values() if request.instance in ("", made.target_id)][::-1]
    taken, token = page(found, min(request.max_results, MAX_PAGE), request.page_token, default=MAX_PAGE, most=MAX_PAGE)
    answer = message(f"{PACKAGE}.OperationsListResponse")
    return answer(kind="sql#operationsList", items=taken, next_page_token=token)
