"""The REST doors: an ASGI application over the router, one per door.

Owns HTTP: methods, bodies, headers, error envelopes. Paths below a mount (`/run/`) are handed on raw. Who may not call
at all (other sites' web pages) is web_pages.py's to say.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError, error_json
from local_cloud.registry import Binding, Door, HttpRequest, HttpResponse
from local_cloud.server import calls, json_codec, transcode, web_pages
from local_cloud.server.router import Match, Router
from local_cloud.server.upgrades import refused
from local_cloud.settings import MAX_REQUEST_BYTES

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Status, body, content type and more headers.
Answer = tuple[int, bytes, str, dict[str, str]]

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
JSON = "application/json; charset=UTF-8"


class RestDoor:
    """One listener's application."""

    def __init__(self, cloud: Cloud, door: Door, router: Router) -> None:
        self._cloud = cloud
        self._door = door
        self._router = router
        self._mounts = [(p, api.mounts[p], api.claims.get(p)) for api in cloud.apis for p in api.mounts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, and the tunnels of upgrades.py."""
        if scope["type"] not in ("http", "tunnel"):
            return
        if error := self._refuses(scope):
            await self._send_answer(scope, send, _as_answer(error))
            return
        path: str = scope["path"]
        for prefix, handler, claims in self._mounts:
            if (path.startswith(prefix) or path == prefix[:-1]) and (claims is None or claims(scope)):
                scope["sluice.door"] = self._door
                await handler(self._cloud, scope, receive, send)
                return
        if scope["type"] == "tunnel":
            await send({"type": "tunnel.data", "body": refused(404, b"")})
            return
        await self._send_answer(scope, send, await self._answer(scope, receive))

    def _refuses(self, scope: Scope) -> ApiError | None:
        if self._door is not Door.OWNER:
            return None
        words = web_pages.refusal(scope["headers"], listens_on=self._cloud.settings.host)
        return ApiError("PERMISSION_DENIED", words) if words else None

    async def _send_answer(self, scope: Scope, send: Send, answer: Answer) -> None:
        status, body, content_type, headers = answer
        if scope["type"] == "tunnel":
            await send({"type": "tunnel.data", "body": refused(status, body)})
            return
        sent = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        sent += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if content_type == JSON:
            sent.append((b"vary", b"Origin, X-Origin, Referer"))
        origin = dict(scope["headers"]).get(b"origin", b"")
        if web_pages.is_local(origin.decode("latin-1")):
            sent.append((b"access-control-allow-origin", origin))
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        query: dict[str, list[str]] = {}
        try:
            query = transcode.parse_query(scope["query_string"])
            if scope["method"] == "OPTIONS":
                return 204, b"", JSON, self._options(scope)
            verb = "GET" if scope["method"] == "HEAD" else scope["method"]
            match = self._router.match(verb, scope["raw_path"].decode("latin-1"))
            if match is None:
                raise self._unknown(verb, scope["path"])
            transcode.check_answer(query)
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            if "access_token" in query and "authorization" not in headers:
                headers["authorization"] = f"Bearer {query['access_token'][-1]}"
            body = transcode.inflate(await _read(receive, headers), headers.get("content-encoding", ""))
            if match.route.binding.method is not None:
                return await self._rpc(match, query, headers, body)
            return await self._route(match, scope, query, headers, body)
        except ApiError as error:
            return _as_answer(error)

    async def _rpc(self, match: Match, query: dict[str, list[str]], headers: dict[str, str], body: bytes) -> Answer:
        binding = match.route.binding
        try:
            if binding.handler is None:
                raise calls.unimplemented(binding)
            request = transcode.to_request(match, query, body, headers.get("content-type", ""))
            if binding.method and (binding.method.server_streaming or binding.method.client_streaming):
                raise ApiError("UNIMPLEMENTED", f"{binding.name} is a stream: call it over gRPC.")
            response = await calls.invoke(self._cloud, self._door, binding, request, headers)
            answer, content_type = transcode.to_answer(match, query, response)
            return 200, answer, content_type, {}
        except ApiError:
            raise
        except Exception as error:
            raise calls.internal(self._cloud, binding, error) from error

    async def _route(
        self, match: Match, scope: Scope, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> Answer:
        binding: Binding = match.route.binding
        try:
            parsed = transcode.parse_json(body) if binding.wants_json else None
            request = HttpRequest(scope["method"], scope["path"], match.params, query, headers, body, parsed)
            result = await calls.invoke(self._cloud, self._door, binding, request, headers)
            if isinstance(result, HttpResponse):
                return result.status, result.body, result.content_type, dict(result.headers)
            return 200, transcode.dump(result, query), JSON, {}
        except ApiError:
            raise
        except Exception as error:
            raise calls.internal(self._cloud, binding, error) from error

    def _options(self, scope: Scope) -> dict[str, str]:
        path = scope["raw_path"].decode("latin-1")
        allowed = [verb for verb in VERBS if self._router.match(verb, path)]
        listed = ", ".join([*allowed, "OPTIONS"])
        return {
            "allow": listed,
            "access-control-allow-methods": listed,
            "access-control-allow-headers": "authorization, content-type, x-goog-api-client, x-goog-user-project",
        }

    def _unknown(self, verb: str, path: str) -> ApiError:
        names = ", ".join(sorted(api.name for api in self._cloud.apis))
        return ApiError(
            "NOT_FOUND",
            f"The local cloud has nothing at {verb} {path}. It emulates: {names}. "
            "An API is one module in local_cloud/apis/.",
        )


async def _read(receive: Receive, headers: dict[str, str]) -> bytes:
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > MAX_REQUEST_BYTES:
        raise transcode.too_large()
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ApiError("CANCELLED", "The client went away.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_REQUEST_BYTES:
            raise transcode.too_large()
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _as_answer(error: ApiError) -> Answer:
    return error.http_status, transcode.dump(error_json(error, json_codec.encode), {}), JSON, {}


def build_router(cloud: Cloud) -> Router:
    """Every route of every API; methods without a handler get theirs too, to answer UNIMPLEMENTED by name."""
    from local_cloud.descriptors import methods

    router = Router()
    for api in cloud.apis:
        for binding in api.routes:
            assert binding.route is not None
            router.add(binding, binding.route.verb, binding.route.template, binding.route.body)
        for service in api.services:
            for method in methods(service).values():
                bound = api.rpcs.get(method.path) or Binding(api, None, None, None, method=method)
                for rule in method.rules if api.rest else ():
                    router.add(bound, rule.verb, rule.template, rule.body, rule.response_body)
    return router
