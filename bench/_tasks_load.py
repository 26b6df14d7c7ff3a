"""The load generators of the benchmarks of Cloud Tasks: the same client for every side, as processes of their own.

`python -m bench._tasks_load KIND ADDRESS ...` prints its result as JSON:

create COUNT CALLERS QUEUE URL     a lean grpc.aio client: encoded bytes in, bytes out
official COUNT CALLERS QUEUE URL   the same by Google's Python client and threads
latency COUNT PAUSE QUEUES URL     one at a time, each with a name, in turn to queues parted by commas; gives the
                                   moment before each create
fill JOB                           tasks that are due at one moment
raw CONCURRENT COUNT URL           no emulator: the project's HTTP client straight to the receiver
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import uvloop
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from google.protobuf.timestamp_pb2 import Timestamp

from local_cloud.engines.outgoing import Client, Reply, split_url

CREATE = "/google.cloud.tasks.v2.CloudTasks/CreateTask"
BATCH = "/google.cloud.tasks.v2.CloudTasks/BatchCreateTasks"
BODY = b'{"order": "0123456789", "amount": "1.00"}'


def request(queue: str, url: str, *, name: str = "", at: float = 0.0) -> Any:
    """A CreateTaskRequest."""
    task: dict[str, Any] = {"http_request": {"url": url, "body": BODY, "headers": {"Content-Type": "application/json"}}}
    made = tasks_v2.CreateTaskRequest.pb(tasks_v2.CreateTaskRequest(parent=queue, task=task))
    made.task.name = name
    if at:
        made.task.schedule_time.CopyFrom(Timestamp(seconds=int(at), nanos=int(at % 1 * 1e9)))
    return made


async def creates(address: str, count: int, callers: int, queue: str, url: str) -> dict[str, float]:
    """Unnamed creates by so many callers at once."""
    encoded = request(queue, url).SerializeToString()
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(CREATE)
        await call(encoded)
        left = count

        async def caller() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await call(encoded)

        began = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return {"began": began, "ended": time.monotonic()}


def official(address: str, count: int, callers: int, queue: str, url: str) -> dict[str, float]:
    """The same by Google's client."""
    client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=grpc.insecure_channel(address)))
    task = tasks_v2.Task(http_request={"url": url, "body": BODY, "headers": {"Content-Type": "application/json"}})
    client.create_task(parent=queue, task=task)
    with ThreadPoolExecutor(callers) as pool:
        began = time.monotonic()
        list(pool.map(lambda _: client.create_task(parent=queue, task=task), range(count)))
        return {"began": began, "ended": time.monotonic()}


async def latency(address: str, count: int, pause: float, queues: list[str], url: str) -> dict[str, float]:
    """Light load: the moment before each create, by the task's id."""
    stem, began = f"t{time.monotonic_ns()}-", {}
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(CREATE)
        for index in range(count):
            name, queue = f"{stem}{index}", queues[index % len(queues)]
            encoded = request(queue, url, name=f"{queue}/tasks/{name}").SerializeToString()
            began[name] = time.monotonic()
            await call(encoded)
            await asyncio.sleep(pause)
    return began


async def fill(address: str, job: dict[str, Any]) -> dict[str, float]:
    """So many tasks in each queue, all due at one moment; in batches where the side has them."""
    step = 100 if job["batch"] else 1
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(BATCH if job["batch"] else CREATE)
        forget: Any = channel.unary_unary("/google.longrunning.Operations/DeleteOperation")

        def encoded(queue: str, start: int) -> bytes:
            names = range(start, min(start + step, job["count"]))
            some = [
                request(queue, job["url"], name=f"{queue}/tasks/{job['stem']}{n}" if job["stem"] else "", at=job["at"])
                for n in names
            ]
            if not job["batch"]:
                return bytes(some[0].SerializeToString())
            # BatchCreateTasksRequest: 1 parent, 2 requests; clients older than the method have no class for it
            return b"".join([_field(1, queue.encode()), *(_field(2, one.SerializeToString()) for one in some)])

        async def caller(pending: Iterator[int], queue: str) -> None:
            same = encoded(queue, 0) if not job["stem"] and job["count"] % step == 0 else None
            for start in pending:
                answer = await call(same or encoded(queue, start))
                if job["batch"]:  # an Operation, of which no more than the name is wanted: it holds all of its tasks
                    await forget(answer[: 2 + answer[1]])

        for queue in job["queues"]:
            pending = iter(range(0, job["count"], step))
            await asyncio.gather(*(caller(pending, queue) for _ in range(4 if job["batch"] else 32)))
    return {"count": job["count"]}


def _field(number: int, value: bytes) -> bytes:
    size, length = len(value), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + value


async def raw(concurrent: int, count: int, url: str) -> dict[str, Any]:
    """The ceiling: as many requests as this machine carries without any queue between."""
    client, loop = Client(), asyncio.get_running_loop()
    origin, host, path = split_url(url)
    text = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    left, over = count, loop.create_future()
    took: list[float] = []
    began, used = time.monotonic(), time.process_time()

    def send() -> None:
        nonlocal left
        left -= 1
        sent = time.monotonic()

        def done(_reply: Reply) -> None:
            took.append(time.monotonic() - sent)
            if left > 0:
                send()
            elif len(took) == count and not over.done():
                over.set_result(None)

        client.send(origin, text, done)

    for _ in range(min(concurrent, count)):
        send()
    await over
    client.close()
    return {"began": began, "ended": time.monotonic(), "cpu": time.process_time() - used, "took": took[:1000]}


def main(kind: str, address: str, *rest: str) -> Any:
    """One generator, by its name."""
    match kind:
        case "create" | "official":
            count, callers, queue, url = rest
            if kind == "official":
                return official(address, int(count), int(callers), queue, url)
            return uvloop.run(creates(address, int(count), int(callers), queue, url))
        case "latency":
            count, pause, queue, url = rest
            return uvloop.run(latency(address, int(count), float(pause), queue.split(","), url))
        case "fill":
            return uvloop.run(fill(address, json.loads(rest[0])))
        case "raw":
            return uvloop.run(raw(int(address), int(rest[0]), rest[1]))
    raise SystemExit(f"no load named {kind}")


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
