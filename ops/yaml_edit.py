"""Changes a YAML file's text in the places that are meant and leaves every other byte as it is.

Owns where an entry stands (by the parser's marks), and how a new one is written. Works on mappings within mappings, in
blocks and in braces; a list or a text is replaced as a whole. Whoever calls reads the outcome again and compares it
with what was wanted: what this cannot do rightly is then refused, not half done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path as File
from typing import Any

import yaml

from spec.source import parse

#: Text that any reader of YAML takes for text without quotes: a letter first, nothing that means something, no word.
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./:-]*[A-Za-z0-9_/])?", re.ASCII)
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})

#: A mapping that is indented deeper is written in braces: `gcsplit: {stable: ..., canary: ...}`.
DEEPEST = 2

Path = Sequence[str]
Entry = tuple[yaml.Node, yaml.Node]


def edited(text: str, changes: Mapping[str, Any], remove: Iterable[Path] = ()) -> str:
    """Return the text with entries removed, and then with changes merged into it, key by key."""
    remove = list(remove)
    left = wanted(_values(text), {}, remove)
    for path in remove:
        text = take(text, path)
    if not left:  # comments
        return text + block(changes)
    for path, value in list(_steps(left, changes)):
        text = put(text, path, value)
    return text


def wanted(values: Mapping[str, Any], changes: Mapping[str, Any], remove: Iterable[Path] = ()) -> dict[str, Any]:
    """Return what `edited` should make of a file's values."""
    for path in remove:
        values = without(values, path)
    return merged(values, changes)


def merged(below: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return one mapping over another, key by key; anything but a mapping takes the place of what stood there."""
    both = dict(below)
    for key, value in over.items():
        there = both.get(key)
        both[key] = merged(there if isinstance(there, Mapping) else {}, value) if isinstance(value, Mapping) else value
    return both


def without(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a mapping without the entry at a path, and without mappings that are empty then."""
    first, *rest = path
    there = values.get(first)
    if rest and isinstance(there, Mapping):
        left = without(there, rest)
        if left or not there:
            return {**values, first: left}
    elif rest:
        return dict(values)
    return {key: value for key, value in values.items() if key != first}


def same(one: Any, other: Any) -> bool:
    """Whether two values are alike in kind too: `5` is neither "5" nor 5.0, and 1 is not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def put(text: str, path: Path, value: Any) -> str:
    """Return the text with the value at a path of keys, the last of which may be missing."""
    around, entry = _find(text, path)
    return _added(text, around, path[-1], value) if entry is None else _replaced(text, *entry, value)


def take(text: str, path: Path) -> str:
    """Return the text without the entry at a path, and without mappings that are empty then."""
    try:
        around, entry = _find(text, path)
    except LookupError:
        return text
    if entry is None:
        return text
    if len(around.value) == 1 and len(path) > 1:
        return take(text, path[:-1])
    index = next(at for at, (key, _) in enumerate(around.value) if key.value == path[-1])
    if around.flow_style:
        return _out_of_braces(text, around, index)
    key, value = entry
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    return text[:start] + text[_line_end(text, _end(text, key, value)) :]


def block(values: Mapping[str, Any], indent: str = "", newline: str = "\n") -> str:
    """Return a mapping as lines; what is deep in it stands in braces."""
    return "".join(_entry(name, value, indent, newline) for name, value in values.items())


def written(value: Any) -> str:
    """Return a value as it stands within one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{written(key)}: {written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _values(text: str) -> dict[str, Any]:
    source = parse(text, File(), [])
    if source is None:
        raise ValueError("the file cannot be read")
    return source.values


def _steps(there: Mapping[str, Any], changes: Mapping[str, Any], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield which entries to put: the smallest that are missing or other."""
    for key, value in changes.items():
        old = there.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and old:
            yield from _steps(old, value, (*at, key))
        elif key not in there or not same(old, value):
            yield (*at, key), value


def _find(text: str, path: Path) -> tuple[yaml.MappingNode, Entry | None]:
    """Return the mapping in which a path ends, and the entry there; LookupError where there is no such mapping."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for name in path[:-1]:
        _, node = _entry_of(node, name) or (None, None)
    if not isinstance(node, yaml.MappingNode):
        raise LookupError(f"{'.'.join(path[:-1])} is no mapping")
    return node, _entry_of(node, path[-1])


def _entry_of(node: yaml.Node | None, name: str) -> Entry | None:
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return next(((key, value) for key, value in entries if key.value == name), None)


def _replaced(text: str, key: yaml.Node, old: yaml.Node, value: Any) -> str:
    end, colon = _end(text, key, old), text.index(":", key.end_mark.index) + 1
    if end <= colon or _is_block(old):  # nothing stands there, or what does is on lines of its own
        return f"{text[:colon]} {written(value)}{text[end:]}"
    return text[: old.start_mark.index] + written(value) + text[end:]


def _added(text: str, around: yaml.MappingNode, name: str, value: Any) -> str:
    entry = f"{written(name)}: {written(value)}"
    if not around.value:
        at = around.start_mark.index + 1
        return text[:at] + entry + text[at:]
    first, last = around.value[0], around.value[-1]
    at = _end(text, *last)
    if around.flow_style:
        return f"{text[:at]}, {entry}{text[at:]}"
    newline = "\r\n" if "\r\n" in text else "\n"
    at = _line_end(text, at)
    before = text[:at] if text[at - 1] == "\n" else text[:at] + newline
    return before + _entry(name, value, " " * first[0].start_mark.column, newline) + text[at:]


def _entry(name: str, value: Any, indent: str, newline: str) -> str:
    if isinstance(value, Mapping) and value and len(indent) <= DEEPEST:
        return f"{indent}{written(name)}:{newline}{block(value, indent + '  ', newline)}"
    return f"{indent}{written(name)}: {written(value)}{newline}"


def _out_of_braces(text: str, around: yaml.MappingNode, index: int) -> str:
    entries = around.value
    if index + 1 < len(entries):
        return text[: entries[index][0].start_mark.index] + text[entries[index + 1][0].start_mark.index :]
    start = _end(text, *entries[index - 1]) if index else entries[index][0].start_mark.index
    return text[:start] + text[_end(text, *entries[index]) :]


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def _end(text: str, before: yaml.Node, node: yaml.Node) -> int:
    """Return where a value ends that stands behind `before`; of a block the parser says only where the next begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, *last) if isinstance(last, tuple) else _end(text, node, last)
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return int(start + len(text[start:end].rstrip()))
    if start == end and isinstance(before, yaml.ScalarNode):  # `key:` and nothing
        return text.index(":", before.end_mark.index) + 1
    return int(end)


def _line_end(text: str, at: int) -> int:
    """Where the next line begins."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1
