"""Where something made by hand holds a secret in plain text. Only the place is told, never the value.

Owns the walk through a resource: every text of it is asked, bodies that are base64 are opened. What looks like a
secret, spec/ says (spec/secret_forms.py), and strictly: a secret that is passed over is in git and in the state for
ever, one that is none costs a reference.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from spec.secrets_in_text import in_value

#: Keys whose values people name themselves, so that the names say something.
_FREE: Final = frozenset({"headers", "labels", "userLabels", "attributes", "annotations", "sensitiveLabels", "config"})
#: Keys of what travels as base64.
_PACKED: Final = frozenset({"body", "data"})
_OPTION: Final = re.compile(r"(?:--?)?(?P<name>[A-Za-z][\w.-]*)(?:=(?P<value>.*))?", re.S)
#: What an HTML form sends.
_FORM: Final = re.compile(r"[\w.%+-]+=[^\s&]*(?:&[\w.%+-]+=[^\s&]*)*")
HIDDEN: Final = "[not shown]"


def in_plain(value: Any, at: str = "") -> Iterator[str]:
    """The places in a resource's inputs where a secret stands in plain text, each once."""
    yield from dict.fromkeys(_places(value, at, free=False))


def is_secret(name: str, value: str) -> bool:
    """Whether a value holds something secret, under the last name of a path."""
    return in_value(_last(name), value) is not None


def hidden(value: Any, at: str = "") -> Any:
    """A value without what may be secret in it; `at` is its path in a resource."""
    return _hidden(value, at, free=at.endswith(("]", "].value")) or bool(_FREE & set(at.split("."))))


def _hidden(value: Any, at: str, *, free: bool) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"name", "value"} and list(_places(value, "", free=False)):
            return {**value, "value": HIDDEN}
        return {key: _hidden(item, f"{at}.{key}", free=free or _last(at) in _FREE) for key, item in value.items()}
    if isinstance(value, str):
        return HIDDEN if list(_text(value, at, free=free)) else value
    if isinstance(value, Sequence):
        return HIDDEN if list(_listed(value, at)) else [_hidden(item, at, free=free) for item in value]
    return value


def _places(value: Any, at: str, *, free: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        name, text = value.get("name"), value.get("value")
        if isinstance(name, str) and isinstance(text, str) and set(value) == {"name", "value"}:
            if is_secret(name, text):
                yield f"{at}[{name}]" if at else name
            return
        for key, item in value.items():
            yield from _places(item, f"{at}.{key}" if at else str(key), free=free or _last(at) in _FREE)
    elif isinstance(value, str):
        yield from _text(value, at, free=free)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        yield from _listed(value, at)
        for item in value:
            yield from _places(item, at, free=free)


def _text(value: str, at: str, *, free: bool) -> Iterator[str]:
    packed = _last(at) in _PACKED
    inner = _opened(value) if packed else _structured(value)
    if inner is not None:
        yield from (at for _ in _places(inner, "", free=packed))
    elif in_value(_last(at) if free else "", value):
        yield at


def _listed(value: Sequence[Any], at: str) -> Iterator[str]:
    """Arguments: `--name=value`, and `--name` with the value after it."""
    texts = [item for item in value if isinstance(item, str)]
    for item, after in itertools.zip_longest(texts, texts[1:], fillvalue=""):
        found = _OPTION.fullmatch(item)
        if found and (item.startswith("-") or found["value"] is not None):
            given = found["value"] if found["value"] is not None else after
            if not given.startswith("-") and in_value(found["name"], given):
                yield at


def _opened(value: str) -> Any:
    """What stands in base64, as JSON, as a form, or as text; None where it is none, or no text."""
    try:
        text = base64.b64decode(value, validate=True).decode()
    except ValueError:
        return None
    if (inner := _structured(text)) is not None:
        return inner
    return dict(parse_qsl(text)) if _FORM.fullmatch(text) else text


def _structured(text: str) -> Any:
    """What stands in a text as JSON."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _last(path: str) -> str:
    """The name that a path ends with: of a variable in brackets, of a header, of a key."""
    named = re.search(r"\[([^\]\d][^\]]*)\](?:\.value)?$", path)
    return named[1] if named else re.sub(r"\[\d+\]$", "", path).rpartition(".")[2]
