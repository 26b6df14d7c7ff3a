"""The gRPC doors: grpc.aio with one generic handler over dynamic messages.

Owns gRPC: status, rich details in the `grpc-status-details-bin` trailer, server reflection. Which method means what is
the registry's.
"""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Method, methods
from local_cloud.errors import NUMBER, ApiError
from local_cloud.iam.methods import MIXIN
from local_cloud.pacific import pacific
from local_cloud.registry import Binding, Door
from local_cloud.server import calls
from local_cloud.settings import MAX_REQUEST_BYTES

MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_STATUS = {code.value[0]: code for code in grpc.StatusCode}

OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
]


class GrpcDoor(grpc.GenericRpcHandler):
    """One listener's handlers, made when a method is first called."""

    def __init__(self, cloud: Cloud, door: Door) -> None:
        self._cloud = cloud
        self._door = door
        self._made: dict[str, MethodHandler | None] = {}
        self._bindings = bindings(cloud)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "MethodHandler | None":
        """gRPC's look-up of a method by its path."""
        path = handler_call_details.method
        if path not in self._made and len(self._made) < 10_000:
            self._made[path] = self._make(path)
        return self._made.get(path)

    def _make(self, path: str) -> "MethodHandler | None":
        if path in _reflection_paths():
            from local_cloud.server.reflection import handler

            return handler(self._cloud)
        found = self._bindings.get(path)
        if found is None:
            return _missing(path, self._cloud)
        method = found[0].method
        assert method is not None
        kind, run = self._behaviour(found)
        # A unary request is parsed by `unary` itself: what cannot be parsed is the caller's error, not ours.
        parse = method.request.FromString if method.client_streaming or method.server_streaming else None
        made: MethodHandler = kind(
            run, request_deserializer=parse, response_serializer=method.response.SerializeToString
        )
        return made

    def _behaviour(self, found: list[Binding]) -> tuple[Callable[..., Any], Callable[..., Any]]:
        method = found[0].method
        assert method is not None

        async def unary(request: Any, context: Any) -> Any:
            binding = found[0]
            try:
                _check_deadline(binding.api.longest_call, context.time_remaining())
                if isinstance(request, bytes):
                    request = parsed(method, request)
                if len(found) > 1:
                    binding = _by_resource(found, request)
                return await calls.invoke(self._cloud, self._door, binding, request, _metadata(context))
            except ApiError as error:
                await _abort(context, error)
            except Exception as error:
                await _abort(context, calls.internal(self._cloud, binding, error))

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                call = calls.admit(self._cloud, self._door, found[0], request, _metadata(context))
                assert found[0].handler is not None
                async for response in found[0].handler(self._cloud, call, request):
                    yield response
            except ApiError as error:
                await _abort(context, error)
            except Exception as error:
                await _abort(context, calls.internal(self._cloud, found[0], error))

        if method.server_streaming:
            kind = grpc.stream_stream_rpc_method_handler if method.client_streaming else None
            return kind or grpc.unary_stream_rpc_method_handler, stream
        kind = grpc.stream_unary_rpc_method_handler if method.client_streaming else None
        return kind or grpc.unary_unary_rpc_method_handler, unary


def bindings(cloud: Cloud) -> dict[str, list[Binding]]:
    """Every method of every service, with the bindings that serve it; several only for shared services (IAMPolicy)."""
    found: dict[str, list[Binding]] = {}
    for api in cloud.apis:
        for binding in api.routes:
            if binding.method and binding.method.service == MIXIN:
                found.setdefault(binding.method.path, []).append(binding)
        for service in api.services:
            if service == MIXIN:
                continue
            for method in methods(service).values():
                found[method.path] = [api.rpcs.get(method.path) or Binding(api, None, None, None, method=method)]
    return found


def _check_deadline(longest: float, left: float | None) -> None:
    """Cloud Tasks takes no call that may last longer, in these words (google-cloud-go, issue 1577)."""
    if left is not None and left > longest + 1:  # the wire rounds timeouts up
        text = f"The request deadline is {pacific(time.time() + left)}."
        raise ApiError("INVALID_ARGUMENT", f"{text} The deadline cannot be more than {longest:g}s in the future.")


def parsed(method: Method, request: bytes) -> Any:
    """The request's message; bytes that are none are the caller's error."""
    try:
        return method.request.FromString(request)
    except DecodeError:
        kind = method.request.DESCRIPTOR.full_name
        raise ApiError("INVALID_ARGUMENT", f"Request payload is no valid {kind}.") from None


def _by_resource(found: list[Binding], request: Any) -> Binding:
    for binding in found:
        if binding.names is not None and binding.names.fullmatch(request.resource):
            return binding
    raise ApiError("NOT_FOUND", f"The local cloud keeps no policies for {request.resource!r}.")


def _metadata(context: Any) -> dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


async def _abort(context: Any, error: ApiError) -> None:
    status = error.to_status().SerializeToString()
    await context.abort(_STATUS[NUMBER[error.code]], error.text, (("grpc-status-details-bin", status),))


def _missing(path: str, cloud: Cloud) -> "MethodHandler":
    names = ", ".join(sorted(api.name for api in cloud.apis))

    async def refuse(_requests: Any, context: Any) -> None:
        text = f"The local cloud has no method {path}. It emulates: {names}. An API is one module in local_cloud/apis/."
        await _abort(context, ApiError("UNIMPLEMENTED", text))

    # As a stream: it is refused before a first message, which a caller that only listens would never send.
    made: MethodHandler = grpc.stream_stream_rpc_method_handler(refuse)
    return made


def _reflection_paths() -> tuple[str, ...]:
    name = "ServerReflection/ServerReflectionInfo"
    return (f"/grpc.reflection.v1.{name}", f"/grpc.reflection.v1alpha.{name}")
