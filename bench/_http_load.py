"""The load generator of the webhook's benchmark, as a process of its own: prepared requests to one address.

`python -m bench._http_load URL FILE SECONDS callers N` keeps N requests under way (a closed loop);
`... rate N` starts N a second, whether or not earlier ones have been answered (an open loop, timed from when a request
was due). FILE holds one request a line, a JSON object of headers and body, used once each, since a payment is only
recorded once. Prints milliseconds, statuses, how many were used and this process's own CPU as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from local_cloud.engines.outgoing import Client, Reply, split_url


class Load:
    """What has been sent and answered."""

    def __init__(self, url: str, requests: list[bytes], seconds: float) -> None:
        self._client = Client()
        self._origin, host, path = split_url(url)
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n".encode()
        self._requests = iter([head + request for request in requests])
        self._until = time.monotonic() + seconds
        self.took: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.used = 0

    async def one(self, due: float | None = None) -> bool:
        """Send the next request and wait for its answer; False when there is none left or the time is over."""
        text = next(self._requests, None) if time.monotonic() < self._until else None
        if text is None:
            return False
        self.used += 1
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        began = time.monotonic() if due is None else due
        self._client.send(self._origin, text, answered.set_result)
        reply = await answered
        self.took.append((time.monotonic() - began) * 1000)
        self.statuses[reply.status] += 1
        return True

    async def callers(self, count: int) -> None:
        """So many callers, each with the next request once its last was answered."""

        async def caller() -> None:
            while await self.one():
                pass

        await asyncio.gather(*(caller() for _ in range(count)))

    async def rate(self, rate: float) -> None:
        """So many requests a second."""
        began, running = time.monotonic(), set()
        for number in itertools.count():
            due = began + number / rate
            if due >= self._until:
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            running.add(asyncio.create_task(self.one(due)))
        await asyncio.gather(*running)


async def main(url: str, lines: list[str], seconds: float, kind: str, number: float) -> dict[str, Any]:
    """One load, by its name."""
    load = Load(url, [encoded(**json.loads(line)) for line in lines], seconds)
    began, cpu = time.monotonic(), time.process_time()
    await (load.callers(int(number)) if kind == "callers" else load.rate(number))
    return {
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - cpu,
        "used": load.used,
        "took": load.took,
        "statuses": {str(status): count for status, count in load.statuses.items()},
    }


def encoded(*, headers: dict[str, str], body: str) -> bytes:
    """A request from its second line on."""
    content = body.encode()
    lines = [f"{name}: {value}" for name, value in {**headers, "Content-Length": str(len(content))}.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


if __name__ == "__main__":
    url, path, seconds, kind, number = sys.argv[1:]
    prepared = Path(path).read_text().splitlines()
    print(json.dumps(uvloop.run(main(url, prepared, float(seconds), kind, float(number)))))
