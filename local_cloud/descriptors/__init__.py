"""Google's API surface as data: message classes and methods with their HTTP rules.

Owns the pool made from `google.pb.gz` (see build.py). It is a pool of its own, so that the cloud can live in one
process with Google's clients, whose generated classes have the same names. It knows nothing of handlers.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

#: A protobuf message whose class is made at run time; its fields are not known to a type checker.
Message = Any


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One `google.api.http` binding: verb, path template, and which field the body is ("*", a name or "")."""

    verb: str
    template: str
    body: str
    response_body: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: its gRPC path, its message classes and its REST bindings."""

    service: str
    name: str
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool
    rules: tuple[HttpRule, ...]

    @property
    def path(self) -> str:
        """The gRPC path."""
        return f"/{self.service}/{self.name}"

    @property
    def full_name(self) -> str:
        """As Google's own error messages write it: `google.cloud.tasks.v2.CloudTasks.CreateTask`."""
        return f"{self.service}.{self.name}"


@cache
def pool() -> DescriptorPool:
    """Every descriptor that the cloud knows."""
    data = gzip.decompress((Path(__file__).parent / "google.pb.gz").read_bytes())
    made = DescriptorPool()
    at = 0
    while at < len(data):  # a FileDescriptorSet: field 1, length, file; read so, since importing its class costs 80 ms
        size = shift = 0
        at += 1
        while True:
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        made.AddSerializedFile(data[at : at + size])
        at += size
    return made


@cache
def message(full_name: str) -> type[Message]:
    """The class of a message: `message("google.cloud.tasks.v2.Task")(name=...)`."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(full_name))


@cache
def enum(full_name: str) -> dict[str, int]:
    """The values of an enum by name."""
    found = pool().FindEnumTypeByName(full_name)
    return {value.name: value.number for value in found.values}


@cache
def methods(service: str) -> dict[str, Method]:
    """The methods of a service by name, in the order of its proto."""
    found: ServiceDescriptor = pool().FindServiceByName(service)
    file = message("google.protobuf.FileDescriptorProto").FromString(found.file.serialized_pb)
    declared = next(s for s in file.service if s.name == found.name)
    options = {m.name: m.options for m in declared.method}
    return {m.name: _method(service, m, options[m.name]) for m in found.methods}


def is_map(field: Any) -> bool:
    """Whether a field is a map (its entry type is generated, and the only kind with exactly these names)."""
    entry = field.message_type
    return entry is not None and entry.has_options and entry.name.endswith("Entry") and len(entry.fields) == 2


def _method(service: str, found: Any, options: Message) -> Method:
    return Method(
        service=service,
        name=found.name,
        request=message_factory.GetMessageClass(found.input_type),
        response=message_factory.GetMessageClass(found.output_type),
        client_streaming=found.client_streaming,
        server_streaming=found.server_streaming,
        rules=tuple(_rules(options)),
    )


def _rules(options: Message) -> Iterator[HttpRule]:
    extension = pool().FindExtensionByName("google.api.http")
    if not options.HasExtension(extension):
        return
    first = options.Extensions[extension]
    for rule in (first, *first.additional_bindings):
        verb = rule.WhichOneof("pattern")
        template = rule.custom.path if verb == "custom" else getattr(rule, verb)
        yield HttpRule(rule.custom.kind if verb == "custom" else verb.upper(), template, rule.body, rule.response_body)


__all__ = [
    "Descriptor",
    "FieldDescriptor",
    "HttpRule",
    "Message",
    "Method",
    "enum",
    "is_map",
    "message",
    "methods",
    "pool",
]
