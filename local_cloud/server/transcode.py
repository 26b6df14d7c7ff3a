"""REST to RPC and back: one request message from path, query and body; one JSON answer from the response message.

Source: google/api/http.proto; system parameters: https://cloud.google.com/apis/docs/system-parameters.
"""

import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from local_cloud.descriptors import Message
from local_cloud.errors import ApiError, bad_request
from local_cloud.server import json_codec
from local_cloud.server.fields import parse, select
from local_cloud.server.json_codec import Errors
from local_cloud.server.router import Match
from local_cloud.settings import MAX_REQUEST_BYTES

#: Query parameters that are the front end's and no field of a request.
SYSTEM_PARAMETERS = frozenset(
    {
        "alt", "$alt", "access_token", "callback", "$callback", "fields", "$fields", "key", "$key", "oauth_token",
        "prettyPrint", "$prettyPrint", "quotaUser", "$quotaUser", "userProject", "$userProject", "uploadType",
        "upload_protocol", "$.xgafv", "$xgafv", "$outputDefaults", "$unique", "$req", "pp", "bearer_token",
        "trace", "$trace", "$httpMethod", "$httpHeaders", "$ct",
    }
)  # fmt: skip

HTTP_BODY = "google.api.HttpBody"


def parse_query(raw: bytes) -> dict[str, list[str]]:
    """All parameters, in order."""
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
        query.setdefault(name, []).append(value)
    return query


def inflate(body: bytes, encoding: str) -> bytes:
    """The body without its content encoding, within the size limit."""
    if not body or encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise ApiError("INVALID_ARGUMENT", f"Unsupported content encoding: {encoding}.", status=415)
    try:
        unpacker = zlib.decompressobj(wbits=31)
        plain = unpacker.decompress(body, MAX_REQUEST_BYTES + 1)
    except zlib.error:
        raise ApiError("INVALID_ARGUMENT", "Failed to decompress the request body.") from None
    if len(plain) > MAX_REQUEST_BYTES:
        raise too_large()
    return plain


def too_large() -> ApiError:
    """A body above the limit."""
    text = f"Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes."
    return ApiError("INVALID_ARGUMENT", text, status=413)


def parse_json(body: bytes) -> Any:
    """The body's JSON value; None when it is empty."""
    if not body.strip():
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        at = body[max(0, error.pos - 20) : error.pos + 20].decode(errors="replace")
        what = "Unexpected end of string" if error.pos >= len(body) - 1 else "Unexpected token"
        text = f"Invalid JSON payload received. {what}.\n{at}\n^"
        raise ApiError("INVALID_ARGUMENT", text, bad_request([("", text)])) from None


def to_request(
    match: Match, query: Mapping[str, list[str]], body: bytes, content_type: str = "application/json"
) -> Message:
    """The request message of a matched call; every violation is named, as Google does."""
    method = match.route.binding.method
    assert method is not None
    request = method.request()
    errors: Errors = []
    _bind_body(request, match.route.body, body, content_type, errors)
    for name, values in query.items():
        if name not in SYSTEM_PARAMETERS:
            _bind(request, name, values, errors, query=True)
    for name, value in match.params.items():
        _bind(request, name, [value], errors, query=False)
    if errors:
        text = "\n".join(description for _, description in errors)
        raise ApiError("INVALID_ARGUMENT", text, bad_request(errors))
    return request


def _bind_body(request: Message, body_field: str, body: bytes, content_type: str, errors: Errors) -> None:
    if not body_field:
        return
    target = request if body_field == "*" else getattr(request, body_field)
    if target.DESCRIPTOR.full_name == HTTP_BODY:
        target.data = body
        target.content_type = content_type
        return
    value = parse_json(body)
    if body_field != "*" and value is not None:
        target.SetInParent()
    if value is not None:
        json_codec.decode_into(target, value, "" if body_field == "*" else body_field, errors)


def _bind(request: Message, name: str, values: list[str], errors: Errors, *, query: bool) -> None:
    """Sets one field by its dotted path from strings."""
    target = request
    parts = name.split(".")
    for depth, part in enumerate(parts):
        field = _field(target, part)
        last = depth == len(parts) - 1
        if field is None or (not last and (field.message_type is None or field.is_repeated)):
            text = (
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. Field '
                f"'{name}' could not be found in request message."
            )
            errors.append(("", text))
            return
        if not last:
            target = getattr(target, field.name)
    if field.is_repeated:
        json_codec.decode_into(target, {field.name: values}, "", errors)
    elif query and len(values) > 1 and field.message_type is None and field.type != field.TYPE_STRING:
        json_codec.decode_into(target, {field.name: values[-1]}, "", errors)
    else:
        if not query:
            target.ClearField(field.name)
        before = len(errors)
        json_codec.decode_into(target, {field.name: values[-1]}, "", errors)
        if len(errors) > before and len(parts) > 1:
            errors[before:] = [(name, text.replace(f"'{field.name}'", f"'{name}'")) for _, text in errors[before:]]


def _field(target: Message, name: str) -> Any:
    fields = target.DESCRIPTOR.fields_by_name
    return fields.get(name) or target.DESCRIPTOR.fields_by_camelcase_name.get(name)


def to_answer(match: Match, query: Mapping[str, list[str]], response: Message) -> tuple[bytes, str]:
    """Body and content type of a response message."""
    shown = getattr(response, match.route.response_body) if match.route.response_body else response
    if shown.DESCRIPTOR.full_name == HTTP_BODY:
        return shown.data, shown.content_type
    return dump(json_codec.encode(shown, _enum_ints(query)), query), "application/json; charset=UTF-8"


def dump(value: Any, query: Mapping[str, list[str]]) -> bytes:
    """JSON text: what `fields` selects, indented unless prettyPrint=false."""
    wanted = _fields(query)
    if wanted and isinstance(value, dict):
        value = select(value, wanted)
    pretty = (query.get("prettyPrint") or query.get("$prettyPrint") or ["true"])[-1] not in ("false", "0")
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else None) + (b"\n" if pretty else b"")


def check_answer(query: Mapping[str, list[str]]) -> None:
    """Refuses, before anything is done, a wish for the answer that could only be refused after it."""
    if wanted := _fields(query):
        parse(wanted)


def _fields(query: Mapping[str, list[str]]) -> str:
    return (query.get("fields") or query.get("$fields") or [""])[-1]


def _enum_ints(query: Mapping[str, list[str]]) -> bool:
    return any("enum-encoding=int" in v for name in ("alt", "$alt") for v in query.get(name, ()))


__all__ = ["check_answer", "dump", "inflate", "parse_json", "parse_query", "to_answer", "to_request", "too_large"]
