"""One YAML file as plain values that remember where they stand.

Owns reading: bytes to text to nodes to values, the place of every key and value, and the refusal of what makes a spec
hard to read (duplicate keys, aliases, tags, merge keys). Scalars follow YAML 1.2's core schema, so `on` and `1:30` are
text. Leaves alone what the values mean: the models do that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from spec.errors import Finding, Where, spell
from spec.yaml_errors import not_yaml, unreadable

#: A spec is read by people; what is larger than this is some other file.
LARGEST_FILE = 256 * 1024

#: Keys nest this deep at most; no model comes close.
DEEPEST = 16

Path_ = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?\d+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_LONGEST_NUMBER = 40
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "value")
)


class IntScalar(int):
    """A whole number that remembers how it was written."""

    text: str


class FloatScalar(float):
    """A number that remembers how it was written, so that 5.10 stays 5.10 where text is wanted."""

    text: str


def scalar_text(value: object) -> object:
    """Return a scalar as the text that stands in the file; anything else as it is."""
    if isinstance(value, IntScalar | FloatScalar):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


@dataclass(slots=True)
class Source:
    """A file's values, with the place of each; not changed, since whoever reads the same text again gets the same."""

    file: Path
    first_line: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    key_places: dict[Path_, Where] = field(default_factory=dict)
    value_places: dict[Path_, Where] = field(default_factory=dict)

    def at(self, *path: str | int) -> Where:
        """Return where a value stands, or else the nearest thing around it that is in the file."""
        return self._nearest(path, self.value_places)

    def at_key(self, *path: str | int) -> Where:
        """Return where a key stands, or else the nearest thing around it that is in the file."""
        return self.key_places.get(path) or self._nearest(path, self.value_places)

    def under(self, over: Source) -> Source:
        """Return what both say, with what the other says over this; a value stands where it was said."""
        return Source(
            self.file,
            first_line=self.first_line,
            values=laid_over(self.values, over.values),
            key_places=self.key_places | over.key_places,
            value_places=self.value_places | over.value_places,
        )

    def _nearest(self, path: Path_, places: dict[Path_, Where]) -> Where:
        for length in range(len(path), 0, -1):
            if place := places.get(path[:length]):
                return place
        return Where(self.file)


def read(path: Path, shown_as: Path, findings: list[Finding]) -> Source | None:
    """Read one file; what is wrong with it is added to the findings, and None returned if nothing can be used."""
    text = read_text(path, shown_as, findings)
    return None if text is None else parse(text, shown_as, findings)


def parse(text: str, shown_as: Path, findings: list[Finding]) -> Source | None:
    """Read a file's text; what is wrong with it is added to the findings, and None returned if nothing can be used."""
    source, found = _parsed(text, shown_as)
    findings.extend(found)
    return source


@lru_cache(maxsize=1024)
def _parsed(text: str, shown_as: Path) -> tuple[Source | None, tuple[Finding, ...]]:
    """The values of a text, and what is wrong with it. A deployment reads the same specs half a dozen times."""
    source = Source(shown_as, first_line=text.partition("\n")[0].rstrip("\r"))
    try:
        if unwanted := _unwanted(text, shown_as):
            return None, (unwanted,)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        return None, (not_yaml(error, text, shown_as),)
    if root is None or (isinstance(root, yaml.ScalarNode) and root.value == ""):
        what, fix = "the file is empty", "write the keys that its schema requires, or delete the file"
        return None, (unreadable(Where(shown_as), what, fix),)
    if not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        what, fix = f"{kind} stands where keys are expected", "write `key: value` lines at the left margin"
        return None, (unreadable(_place(root, shown_as), what, fix),)
    findings: list[Finding] = []
    source.values = _Reader(source, findings).mapping(root, ())
    return (None if findings else source), tuple(findings)


def laid_over(below: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return one file's values with another's over them, key by key; a null takes away what stands below."""
    both = dict(below)
    for key, value in over.items():
        there = both.get(key)
        if value is None:
            both.pop(key, None)
        elif isinstance(value, Mapping):
            both[key] = laid_over(there if isinstance(there, Mapping) else {}, value)
        else:
            both[key] = value
    return both


class _Reader:
    """Turns nodes into values and writes down where each stands."""

    def __init__(self, source: Source, findings: list[Finding]) -> None:
        self.source, self.findings = source, findings

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node, self.source.file)
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(place, path, "a list or mapping is used as a key", "write a plain word as key")
                continue
            key = key_node.value
            here = (*path, key)
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._refuse(place, here, "merge keys are not read", "write the keys out: a spec is read alone")
            elif here in self.source.key_places:
                first = self.source.key_places[here].line
                fix = f"delete one of the two: line {first} or line {place.line}"
                self._refuse(place, here, f"the key stands here again, after line {first}", fix, _LAST_WINS)
            else:
                self.source.key_places[here] = place
                values[key] = self.value(value_node, here)
        return values

    def value(self, node: yaml.Node, path: Path_) -> Any:
        place = _place(node, self.source.file)
        self.source.value_places[path] = place
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if node.tag not in _PLAIN_TAGS:
            self._refuse(place, path, f"the tag {node.tag} is not read", "write the plain value without a tag")
            return None
        return _scalar(node) if isinstance(node, yaml.ScalarNode) else None

    def _refuse(self, place: Where, path: Path_, what: str, fix: str, breaks: str = "") -> None:
        self.findings.append(unreadable(place, what, fix, breaks, key=spell(path)))


_LAST_WINS = "the last one would win in silence, so a reader of the first sees a setting that is not in force"


def _unwanted(text: str, file: Path) -> Finding | None:
    """Refuse an alias, and nesting so deep that composing it could exhaust the stack of the parser."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            fix = "write the value out: a spec is read alone"
            return unreadable(_place(event, file), f"an alias is used (*{event.anchor})", fix)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            return unreadable(_place(event, file), "nested too deep to be a spec", "write the few keys of the schema")
    return None


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    if node.style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INT.fullmatch(text):
        whole = IntScalar(text)
        whole.text = text
        return whole
    if _FLOAT.fullmatch(text):
        number = FloatScalar(text.replace(".inf", "inf").replace(".nan", "nan") if text[-1].isalpha() else text)
        number.text = text
        return number
    return text


def read_text(path: Path, shown_as: Path, findings: list[Finding]) -> str | None:
    """Read one file's text; what is wrong with it is added to the findings, and None returned."""
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        what, fix = (
            "this is a folder, not a file",
            "rename the folder so that it does not end in .yaml, or move the file here",
        )
        findings.append(unreadable(Where(shown_as), what, fix))
        return None
    except OSError as error:
        reason = "its link points nowhere" if path.is_symlink() else (error.strerror or str(error))
        fix = "repair or delete the link" if path.is_symlink() else "make the file readable"
        findings.append(unreadable(Where(shown_as), f"the file cannot be read: {reason}", fix))
        return None
    if len(data) > LARGEST_FILE:
        what = f"{len(data)} bytes are too many for a spec; {LARGEST_FILE} are allowed"
        findings.append(unreadable(Where(shown_as), what, "move what is not a spec to another folder"))
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Where(shown_as, before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1)
        what = f"byte 0x{data[error.start]:02x} is not UTF-8"
        findings.append(unreadable(place, what, "save the file as UTF-8"))
        return None


def _place(node: yaml.Node | yaml.Event, file: Path) -> Where:
    mark: Any = node.start_mark
    return Where(file, mark.line + 1, mark.column + 1)
