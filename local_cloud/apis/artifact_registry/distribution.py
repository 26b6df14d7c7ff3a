"""The registry that images are pushed to and pulled from: Docker's and OCI's distribution API at /v2/.

Owns the way of a request to what answers it, and the errors' shape. Cloud Run, Cloud Tasks and Logging have paths at
/v2/ too; images/names.py says which are the registry's. What lies in the registry is images/'s.
Sources: the OCI distribution specification 1.1, https://cloud.google.com/artifact-registry/docs/access-control.
"""

import traceback
from collections.abc import Awaitable, Callable, Mapping

import orjson

from local_cloud.apis.artifact_registry import blob_calls, manifest_calls
from local_cloud.apis.artifact_registry.api import API
from local_cloud.apis.artifact_registry.credentials import caller, challenge, give_token
from local_cloud.apis.artifact_registry.refusals import RegistryError, refused
from local_cloud.apis.artifact_registry.request import VERSION, Request
from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.exchanges import ClientGoneError, Exchange, Receive, Scope, Send
from local_cloud.images.names import SHAPE, is_registrys

#: By what a path asks for (images/names.py), then by method.
HANDLERS: Mapping[str, Mapping[str, Callable[[Request], Awaitable[None]]]] = {
    "uploads": blob_calls.UPLOADS,
    "blob": blob_calls.BLOB,
    "reference": manifest_calls.MANIFEST,
    "tags": manifest_calls.TAGS,
    "referrers": manifest_calls.REFERRERS,
}


@API.mount("/v2/", is_registrys)
async def serve(cloud: Cloud, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        await send({"type": "tunnel.data", "body": b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"})
        return
    exchange = Exchange(cloud, scope, receive, send)
    try:
        with cloud.clock.busy("artifactregistry"):
            await _answer(exchange)
    except ClientGoneError:
        return
    except RegistryError as error:
        await _refuse(exchange, error)
    except ApiError as error:
        await _refuse(exchange, _as_registrys(exchange, error))
    except Exception as error:
        if exchange.answered:
            raise
        cloud.log.event(
            "ERROR",
            f"The registry failed at {exchange.method} {exchange.path}: {error!r}",
            trace="".join(traceback.format_exception(error)),
        )
        await _refuse(exchange, refused("UNKNOWN", "Internal error encountered.", 500))


async def _refuse(exchange: Exchange, error: RegistryError) -> None:
    body = {
        "errors": [{"code": error.code, "message": error.text, **({"detail": error.detail} if error.detail else {})}]
    }
    await exchange.answer(error.status, orjson.dumps(body), {**VERSION, **error.headers})


def _as_registrys(exchange: Exchange, error: ApiError) -> RegistryError:
    if error.code == "UNAUTHENTICATED":
        return challenge(exchange)
    code = {"PERMISSION_DENIED": "DENIED", "FAILED_PRECONDITION": "MANIFEST_INVALID", "NOT_FOUND": "NAME_UNKNOWN"}
    return refused(code.get(error.code, "UNKNOWN"), error.text, error.http_status)


async def _answer(exchange: Exchange) -> None:
    if exchange.path in ("/v2", "/v2/"):
        caller(exchange)
        await exchange.answer(200, b"{}", VERSION)
    elif exchange.path == "/v2/token":
        await give_token(exchange)
    elif match := SHAPE.fullmatch(exchange.path):
        request = Request(exchange, match)
        kind = next(kind for kind in HANDLERS if match[kind] is not None)
        handler = HANDLERS[kind].get(exchange.method)
        if handler is None:
            raise refused("UNSUPPORTED", f"{exchange.method} is not supported here", 405)
        await handler(request)
    else:
        raise refused("NAME_UNKNOWN", f"The registry has nothing at {exchange.path}", 404)
