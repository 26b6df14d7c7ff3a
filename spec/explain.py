"""What a model refuses, said as findings: pydantic's errors with the place in the file, the reason and the fix.

Owns the wording for every kind of error that the models can raise. A field's own sentences come first; what is said
here is for those that have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from spec.errors import OF_ITS_KIND, Finding, Refused, choose, nearest, spell
from spec.model import Named, rule_of, sentences
from spec.source import Source

#: What each kind of value is called.
KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}

#: How a value misses a limit, and under which name pydantic hands the limit over.
LIMITS = {
    "less_than_equal": ("above", "le"),
    "greater_than_equal": ("below", "ge"),
    "greater_than": ("not above", "gt"),
}

_IGNORED = "the key would be ignored, and a default that nobody chose would be in force"
_MISSING = "without it there is nothing to deploy"
_EMPTY = "YAML reads nothing as null, and nobody can tell whether the default was meant"
_UNUSABLE = "the value cannot be used, so nothing that depends on it could be deployed"
_WRONG_KIND = "a guess at what was meant could deploy something else"
_LONGEST_SHOWN = 60


def explain(
    error: ValidationError, source: Source, model: type[BaseModel], name_key: str = "name"
) -> Iterator[Finding]:
    """Yield a finding for each error of one file."""
    for detail in error.errors(include_url=False):
        if not (detail["type"] == "too_short" and detail["input"]):  # its items were refused, which is said already
            yield _finding(detail, source, model, name_key)


def _finding(detail: ErrorDetails, source: Source, model: type[BaseModel], name_key: str) -> Finding:
    kind = detail["type"]
    about_key = detail["loc"][-1:] == ("[key]",)
    loc = detail["loc"][:-1] if about_key else detail["loc"]
    refused = detail.get("ctx", {}).get("error")
    if isinstance(refused, Refused) and refused.key:
        loc = (*loc, refused.key)
    key = spell(loc)
    parent, info = _find(model, loc)
    breaks, fix = sentences(info)
    rule = rule_of(info) or OF_ITS_KIND
    place = source.at(*loc)
    if kind == "extra_forbidden":
        valid = _keys(parent, name_key)
        what, breaks, rule = f"there is no key {_shown(str(loc[-1]))} here", _IGNORED, "SL102"
        near = nearest(str(loc[-1]), valid)
        fix = f"did you mean {near}? Otherwise delete the line" if near else _one_of(str(loc[-1]), valid, name_key)
        if len(loc) > 1 and issubclass(model, Named) and loc[-1] in _keys(model, name_key):
            fix = f"move it to the left margin: {loc[-1]} is a key of the whole file"
        place = source.at_key(*loc)
    elif kind == "missing":
        what, breaks, fix, rule = "the key is missing", breaks or _MISSING, fix or _describe(info), "SL103"
        place = source.at(*loc[:-1])
    elif isinstance(refused, Refused):
        what, breaks, fix, rule = refused.what, refused.breaks, refused.fix, refused.rule or rule
    elif detail["input"] is None:
        what, breaks, fix, rule = "the key has no value", _EMPTY, _fix_for_nothing(info, fix), OF_ITS_KIND
    else:
        what = f"the key {_shown(loc[-1])} does not have the right form" if about_key else _what(detail)
        place = source.at_key(*loc) if about_key else place
        breaks, rule = (_WRONG_KIND, OF_ITS_KIND) if kind in KINDS else (breaks, rule)
    return Finding(where=place, key=key, what=what, breaks=breaks or _UNUSABLE, fix=fix or _describe(info), rule=rule)


def _what(detail: ErrorDetails) -> str:
    kind, shown, ctx = detail["type"], _shown(detail["input"]), detail.get("ctx", {})
    if kind in KINDS:
        return f"{shown} is not {KINDS[kind]}"
    if kind in LIMITS:
        relation, limit = LIMITS[kind]
        return f"{shown} is {relation} {_number(ctx[limit])}"
    if kind in {"too_short", "string_too_short"}:
        return "it is empty"
    if kind == "string_pattern_mismatch":
        return f"{shown} does not have the right form"
    return f"{shown}: {detail['msg']}"


def _fix_for_nothing(info: FieldInfo | None, fix: str) -> str:
    if info is not None and info.is_required():
        return fix or _describe(info)
    return "write a value, or delete the line to take the default"


def _number(limit: float) -> str:
    return str(int(limit)) if float(limit).is_integer() else str(limit)


def _shown(value: object) -> str:
    text = f"{value!r}" if isinstance(value, str) else _kind_of(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _kind_of(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(getattr(value, "text", value))


def _describe(info: FieldInfo | None) -> str:
    if info is not None and info.annotation is bool:
        return "write true or false"
    return f"write: {info.description}" if info is not None and info.description else "write what the schema asks for"


def _keys(model: type[BaseModel] | None, name_key: str) -> list[str]:
    if model is None:
        return []
    return [info.alias or name for name, info in model.model_fields.items() if name != name_key]


def _one_of(word: str, valid: list[str], name_key: str) -> str:
    if word == name_key:
        return "delete the line: the name is the file's name (or the folder's, for a service)"
    return f"{choose(word, valid, noun='key')} Otherwise delete the line"


def _find(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """Walk down to the model that holds the last key, and to the last field on the way that has sentences."""
    parent: type[BaseModel] | None = model
    info: FieldInfo | None = None
    current: Any = model
    for step in loc:
        inner = _model_in(current)
        if inner is not None and not _is_container(current):
            parent = inner
            found = _field(inner, step)
            current = found.annotation if found is not None else None
            info = found if found is not None else info
        else:
            current = _item_of(current)
    return parent, info


def _field(model: type[BaseModel], key: int | str) -> FieldInfo | None:
    for name, info in model.model_fields.items():
        if key in (info.alias, name):
            return info
    return None


def _is_container(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) in (dict, tuple, list)


def _item_of(annotation: Any) -> Any:
    arguments = get_args(annotation)
    if getattr(annotation, "__origin__", None) is dict:
        return arguments[1]
    return arguments[0] if arguments else None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
