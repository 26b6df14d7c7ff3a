"""100 times kill -9 while messages are published, pulled and pushed: none whose id was answered is lost.

In each life 16 callers publish to a topic with a subscription that is pulled and acknowledged meanwhile, one that is
pulled in exactly-once delivery, and one that pushes, until the next 300 are answered and the process is killed in the
middle of it; then it starts again on the same state. At the end everything is let out. Counted are messages that were
answered and never came (the aim is 0), and, in exactly-once delivery, messages that came again after their
acknowledgement was confirmed (the aim is 0); repeats elsewhere are at-least-once delivery. KILLS is how many (100).
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop
from google import pubsub_v1

from bench._measure import NotKeptError, percentile
from bench._pubsub_load import PUBLISH, request
from bench._pubsub_sides import PROJECT, Side
from bench._tasks_sides import Target, target
from bench._tasks_sides import ours as our_cloud

#: Answered messages of one life, and callers at a time.
LIFE, CALLERS = 300, 16
PULL, ACKNOWLEDGE = "/google.pubsub.v1.Subscriber/Pull", "/google.pubsub.v1.Subscriber/Acknowledge"
TOPIC = f"{PROJECT}/topics/kills"
PULLED, ONCE = f"{PROJECT}/subscriptions/pulled", f"{PROJECT}/subscriptions/once"


class Record:
    """What was answered, and what came by which way."""

    def __init__(self) -> None:
        self.answered: set[str] = set()
        self.came: dict[str, set[str]] = {PULLED: set(), ONCE: set()}
        self.confirmed: set[str] = set()
        self.again = 0


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Kill, start again, and at the end let everything out."""
    kills = int(os.environ.get("KILLS", "100"))
    chance = random.Random(5)
    record, pushed, ready = Record(), set[str](), list[float]()
    with tempfile.TemporaryDirectory() as folder, target() as receiver:
        state = Path(folder) / "state"
        for life in range(kills + 1):
            with our_cloud(state) as cloud:
                side = Side("sluice", cloud.address, cloud.pid, cloud.started_in)
                ready += [side.started_in] if life else []
                if not life:
                    _begin(side, receiver)
                goal = len(record.answered) + LIFE + chance.randrange(LIFE // 5) if life < kills else 0
                uvloop.run(_live(side, record, goal, cloud.kill))
                if life == kills:
                    _drained(receiver, pushed, record.answered)
            pushed.update(name for name, _ in receiver.ask("/_log"))
            if (life + 1) % 20 == 0:
                say(f"{life + 1} kills: {len(record.answered)} answered, {len(pushed)} pushed")
    lost = {
        "pulled": len(record.answered - record.came[PULLED]),
        "exactly_once": len(record.answered - record.came[ONCE]),
        "pushed": len(record.answered - pushed),
    }
    result = {
        "kills": kills,
        "answered": len(record.answered),
        "lost": lost,
        "came_again_after_confirmation": record.again,
        "ready_s": {"p50": round(percentile(ready, 0.5), 2), "max": round(max(ready), 2)},
    }
    say(str(result))
    if any(lost.values()) or record.again:
        raise NotKeptError(f"lost {lost}, came again after confirmation {record.again}", result)
    return result


def _begin(side: Side, receiver: Target) -> None:
    topic = side.topic("kills")
    side.subscription(topic, "pushed", endpoint=f"{receiver.url}/log")
    side.subscription(topic, "pulled")
    side.subscription(topic, "once", exactly_once=True)


async def _live(side: Side, record: Record, goal: int, kill: Callable[[], None]) -> None:
    """One life: publishes until the goal is reached, then the kill; without a goal it lets everything out."""
    over = asyncio.Event()
    async with grpc.aio.insecure_channel(side.address) as channel:
        publish: Any = channel.unary_unary(PUBLISH)
        encoded = request(TOPIC)

        async def caller() -> None:
            while not over.is_set():
                try:
                    answer = pubsub_v1.PublishResponse.deserialize(await publish(encoded, timeout=20))
                except grpc.aio.AioRpcError:
                    return
                record.answered.add(str(answer.message_ids[0]))
                if len(record.answered) >= goal and not over.is_set():
                    over.set()
                    kill()

        callers = [caller() for _ in range(CALLERS if goal else 0)]
        await asyncio.gather(*callers, _pulls(channel, PULLED, record, goal), _pulls(channel, ONCE, record, goal))


async def _pulls(channel: grpc.aio.Channel, subscription: str, record: Record, goal: int) -> None:
    """Pulls and acknowledges until the process is gone, or nothing is left."""
    pull: Any = channel.unary_unary(PULL)
    acknowledge: Any = channel.unary_unary(ACKNOWLEDGE)
    wanted = pubsub_v1.PullRequest(subscription=subscription, max_messages=100, return_immediately=not goal)
    came = record.came[subscription]
    while True:
        try:
            answer = pubsub_v1.PullResponse.deserialize(await pull(pubsub_v1.PullRequest.serialize(wanted)))
            got = {str(one.message.message_id): one.ack_id for one in answer.received_messages}
            if not got and not goal:
                return
            if subscription == ONCE:
                record.again += len(record.confirmed & got.keys())
            came.update(got)
            done = pubsub_v1.AcknowledgeRequest(subscription=subscription, ack_ids=list(got.values()))
            await acknowledge(pubsub_v1.AcknowledgeRequest.serialize(done))
            if subscription == ONCE:
                record.confirmed.update(got)
        except grpc.aio.AioRpcError:
            return


def _drained(receiver: Target, pushed: set[str], answered: Collection[str]) -> None:
    """Waits until all was pushed, or no more comes."""
    patience = time.monotonic() + 60
    while set(answered) - pushed and time.monotonic() < patience:
        receiver.wait(receiver.ask("/_stats")["count"] + 1, patience=0.5)
        pushed.update(name for name, _ in receiver.ask("/_log"))
