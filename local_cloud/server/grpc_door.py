"""The gRPC doors: which method of which API a call is for, and what its answer is.

Owns the table of methods and the way from bytes to a handler and back. HTTP/2 is http2/'s, gRPC's form is rpc/'s, what
a method means is the registry's. A handler of a stream waits for the disk itself (`calls.on_disk`) before it says that
something was done; a unary call's answer waits in any case.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from google.protobuf.message import DecodeError

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Method as Described
from local_cloud.descriptors import methods
from local_cloud.errors import ApiError
from local_cloud.iam.methods import MIXIN
from local_cloud.pacific import pacific
from local_cloud.registry import Binding, Door
from local_cloud.server import calls
from local_cloud.server.rpc import wire
from local_cloud.server.rpc.acceptor import Acceptor, refusing
from local_cloud.server.rpc.call import Call, Method


class GrpcDoor:
    """One door's methods, made when one is first called. `accept` is what a connection gives its streams to."""

    def __init__(self, cloud: Cloud, door: Door) -> None:
        self._cloud = cloud
        self._door = door
        self._bindings = bindings(cloud)
        acceptor = Acceptor(self._make, lambda: calls.on_disk(cloud))
        self.accept = acceptor.accept
        self.stop = acceptor.stop

    def _make(self, path: str) -> Method:
        if path in _reflection_paths():
            from local_cloud.server.reflection import method

            return method(self._cloud)
        found = self._bindings.get(path)
        if found is None:
            return _missing(path, self._cloud)
        described = found[0].method
        assert described is not None
        if described.server_streaming:
            return Method(
                streaming=lambda call: self._stream(found[0], described, call),
                takes_stream=described.client_streaming,
            )
        if described.client_streaming:
            return Method(streaming=lambda call: self._collect(found[0], described, call), takes_stream=True)
        return Method(unary=lambda message, request: Unary(self._cloud, self._door, found, message, request))

    async def _stream(self, binding: Binding, described: Described, call: Call) -> AsyncGenerator[bytes, None]:
        try:
            request: Any = _parsed_stream(described, call.messages())
            if not described.client_streaming:
                request = await anext(request)
            admitted = calls.admit(self._cloud, self._door, binding, request, call.request.metadata)
            assert binding.handler is not None
            async with aclosing(binding.handler(self._cloud, admitted, request)) as responses:
                async for response in responses:
                    yield response.SerializeToString()
        except ApiError:
            raise
        except Exception as error:
            raise calls.internal(self._cloud, binding, error) from error

    async def _collect(self, binding: Binding, described: Described, call: Call) -> AsyncGenerator[bytes, None]:
        try:
            _check_deadline(binding.api.longest_call, call.request.timeout)
            requests = _parsed_stream(described, call.messages())
            response = await calls.invoke(self._cloud, self._door, binding, requests, call.request.metadata)
            yield response.SerializeToString()
        except ApiError:
            raise
        except Exception as error:
            raise calls.internal(self._cloud, binding, error) from error


class Unary:
    """One unary call at work."""

    __slots__ = ("_cloud", "_course", "_door", "_found", "_message", "_request", "_result")

    def __init__(self, cloud: Cloud, door: Door, found: list[Binding], message: bytes, request: wire.Request) -> None:
        self._cloud = cloud
        self._door = door
        self._found = found
        self._message = message
        self._request = request
        self._course: calls.Unary | None = None
        self._result: bytes | ApiError

    async def handle(self) -> None:
        """Finds the handler and has it do its work."""
        binding = self._found[0]
        try:
            _check_deadline(binding.api.longest_call, self._request.timeout)
            assert binding.method is not None
            request = parsed(binding.method, self._message)
            if len(self._found) > 1:
                binding = _by_resource(self._found, request)
            self._course = calls.Unary(self._cloud, binding, request)
            response = await self._course.handle(self._door, self._request.metadata)
            self._result = response.SerializeToString()
        except ApiError as error:
            self._result = error
        except Exception as error:
            self._result = calls.internal(self._cloud, binding, error)
        except BaseException:  # cancelled
            if self._course is not None:
                self._course.end("CANCELLED")
            raise

    def end(self, failure: ApiError | None) -> bytes | ApiError:
        """The answer, when all is on disk; `failure` where it cannot be."""
        result = self._result if failure is None else failure
        if self._course is not None:
            try:
                self._course.end(result.code if isinstance(result, ApiError) else "OK")
            except Exception as error:
                return calls.internal(self._cloud, self._found[0], error)
        return result


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


def parsed(method: Described, request: bytes) -> Any:
    """The request's message; bytes that are none are the caller's error."""
    try:
        return method.request.FromString(request)
    except DecodeError:
        kind = method.request.DESCRIPTOR.full_name
        raise ApiError("INVALID_ARGUMENT", f"Request payload is no valid {kind}.") from None


async def _parsed_stream(method: Described, messages: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for message in messages:
        yield parsed(method, message)


def _by_resource(found: list[Binding], request: Any) -> Binding:
    for binding in found:
        if binding.names is not None and binding.names.fullmatch(request.resource):
            return binding
    raise ApiError("NOT_FOUND", f"The local cloud keeps no policies for {request.resource!r}.")


def _missing(path: str, cloud: Cloud) -> Method:
    names = ", ".join(sorted(api.name for api in cloud.apis))
    text = f"The local cloud has no method {path}. It emulates: {names}. An API is one module in local_cloud/apis/."
    return refusing(ApiError("UNIMPLEMENTED", text))


def _reflection_paths() -> tuple[str, ...]:
    name = "ServerReflection/ServerReflectionInfo"
    return (f"/grpc.reflection.v1.{name}", f"/grpc.reflection.v1alpha.{name}")
