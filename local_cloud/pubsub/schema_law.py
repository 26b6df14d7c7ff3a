"""What a schema is and which messages fit it.

Owns definitions (AVRO by fastavro, PROTOCOL_BUFFER by proto_text.py and the descriptor pool) and the check of a message
in either encoding. Revisions and topics are schema_store.py's. Source: https://cloud.google.com/pubsub/docs/schemas.
"""

import io
from collections.abc import Callable
from functools import lru_cache

import orjson

from local_cloud.descriptors import Message, enum
from local_cloud.errors import ApiError, invalid

TYPES = enum("google.pubsub.v1.Schema.Type")
ENCODINGS = enum("google.pubsub.v1.Encoding")
#: The longest definition.
MAX_DEFINITION = 300_000
#: Whether a message's data fit, in an encoding.
Check = Callable[[bytes, int], bool]

DOES_NOT_FIT = "Invalid data in message: Message failed schema validation."


def check_definition(schema: Message) -> None:
    """Refuses a definition that describes nothing."""
    if schema.type not in (TYPES["AVRO"], TYPES["PROTOCOL_BUFFER"]):
        raise invalid("The schema type must be AVRO or PROTOCOL_BUFFER.")
    if not schema.definition:
        raise invalid("The schema definition must not be empty.")
    if len(schema.definition.encode()) > MAX_DEFINITION:
        raise invalid(f"The schema definition must not be longer than {MAX_DEFINITION} bytes.")
    checker(schema.type, schema.definition)


def check_message(schema: Message, data: bytes, encoding: int) -> None:
    """Refuses data that do not fit."""
    if encoding not in (ENCODINGS["JSON"], ENCODINGS["BINARY"]):
        raise invalid("The encoding must be JSON or BINARY.")
    if not checker(schema.type, schema.definition)(data, encoding):
        raise invalid(DOES_NOT_FIT)


@lru_cache(maxsize=256)
def checker(kind: int, definition: str) -> Check:
    """The check that a definition makes."""
    try:
        return _avro(definition) if kind == TYPES["AVRO"] else _proto(definition)
    except ApiError:
        raise
    except RecursionError:
        raise invalid("The schema definition is nested too deeply.") from None
    except Exception as error:  # each library has its own ways to say what is wrong
        raise invalid(f"The schema definition is not valid: {str(error) or type(error).__name__}") from None


def _avro(definition: str) -> Check:
    import fastavro  # costs a start 60 ms, and few clouds have a schema
    from fastavro.read import schemaless_reader
    from fastavro.validation import validate

    parsed = fastavro.parse_schema(orjson.loads(definition))

    def fits(data: bytes, encoding: int) -> bool:
        try:
            if encoding == ENCODINGS["BINARY"]:
                stream = io.BytesIO(data)
                schemaless_reader(stream, parsed, None)
                return not stream.read(1)
            [record] = fastavro.json_reader(io.StringIO(orjson.dumps(orjson.loads(data)).decode()), parsed)
            return bool(validate(record, parsed, raise_errors=False)) and _says_no_more(orjson.loads(data), parsed)
        except Exception:  # whatever it is, it does not fit
            return False

    return fits


def _says_no_more(data: object, parsed: object) -> bool:
    """A record in JSON has no fields but those of its schema."""
    if not isinstance(parsed, dict) or parsed.get("type") != "record" or not isinstance(data, dict):
        return True
    return set(data) <= {field["name"] for field in parsed["fields"]}


def _proto(definition: str) -> Check:
    from google.protobuf import descriptor_pool, json_format, message_factory

    from local_cloud.pubsub.proto_text import parse

    file = parse(definition)
    if len(file.message_type) != 1:
        raise invalid("The schema definition must have exactly one top-level message.")
    pool = descriptor_pool.DescriptorPool()
    made = pool.AddSerializedFile(file.SerializeToString())
    kind = message_factory.GetMessageClass(made.message_types_by_name[file.message_type[0].name])

    def fits(data: bytes, encoding: int) -> bool:
        try:
            message = kind()
            if encoding == ENCODINGS["BINARY"]:
                message.ParseFromString(data)
            else:
                json_format.Parse(data.decode(), message)
            return bool(message.IsInitialized())
        except Exception:  # whatever it is, it does not fit
            return False

    return fits
