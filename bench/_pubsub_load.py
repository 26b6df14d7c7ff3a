"""The load generators of the benchmark of Pub/Sub: the same client for every side, as processes of their own.

`python -m bench._pubsub_load KIND ADDRESS ...` prints its result as JSON:

publish COUNT CALLERS TOPIC        one message a call by so many callers: a lean grpc.aio client that moves bytes
official COUNT CALLERS TOPIC       the same by Google's Python client and threads (its publish method, without batching)
fill COUNT TOPIC                   messages by hundreds, as fast as the side takes them
latency COUNT PAUSE TOPIC          one at a time; gives the moment before each publish, by the message's id
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import uvloop
from google import pubsub_v1
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

PUBLISH = "/google.pubsub.v1.Publisher/Publish"
DATA = b'{"order": "0123456789", "amount": "1.00"}'


def request(topic: str, messages: int = 1) -> bytes:
    """A PublishRequest."""
    made = pubsub_v1.PublishRequest(topic=topic, messages=[{"data": DATA, "attributes": {"kind": "order"}}] * messages)
    return bytes(pubsub_v1.PublishRequest.serialize(made))


async def publishes(address: str, encoded: bytes, count: int, callers: int) -> dict[str, float]:
    """So many calls by so many callers at once."""
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(PUBLISH)
        left = count

        async def caller() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await call(encoded)

        began = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return {"began": began, "ended": time.monotonic()}


def official(address: str, count: int, callers: int, topic: str) -> dict[str, float]:
    """The same by Google's client."""
    transport = PublisherGrpcTransport(channel=grpc.insecure_channel(address))
    client = pubsub_v1.PublisherClient(transport=transport)
    message = pubsub_v1.PubsubMessage(data=DATA, attributes={"kind": "order"})
    client.publish(topic=topic, messages=[message])
    with ThreadPoolExecutor(callers) as pool:
        began = time.monotonic()
        list(pool.map(lambda _: client.publish(topic=topic, messages=[message]), range(count)))
        return {"began": began, "ended": time.monotonic()}


async def latency(address: str, count: int, pause: float, topic: str) -> dict[str, float]:
    """Light load: the moment before each publish, by the message's id."""
    began, encoded = {}, request(topic)
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(PUBLISH)
        for _ in range(count):
            at = time.monotonic()
            answer = pubsub_v1.PublishResponse.deserialize(await call(encoded))
            began[str(answer.message_ids[0])] = at
            await asyncio.sleep(pause)
    return began


def main(kind: str, address: str, *rest: str) -> Any:
    """One generator, by its name."""
    match kind:
        case "publish":
            count, callers, topic = rest
            return uvloop.run(publishes(address, request(topic), int(count), int(callers)))
        case "official":
            count, callers, topic = rest
            return official(address, int(count), int(callers), topic)
        case "fill":
            count, topic = rest
            return uvloop.run(publishes(address, request(topic, 100), int(count) // 100, 4))
        case "latency":
            count, pause, topic = rest
            return uvloop.run(latency(address, int(count), float(pause), topic))
    raise SystemExit(f"no load named {kind}")


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
