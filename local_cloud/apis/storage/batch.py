"""Many requests in one: each part is answered as if it had come by itself.

Source: https://cloud.google.com/storage/docs/batch.
"""

import email.message
import email.parser
import email.policy
import secrets
from http import HTTPStatus
from typing import Any

from local_cloud.apis.storage import door
from local_cloud.apis.storage.api import API
from local_cloud.cloud import Cloud
from local_cloud.exchanges import BodyTooLargeError, ClientGoneError, Exchange, Receive, Scope, Send
from local_cloud.settings import MAX_REQUEST_BYTES

#: Requests in one batch.
MAX_CALLS = 100


@API.mount("/batch/storage/v1/")
async def serve(cloud: Cloud, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the parts, in their order."""
    if scope["type"] != "http":
        await send({"type": "tunnel.data", "body": b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"})
        return
    exchange = Exchange(cloud, scope, receive, send)
    try:
        body = await exchange.body(MAX_REQUEST_BYTES)
    except ClientGoneError:
        return
    except BodyTooLargeError:
        await exchange.answer(413)
        return
    head = b"Content-Type: " + exchange.headers.get("content-type", "").encode("latin-1") + b"\r\n\r\n"
    whole = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    parts = list(whole.iter_parts()) if whole.is_multipart() else []
    if exchange.method != "POST" or not 0 < len(parts) <= MAX_CALLS:
        await exchange.answer(400, b'{"error": {"code": 400, "message": "A batch has 1 to 100 requests."}}')
        return
    boundary = f"batch_{secrets.token_hex(12)}"
    answers = []
    for part in parts:
        answer = await _one(cloud, scope, _payload(part))
        identity = str(part.get("content-id", "")).strip("<>")
        said = f"Content-ID: <response-{identity}>\r\n" if identity else ""
        answers.append(f"--{boundary}\r\nContent-Type: application/http\r\n{said}\r\n".encode() + answer + b"\r\n")
    answers.append(f"--{boundary}--\r\n".encode())
    await exchange.answer(200, b"".join(answers), content_type=f'multipart/mixed; boundary="{boundary}"')


def _payload(part: email.message.Message) -> bytes:
    found = part.get_payload(decode=True)
    return found if isinstance(found, bytes) else b""


async def _one(cloud: Cloud, outer: Scope, raw: bytes) -> bytes:
    """The whole HTTP answer to one part."""
    head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    words = first.split()
    if len(words) < 2 or not words[1].startswith(("/storage/v1/", "http")):
        return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    target = words[1] if words[1].startswith("/") else f"/{words[1].split('/', 3)[-1]}"
    path, _, query = target.partition("?")
    own = [(n.strip().lower().encode(), v.strip().encode()) for n, _, v in (line.partition(":") for line in lines)]
    named = {name for name, _ in own}
    shared = [(n, v) for n, v in outer["headers"] if n in (b"authorization", b"host") and n not in named]
    scope = {
        **outer,
        "method": words[0],
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": own + shared,
    }
    status, made = 500, b""
    headers: list[tuple[bytes, bytes]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body.strip(), "more_body": False}

    async def send(event: Any) -> None:
        nonlocal status, headers, made
        status = event.get("status", status)
        headers = event.get("headers", headers)
        made += event.get("body", b"")

    await door.answer(Exchange(cloud, scope, receive, send))
    lines_out = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(), *(n + b": " + v for n, v in headers)]
    return b"\r\n".join(lines_out) + b"\r\n\r\n" + made
