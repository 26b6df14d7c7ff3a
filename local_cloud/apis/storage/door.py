"""The paths of the JSON API and who answers them; errors in its shape.

Owns the way of a request: its path with names that hold slashes (encoded), its JSON body, `fields`. Bodies of objects
go to uploads.py and downloads.py as they come.
"""

import re
import traceback
from collections.abc import Mapping
from urllib.parse import unquote

import orjson

from local_cloud.apis.storage import bucket_calls, downloads, object_calls, uploads
from local_cloud.apis.storage.api import API, Handler, Request, Storage, caller
from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.exchanges import BodyTooLargeError, ClientGoneError, Exchange, Receive, Scope, Send
from local_cloud.server import transcode
from local_cloud.settings import MAX_REQUEST_BYTES
from local_cloud.storage.refusals import StorageError, invalid

#: By what a path looks like: `*` is a name. An object's may have slashes that are not encoded where it ends a path.
_B, _O = "b/*", "b/*/o/*"
ROUTES: Mapping[str, Mapping[str, Handler]] = {
    "b": {"GET": bucket_calls.list_all, "POST": bucket_calls.create},
    _B: {
        "GET": bucket_calls.get, "PATCH": bucket_calls.patch, "PUT": bucket_calls.update, "DELETE": bucket_calls.delete,
    },
    f"{_B}/iam": {"GET": bucket_calls.get_policy, "PUT": bucket_calls.set_policy},
    f"{_B}/iam/testPermissions": {"GET": bucket_calls.test_permissions},
    f"{_B}/lockRetentionPolicy": {"POST": bucket_calls.lock},
    f"{_B}/storageLayout": {"GET": bucket_calls.layout},
    f"{_B}/managedFolders": {"GET": object_calls.list_managed_folders},
    f"{_B}/notificationConfigs": {"GET": bucket_calls.list_notifications, "POST": bucket_calls.create_notification},
    f"{_B}/notificationConfigs/*": {
        "GET": bucket_calls.get_notification, "DELETE": bucket_calls.delete_notification,
    },
    "projects/*/serviceAccount": {"GET": bucket_calls.service_account},
    f"{_B}/o": {"GET": object_calls.list_all, "POST": uploads.insert},
    _O: {
        "GET": downloads.get, "HEAD": downloads.get, "PATCH": object_calls.patch, "PUT": object_calls.update,
        "DELETE": object_calls.delete,
    },
    f"{_O}/compose": {"POST": object_calls.compose},
    f"{_O}/copyTo/b/*/o/*": {"POST": object_calls.copy},
    f"{_O}/rewriteTo/b/*/o/*": {"POST": object_calls.rewrite},
}  # fmt: skip
_PATTERNS = [(re.compile(re.escape(shape).replace(r"\*", "([^/]+)")), methods) for shape, methods in ROUTES.items()]
JSON = "application/json; charset=UTF-8"
TEXT = "text/html; charset=UTF-8"
#: The words for refusals that are other parts' of the cloud.
REASONS = {401: "authError", 403: "forbidden", 404: "notFound", 409: "conflict", 412: "conditionNotMet"}
_LONG_NAME = re.compile(r"b/([^/]+)/o/(.+)")
_PREFIX = re.compile(r"(?:/storage/v1|/download/storage/v1|(?:/resumable)?/upload/storage/v1)/(.*)")


@API.mount("/storage/v1/")
@API.mount("/download/storage/v1/")
@API.mount("/upload/storage/v1/")
@API.mount("/resumable/upload/storage/v1/")
async def serve(cloud: Cloud, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        await send({"type": "tunnel.data", "body": b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"})
        return
    await answer(Exchange(cloud, scope, receive, send))


async def answer(exchange: Exchange) -> None:
    """Answer one request, whichever way it came."""
    cloud = exchange.cloud
    try:
        with cloud.clock.busy("storage"):
            result = await _handle(exchange)
            if not exchange.answered:
                body = transcode.dump(result, _shaping(exchange)) if result is not None else b""
                await exchange.answer(200 if result is not None else 204, body, content_type=JSON)
    except ClientGoneError:
        return
    except StorageError as refused:
        await _refuse(exchange, refused)
    except BodyTooLargeError:
        await _refuse(exchange, StorageError(413, "uploadTooLarge", "The body is too large: use a resumable upload."))
    except ApiError as refused:
        status = 412 if refused.code == "ABORTED" else refused.http_status
        await _refuse(exchange, StorageError(status, REASONS.get(status, "invalid"), refused.text))
    except Exception as wrong:
        if exchange.answered:
            raise
        trace = "".join(traceback.format_exception(wrong))
        cloud.log.event("ERROR", f"{exchange.method} {exchange.path} failed: {wrong!r}", trace=trace)
        text = "We encountered an internal error. Please try again."
        await _refuse(exchange, StorageError(500, "internalError", text))


async def _refuse(exchange: Exchange, error: StorageError) -> None:
    """Who asked for bytes is told in words, anybody else in JSON."""
    if exchange.method == "GET" and exchange.query.get("alt") == "media" and error.status != 304:
        await exchange.answer(error.status, error.text.encode(), content_type=TEXT)
        return
    body = b"" if error.status == 304 else orjson.dumps(error.to_json(), option=orjson.OPT_INDENT_2)
    await exchange.answer(error.status, body, content_type=JSON)


def _shaping(exchange: Exchange) -> dict[str, list[str]]:
    """The parameters that say how an answer looks; each product of this API is a plain object."""
    return {name: [value] for name, value in exchange.query.items() if name in ("fields", "prettyPrint")}


async def _handle(exchange: Exchange) -> object:
    match = _PREFIX.fullmatch(exchange.raw_path)
    path = match[1].rstrip("/") if match else ""
    principal = caller(exchange)
    storage = exchange.cloud.use(Storage)
    if "fields" in exchange.query:
        transcode.check_answer(_shaping(exchange))
    uploading = "/upload/storage/v1/" in exchange.raw_path
    tried = ((pattern.fullmatch(path), methods) for pattern, methods in _PATTERNS)
    found, methods = next((one for one in tried if one[0]), (_LONG_NAME.fullmatch(path), ROUTES[_O]))
    if found is None:
        raise StorageError(404, "notFound", f"The local cloud has nothing at {exchange.method} {exchange.path}.")
    request = Request(exchange, storage, principal, tuple(unquote(part) for part in found.groups()))
    if uploading and methods is ROUTES[f"{_B}/o"] and "upload_id" in exchange.query:
        return await uploads.go_on(request)
    handler = uploads.begin if uploading and exchange.method == "POST" else methods.get(exchange.method)
    if handler is None or (uploading and methods is not ROUTES[f"{_B}/o"]):
        raise StorageError(405, "methodNotAllowed", f"{exchange.method} is not allowed at {exchange.path}.")
    if handler not in (uploads.begin, uploads.insert):
        request.body = await _json(exchange)
    return await handler(request)


async def _json(exchange: Exchange) -> dict[str, object]:
    data = transcode.inflate(await exchange.body(MAX_REQUEST_BYTES), exchange.headers.get("content-encoding", ""))
    if not data.strip():
        return {}
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise StorageError(400, "parseError", "Parse Error") from None
    if not isinstance(value, dict):
        raise invalid("The body must be a JSON object.")
    return value
