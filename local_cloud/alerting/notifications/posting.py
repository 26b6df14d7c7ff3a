"""One POST of JSON to somebody else, and lines of what would have been posted."""

import asyncio
from typing import Any

import orjson

from local_cloud.alerting.notifications import Undelivered
from local_cloud.cloud import Cloud
from local_cloud.engines.outgoing import Client, Reply, split_url

#: Real seconds that a receiver has to answer.
PATIENCE = 10.0
USER_AGENT = "Google-Alerts"


async def post(client: Client, url: str, body: Any, headers: dict[str, str] | None = None) -> str:
    """Posts; the URL where it was taken. Answers of 5xx, 429 and none at all may be tried again."""
    try:
        origin, host, target = split_url(url)
    except ValueError as error:
        raise Undelivered(f"{url} is no URL: {error}") from None
    data = orjson.dumps(body)
    lines = {
        "Host": host, "User-Agent": USER_AGENT, "Content-Type": "application/json", "Content-Length": str(len(data)),
        **(headers or {}),
    }  # fmt: skip
    head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    call = client.send(origin, head.encode() + b"\r\n" + data, answer.set_result)
    try:
        async with asyncio.timeout(PATIENCE):
            reply = await answer
    except TimeoutError:
        call.cancel()
        raise Undelivered(f"{host} did not answer within {PATIENCE:.0f} s", again=True) from None
    if 200 <= reply.status < 300:
        return f"{host}{target.partition('?')[0]}"
    if not reply.status:
        raise Undelivered(reply.error.rstrip("."), again=True)
    raise Undelivered(f"{host} answered {reply.status}", again=reply.status >= 500 or reply.status == 429)


def write_line(cloud: Cloud, name: str, body: Any) -> str:
    """Appends to a file in the state's folder; its path."""
    path = cloud.settings.state / "notifications" / f"{name}.jsonl"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("ab") as file:
        file.write(orjson.dumps(body) + b"\n")
    return str(path)
