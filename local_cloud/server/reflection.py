"""Server reflection, so that grpcurl and the like can list and describe what is here.

Source: grpc/reflection/v1/reflection.proto. Its messages are small and their wire form is built by hand: the published
Google protos do not contain them.
"""

from collections.abc import AsyncGenerator
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import pool
from local_cloud.server.rpc.call import Call, Method

_FILE_BY_NAME, _FILE_WITH_SYMBOL, _LIST = 3, 4, 7
_FILES_ANSWER, _LIST_ANSWER, _ERROR_ANSWER = 4, 6, 7
NOT_FOUND = 5


def method(cloud: Cloud) -> Method:
    """The one streaming method of the service."""

    async def info(call: Call) -> AsyncGenerator[bytes, None]:
        async for request in call.messages():
            yield _field(2, request) + answer(cloud, request)

    return Method(streaming=info, takes_stream=True)


def answer(cloud: Cloud, request: bytes) -> bytes:
    """The answer's one-of for a request's one-of."""
    fields = dict(_parse(request))
    if _LIST in fields:
        names = sorted({service for api in cloud.apis for service in api.services})
        return _field(_LIST_ANSWER, b"".join(_field(1, _field(1, name.encode())) for name in names))
    try:
        if _FILE_BY_NAME in fields:
            found = pool().FindFileByName(fields[_FILE_BY_NAME].decode())
        else:
            symbol = fields.get(_FILE_WITH_SYMBOL, b"").decode()
            found = pool().FindFileContainingSymbol(symbol)
    except KeyError as error:
        return _field(_ERROR_ANSWER, _number(1, NOT_FOUND) + _field(2, str(error).encode()))
    return _field(_FILES_ANSWER, b"".join(_field(1, file.serialized_pb) for file in _closure(found)))


def _closure(file: Any) -> list[Any]:
    seen: dict[str, Any] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one.name not in seen:
            seen[one.name] = one
            waiting.extend(one.dependencies)
    return list(seen.values())


def _parse(data: bytes) -> list[tuple[int, bytes]]:
    fields, at = [], 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
            fields.append((tag >> 3, str(value).encode()))
        else:
            size, at = _varint(data, at)
            fields.append((tag >> 3, data[at : at + size]))
            at += size
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return _encode_varint(number << 3 | 2) + _encode_varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _encode_varint(number << 3) + _encode_varint(value)
