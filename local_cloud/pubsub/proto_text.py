"""A .proto file's text as a descriptor: what schemas of type PROTOCOL_BUFFER need, and no more.

Reads both syntaxes: messages in messages, enums, oneofs, maps, every field type. Options, reserved ranges and comments
are passed over; services, extensions, groups and imports are refused, as a schema stands alone. Source: the language
specifications at https://protobuf.dev/reference/protobuf/proto3-spec.
"""

import re
from typing import Any, NoReturn

from google.protobuf import descriptor_pb2

_TOKEN = re.compile(
    r'\s+|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[\w.]+|-?[\w.]+|[{}()\[\];=<>,:/-]', re.DOTALL
)
_TYPES = {name[5:].lower(): number for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()}
_SCALARS = {name: number for name, number in _TYPES.items() if name not in ("message", "enum", "group")}
_LABELS = {"optional": 1, "required": 2, "repeated": 3}
_NAME = re.compile(r"[A-Za-z_]\w*")


class ProtoError(ValueError):
    """The text is no .proto file that could be a schema; the message says where."""


def parse(text: str) -> descriptor_pb2.FileDescriptorProto:
    """The file; types of fields that are no scalars are left for the descriptor pool to find."""
    return _Reader(text).file()


class _Reader:
    def __init__(self, text: str) -> None:
        self._words = _words(text)
        self._at = 0
        self._proto3 = False

    def file(self) -> descriptor_pb2.FileDescriptorProto:
        made = descriptor_pb2.FileDescriptorProto(name="schema.proto")
        while self._at < len(self._words):
            word = self._take()
            if word == "syntax":
                self._expect("=")
                syntax = self._take().strip("\"'")
                if syntax not in ("proto2", "proto3"):
                    self._fail("proto2 or proto3")
                self._proto3 = syntax == "proto3"
                made.syntax = syntax
                self._expect(";")
            elif word == "package":
                made.package = self._take()
                self._expect(";")
            elif word == "message":
                self._message(made.message_type.add())
            elif word == "enum":
                self._enum(made.enum_type.add())
            elif word == "option":
                self._skip()
            elif word != ";":
                self._at -= 1
                self._fail("a message or an enum")
        return made

    def _message(self, made: Any) -> None:
        made.name = self._name()
        self._expect("{")
        while (word := self._take()) != "}":
            if word == "message":
                self._message(made.nested_type.add())
            elif word == "enum":
                self._enum(made.enum_type.add())
            elif word == "oneof":
                self._oneof(made)
            elif word == "map" and self._peek() == "<":
                self._map(made)
            elif word in ("option", "reserved"):
                self._skip()
            elif word in ("extensions", "extend", "group"):
                self._fail("a field")
            elif word != ";":
                self._at -= 1
                self._field(made.field.add(), made)
        self._join_optionals(made)

    def _join_optionals(self, made: Any) -> None:
        """proto3's `optional` is a oneof of its own; those stand behind all others."""
        for field in made.field:
            if field.proto3_optional:
                field.oneof_index = len(made.oneof_decl)
                made.oneof_decl.add(name=f"_{field.name}")

    def _field(self, made: Any, within: Any, *, alone: bool = False) -> None:
        made.label = 1
        if not alone and self._peek() in _LABELS:
            word = self._take()
            made.label = _LABELS[word]
            made.proto3_optional = self._proto3 and word == "optional"
        elif not alone and not self._proto3:
            self._fail("optional, required or repeated")
        self._type(made)
        made.name = self._name()
        self._number(made)
        if within is not None and made.name in [other.name for other in within.field if other is not made]:
            raise ProtoError(f"The name {made.name} is taken twice.")

    def _type(self, made: Any) -> None:
        word = self._take()
        if word in _SCALARS:
            made.type = _SCALARS[word]
        elif re.fullmatch(r"\.?[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", word):
            made.type_name = word
        else:
            self._fail("a type")

    def _number(self, made: Any) -> None:
        self._expect("=")
        made.number = self._integer()
        if self._peek() == "[":
            self._skip(until="]")
        self._expect(";")

    def _oneof(self, made: Any) -> None:
        index = len(made.oneof_decl)
        made.oneof_decl.add(name=self._name())
        self._expect("{")
        while (word := self._take()) != "}":
            if word == "option":
                self._skip()
            elif word != ";":
                self._at -= 1
                field = made.field.add()
                self._field(field, made, alone=True)
                field.oneof_index = index

    def _map(self, made: Any) -> None:
        self._expect("<")
        entry = made.nested_type.add()
        key = entry.field.add(name="key", number=1, label=1)
        self._type(key)
        self._expect(",")
        value = entry.field.add(name="value", number=2, label=1)
        self._type(value)
        self._expect(">")
        field = made.field.add(name=self._name(), label=3)
        entry.name = "".join(part[:1].upper() + part[1:] for part in field.name.split("_")) + "Entry"
        entry.options.map_entry = True
        field.type_name = entry.name
        self._number(field)

    def _enum(self, made: Any) -> None:
        made.name = self._name()
        self._expect("{")
        while (word := self._take()) != "}":
            if word in ("option", "reserved"):
                self._skip()
            elif word != ";":
                self._expect("=")
                made.value.add(name=word, number=self._integer())
                if self._peek() == "[":
                    self._skip(until="]")
                self._expect(";")

    def _integer(self) -> int:
        word = self._take()
        word = f"-{self._take()}" if word == "-" else word
        try:
            return int(word, 0)
        except ValueError:
            self._fail("a number")

    def _name(self) -> str:
        word = self._take()
        if not _NAME.fullmatch(word):
            self._at -= 1
            self._fail("a name")
        return word

    def _skip(self, until: str = ";") -> None:
        while self._take() != until:
            pass

    def _peek(self) -> str:
        return self._words[self._at][0] if self._at < len(self._words) else ""

    def _take(self) -> str:
        if self._at >= len(self._words):
            raise ProtoError("The definition ends too early.")
        self._at += 1
        return self._words[self._at - 1][0]

    def _expect(self, word: str) -> None:
        if self._take() != word:
            self._at -= 1
            self._fail(f"'{word}'")

    def _fail(self, wanted: str) -> NoReturn:
        word, line = self._words[min(self._at, len(self._words) - 1)]
        raise ProtoError(f"Line {line}: {wanted} was expected, not '{word}'.")


def _words(text: str) -> list[tuple[str, int]]:
    """Words and signs with their lines; space and comments are left out."""
    found: list[tuple[str, int]] = []
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ProtoError(f"Line {line}: '{text[at]}' means nothing here.")
        word = match[0]
        if not word[0].isspace() and not word.startswith(("//", "/*")):
            found.append((word, line))
        line += word.count("\n")
        at = match.end()
    return found
