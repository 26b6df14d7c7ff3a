"""Schemas by the official client: revisions, what fits, and that a topic takes nothing else."""

import io
import uuid
from typing import Any

import fastavro
import grpc
import pytest
from google.api_core import exceptions
from google.pubsub_v1 import SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport
from google.pubsub_v1.types import Encoding, Schema, SchemaView

from local_cloud.pubsub.proto_text import ProtoError, parse
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT
from tests.local_cloud.pubsub.clients import Clients

PARENT = f"projects/{PROJECT}"
TYPES: Any = Schema.Type
ENCODINGS: Any = Encoding
AVRO = (
    '{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"},'
    ' {"name": "cents", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": null}]}'
)
PROTO = """
syntax = "proto3";
// An order.
message Order {
  string id = 1;
  int64 cents = 2 [deprecated = true];
  optional string note = 3;
  enum Kind { UNKNOWN = 0; CARD = 1; }
  Kind kind = 4;
  repeated Line lines = 5;
  map<string, int32> counts = 6;
  oneof by { string mail = 7; uint32 number = 8; }
  message Line { string what = 1; reserved 2, 3; }
}
"""


@pytest.fixture(scope="module")
def schemas(clients: Clients) -> Any:
    channel = grpc.insecure_channel(f"127.0.0.1:{clients.place.ports['grpc']}")
    return SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channel))


def made(schemas: Any, kind: str, definition: str) -> Any:
    schema = Schema(type_=TYPES[kind], definition=definition)
    return schemas.create_schema(parent=PARENT, schema=schema, schema_id=f"schema-{uuid.uuid4().hex[:8]}")


def binary(record: dict[str, Any]) -> bytes:
    import json

    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(AVRO)), record)
    return out.getvalue()


@pins(
    "pubsub",
    "Snapshots and schemas",
    "Schemas have revisions of one type: committed, listed with the latest first, rolled back to, deleted but for the "
    "last",
    documented="schema.proto",
)
def test_revisions_are_kept(schemas: Any) -> None:
    first = made(schemas, "AVRO", AVRO)
    changed = Schema(name=first.name, type_=Schema.Type.AVRO, definition='"string"')
    second = schemas.commit_schema(name=first.name, schema=changed)
    assert len(first.revision_id) == 8
    assert schemas.get_schema(name=first.name).definition == '"string"'
    assert schemas.get_schema(name=f"{first.name}@{first.revision_id}").definition == AVRO
    third = schemas.rollback_schema(name=first.name, revision_id=first.revision_id)
    assert (third.definition, third.revision_id != first.revision_id) == (AVRO, True)
    revisions = [schema.revision_id for schema in schemas.list_schema_revisions(name=first.name)]
    assert revisions == [third.revision_id, second.revision_id, first.revision_id]
    listed = {schema.name: schema for schema in schemas.list_schemas(parent=PARENT)}
    assert (listed[first.name].revision_id, listed[first.name].definition) == (third.revision_id, "")
    full = schemas.list_schemas(request={"parent": PARENT, "view": SchemaView.FULL})
    assert {schema.definition for schema in full if schema.name == first.name} == {AVRO}
    with pytest.raises(exceptions.InvalidArgument, match="type"):
        schemas.commit_schema(
            name=first.name, schema=Schema(name=first.name, type_=Schema.Type.PROTOCOL_BUFFER, definition=PROTO)
        )
    schemas.delete_schema_revision(name=f"{first.name}@{second.revision_id}")
    schemas.delete_schema_revision(name=f"{first.name}@{third.revision_id}")
    with pytest.raises(exceptions.FailedPrecondition):
        schemas.delete_schema_revision(name=f"{first.name}@{first.revision_id}")
    schemas.delete_schema(name=first.name)
    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource="):
        schemas.get_schema(name=first.name)


@pins(
    "pubsub",
    "Snapshots and schemas",
    "AVRO and PROTOCOL_BUFFER definitions are read; a message fits in JSON or in binary",
    documented="Schemas overview",
)
@pytest.mark.parametrize(
    ("kind", "encoding", "data", "fits"),
    [
        ("AVRO", "JSON", b'{"id": "a", "cents": 1, "note": null}', True),
        ("AVRO", "JSON", b'{"id": "a", "cents": "1", "note": null}', False),
        ("AVRO", "JSON", b'{"id": "a", "cents": 1, "note": null, "more": 1}', False),
        ("AVRO", "JSON", b"nonsense", False),
        ("AVRO", "BINARY", binary({"id": "a", "cents": 1, "note": "n"}), True),
        ("AVRO", "BINARY", binary({"id": "a", "cents": 1, "note": "n"}) + b"!", False),
        ("PROTOCOL_BUFFER", "JSON", b'{"id": "a", "kind": "CARD", "lines": [{"what": "x"}], "counts": {"a": 1}}', True),
        ("PROTOCOL_BUFFER", "JSON", b'{"id": 1}', False),
        ("PROTOCOL_BUFFER", "JSON", b'{"other": "a"}', False),
        ("PROTOCOL_BUFFER", "BINARY", b"\n\x01a\x10\x05", True),
        ("PROTOCOL_BUFFER", "BINARY", b"\n\x09a", False),
    ],
)
def test_messages_fit_or_do_not(schemas: Any, kind: str, encoding: str, data: bytes, fits: bool) -> None:
    schema = Schema(type_=TYPES[kind], definition=AVRO if kind == "AVRO" else PROTO)
    schemas.validate_schema(parent=PARENT, schema=schema)
    request = {"parent": PARENT, "schema": schema, "message": data, "encoding": ENCODINGS[encoding]}
    if fits:
        schemas.validate_message(request=request)
        return
    with pytest.raises(
        exceptions.InvalidArgument, match=r"^400 Invalid data in message: Message failed schema validation\.$"
    ):
        schemas.validate_message(request=request)


@pins(
    "pubsub",
    "Snapshots and schemas",
    "A topic with a schema takes only what fits one of its revisions, and tells which in googclient_ attributes; a "
    "topic whose schema was deleted takes nothing",
    documented="Schemas overview",
)
def test_topic_takes_only_what_fits(clients: Clients, schemas: Any) -> None:
    schema = made(schemas, "AVRO", AVRO)
    topic = clients.topic(schema_settings={"schema": schema.name, "encoding": Encoding.JSON})
    subscription = clients.subscription(topic)
    clients.send(topic, '{"id": "a", "cents": 1, "note": null}')
    with pytest.raises(exceptions.InvalidArgument, match="failed schema validation"):
        clients.send(topic, '{"id": "a", "cents": 1, "note": null}', "other")
    [received] = clients.pull(subscription)
    attributes = received.message.attributes
    assert (attributes["googclient_schemaencoding"], attributes["googclient_schemarevisionid"]) == (
        "JSON",
        schema.revision_id,
    )
    schemas.delete_schema(name=schema.name)
    assert clients.publisher.get_topic(topic=topic).schema_settings.schema == "_deleted-schema_"
    with pytest.raises(exceptions.InvalidArgument, match="deleted"):
        clients.send(topic, '{"id": "a", "cents": 1, "note": null}')
    with pytest.raises(exceptions.NotFound):
        clients.topic(schema_settings={"schema": f"{PARENT}/schemas/never", "encoding": Encoding.JSON})


@pytest.mark.parametrize(
    "definition",
    [
        "",
        "message Order {",
        "message Order { string id = 1; string id = 2; }",
        "message Order { string id = x; }",
        'import "other.proto"; message Order {}',
        "message Order {} message Second {}",
        "enum Only { A = 0; }",
        "message Order { Missing field = 1; }",
        'syntax = "proto3"; message Order { enum Kind { A = 1; } }',
        "service S {}",
        "message Order { $ }",
    ],
)
def test_definitions_that_describe_nothing_are_refused(schemas: Any, definition: str) -> None:
    schema = Schema(type_=Schema.Type.PROTOCOL_BUFFER, definition=definition)
    with pytest.raises(exceptions.InvalidArgument):
        schemas.validate_schema(parent=PARENT, schema=schema)


def test_avro_that_is_none_is_refused(schemas: Any) -> None:
    for definition in ("{", '"nothing"', '{"type": "record"}', "[" * 100_000):
        with pytest.raises(exceptions.InvalidArgument):
            schemas.validate_schema(parent=PARENT, schema=Schema(type_=Schema.Type.AVRO, definition=definition))


def test_proto2_wants_labels_and_errors_name_the_line() -> None:
    file = parse('syntax = "proto2"; message M { required int32 a = 1 [default = 3]; repeated group_ b = 2; }')
    assert [field.label for field in file.message_type[0].field] == [2, 3]
    with pytest.raises(ProtoError, match="Line 2: optional, required or repeated was expected"):
        parse("message M {\n int32 a = 1; }")
