"""The RPCs of schemas. What a schema is: local_cloud/pubsub/schema_law.py. Source: google/pubsub/v1/schema.proto."""

from local_cloud.apis.pubsub.api import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.plain import page
from local_cloud.pubsub import words
from local_cloud.pubsub.schema_law import check_definition, check_message
from local_cloud.pubsub.schema_store import SCHEMA, Schemas
from local_cloud.registry import Call

Empty = message("google.protobuf.Empty")
Schema = message(SCHEMA)
ListSchemasResponse = message("google.pubsub.v1.ListSchemasResponse")
ListSchemaRevisionsResponse = message("google.pubsub.v1.ListSchemaRevisionsResponse")
ValidateSchemaResponse = message("google.pubsub.v1.ValidateSchemaResponse")
ValidateMessageResponse = message("google.pubsub.v1.ValidateMessageResponse")
VIEWS = enum("google.pubsub.v1.SchemaView")


def named(cloud: Cloud, name: str) -> str:
    """A schema's canonical name; the revision after an @ is left where it is."""
    plain, at, revision = name.partition("@")
    return words.checked_name(cloud, plain, "schemas") + at + revision


def existing(cloud: Cloud, name: str) -> Message:
    """The schema, or the revision, of that name."""
    return cloud.use(Schemas).get(named(cloud, name))


API.iam_policies("projects/*/schemas/*", permission="pubsub.schemas", exists=existing)


def _without_revision(request: Message) -> str:
    return str(request.name).partition("@")[0]


def seen(schema: Message, view: int, default: str) -> Message:
    """BASIC leaves the definition out."""
    if (view or VIEWS[default]) == VIEWS["FULL"]:
        return schema
    made = Schema()
    made.CopyFrom(schema)
    made.ClearField("definition")
    return made


@API.rpc("CreateSchema", permission="pubsub.schemas.create")
async def create_schema(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A new schema with its first revision."""
    parent = words.checked_project(cloud, request.parent)
    name = words.checked_name(cloud, f"{parent}/schemas/{request.schema_id}", "schemas", new=True)
    return cloud.use(Schemas).create(name, request.schema)


@API.rpc("GetSchema", permission="pubsub.schemas.get", resource=_without_revision)
async def get_schema(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The latest revision, or the one that is named."""
    return seen(existing(cloud, request.name), request.view, "FULL")


@API.rpc("ListSchemas", permission="pubsub.schemas.list")
async def list_schemas(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The project's schemas, each as its latest revision."""
    words.checked_project(cloud, request.parent)
    taken, token = words.page(cloud.use(Schemas).all(), request)
    found = [seen(schema, request.view, "BASIC") for schema in taken]
    return ListSchemasResponse(schemas=found, next_page_token=token)


@API.rpc("ListSchemaRevisions", permission="pubsub.schemas.listRevisions")
async def list_schema_revisions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A schema's revisions, the latest first."""
    words.check_page_size(request.page_size)
    revisions = cloud.use(Schemas).revisions(named(cloud, request.name))
    order = {schema.revision_id: f"{index:04}" for index, schema in enumerate(revisions)}
    taken, token = page(revisions, request.page_size, request.page_token, lambda schema: order[schema.revision_id])
    found = [seen(schema, request.view, "BASIC") for schema in taken]
    return ListSchemaRevisionsResponse(schemas=found, next_page_token=token)


@API.rpc("CommitSchema", permission="pubsub.schemas.commit")
async def commit_schema(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Another revision."""
    return cloud.use(Schemas).commit(named(cloud, request.name), request.schema)


@API.rpc("RollbackSchema", permission="pubsub.schemas.rollback")
async def rollback_schema(cloud: Cloud, _call: Call, request: Message) -> Message:
    """An old definition as a new revision."""
    return cloud.use(Schemas).rollback(named(cloud, request.name), request.revision_id)


@API.rpc("DeleteSchemaRevision", permission="pubsub.schemas.delete", resource=_without_revision)
async def delete_schema_revision(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One revision goes."""
    name = f"{request.name}@{request.revision_id}" if request.revision_id else request.name
    return cloud.use(Schemas).delete_revision(named(cloud, name))


@API.rpc("DeleteSchema", permission="pubsub.schemas.delete")
async def delete_schema(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The schema goes with all of its revisions."""
    cloud.use(Schemas).delete(named(cloud, request.name))
    return Empty()


@API.rpc("ValidateSchema", permission="pubsub.schemas.validate")
async def validate_schema(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Whether a definition would be taken."""
    words.checked_project(cloud, request.parent)
    check_definition(request.schema)
    return ValidateSchemaResponse()


@API.rpc("ValidateMessage", permission="pubsub.schemas.validate")
async def validate_message(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Whether a message would fit a schema, one that is kept or one that comes along."""
    words.checked_project(cloud, request.parent)
    if request.WhichOneof("schema_spec") == "name":
        schema = existing(cloud, request.name)
    else:
        schema = request.schema
        check_definition(schema)
    check_message(schema, request.message, request.encoding)
    return ValidateMessageResponse()
