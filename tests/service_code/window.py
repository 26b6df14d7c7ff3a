"""The host payment's hop on a moved clock: the queue tries by its law, the payer is down for a while, sweeps go on.

Services, Postgres and chain are real; the queue is the law of Cloud Tasks (`local_cloud.engines.backoff`) over the
tasks that the services make.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local_cloud.engines.backoff import RetryPolicy, timeline
from tests.service_code.flow import ETH, tokens
from tests.service_code.notices import ipn, notify, order
from tests.service_code.outer import Task
from tests.service_code.world import BASE, Running, World

QUEUE = "hostpay-execution-queue"
#: A fixed rate of the exchange lives so long.
RATE_LIVES = 1200
#: Google's own defaults; few early retries; those with the age limit; and a day, for a task that carries no token.
DEFAULTS = RetryPolicy()
TIGHT = RetryPolicy(max_attempts=3, min_backoff=5, max_backoff=15, max_doublings=2)
LIMITED = RetryPolicy(max_attempts=3, min_backoff=5, max_backoff=15, max_doublings=2, max_retry_duration=60)
A_DAY = RetryPolicy(max_attempts=-1, min_backoff=5, max_backoff=60, max_doublings=3, max_retry_duration=86400)
BREAKER = {
    "url": BASE.format("gchostpay") + "/health",
    "check_interval": 5,
    "failure_threshold": 1,
    "open_for": 10,
    "opens_on": "degraded",
}


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """What the edge is set to."""

    policy: RetryPolicy = LIMITED
    at_delivery: bool = False
    fallback: bool = False
    breaker: bool = False

    @property
    def edge(self) -> dict[str, Any]:
        token = {
            "minted": "delivery" if self.at_delivery else "enqueue",
            "give_up_after": 86400,
            "fallback": self.fallback,
            "breaker": BREAKER if self.breaker else None,
        }
        return {"token": token, **({"token_window": 86400 + 45} if self.at_delivery else {})}


@dataclass
class Line:
    """gcsplit and gchostpay with the queue between them."""

    world: World
    strategy: Strategy
    webhook: Running
    splitter: Running
    payer: Running
    is_down: bool = False
    #: The host payment's queue takes no tasks.
    is_full: bool = False
    wasted: int = 0
    _events: list[tuple[float, int, Callable[[], Any]]] = field(default_factory=list)
    _order: Any = field(default_factory=itertools.count)

    def at(self, time: float, what: Callable[[], Any]) -> None:
        """Have something happen at a time."""
        heapq.heappush(self._events, (time, next(self._order), what))

    async def until(self, time: float) -> None:
        """Let everything happen up to a time."""
        while self._events and self._events[0][0] <= time:
            when, _, what = heapq.heappop(self._events)
            self.world.clock.at = max(self.world.clock.at, when)
            self._expire()
            await what()
            self._collect()
        self.world.clock.at = max(self.world.clock.at, time)

    async def arrive(self) -> str:
        """A payment comes in, and is split."""
        now = datetime.fromtimestamp(self.world.clock.at + RATE_LIVES, UTC)
        self.world.outer.valid_until = None if self.strategy.at_delivery else now.isoformat()
        sold = order(self.world, units=ETH // 20)
        assert (await notify(self.webhook, ipn(self.world, sold)))[0] == 200
        (task,) = self.world.outer.take("split-payment-queue")
        self.world.outer.tasks_status = 503 if self.is_full else 200
        assert (await self.splitter.deliver(task)).json() == {"status": "next"}
        self.world.outer.tasks_status = 200
        return sold.unique_id

    def go_down(self) -> None:
        """The payer does not answer any more, nor its health."""
        self.is_down, self.world.doors.harm = True, "away"

    def come_back(self) -> None:
        self.is_down, self.world.doors.harm = False, None

    def _collect(self) -> None:
        """Give the tasks that were made to the queue's law."""
        for task in self.world.outer.take(QUEUE):
            self._attempt(task, timeline(self.strategy.policy), self.world.clock.at, 0)

    def _attempt(self, task: Task, times: Any, since: float, retry: int) -> None:
        after = next(times, None)
        if after is None:
            return  # the queue drops it, and tells nobody

        async def attempt() -> None:
            ended = not self.is_down and (await self._deliver(task, retry)) == 200
            if not ended:
                self.wasted += 1
                self._attempt(task, times, since, retry + 1)

        self.at(since + after, attempt)

    async def _deliver(self, task: Task, retry: int) -> int:
        answer = await self.payer.deliver(task, retry)
        self.wasted += answer.json().get("code") == "TOKEN_EXPIRED"
        for confirm in self.world.outer.take("hostpay-confirm-queue"):
            assert (await self.payer.deliver(confirm)).status == 200
        return answer.status

    def _expire(self) -> None:
        now = datetime.fromtimestamp(self.world.clock.at, UTC)
        for made in self.world.outer.orders.values():
            if made["validUntil"] and datetime.fromisoformat(made["validUntil"]) < now and made["status"] == "waiting":
                made["status"] = "expired"

    def sweep_every(self, seconds: float, path: str) -> None:
        """Have the scheduler call gcsplit, at whole multiples of the interval as cron does."""

        async def call() -> None:
            await self.splitter.sweep(path)
            self.sweep_every(seconds, path)

        self.at((self.world.clock.at // seconds + 1) * seconds, call)

    async def outage(self, lasts: float, *, arrivals: tuple[float, ...], patience: float) -> list[str]:
        """The payer is down for a while; a payment comes a second before, more meanwhile; then so much time passes."""
        began, came = self.world.clock.at + 1, list[str]()

        async def arrive() -> None:
            came.append(await self.arrive())

        await arrive()
        self._collect()
        await self.until(began)
        self.go_down()
        for share in arrivals:
            self.at(began + share * lasts, arrive)
        await self.until(began + lasts - 0.001)
        self.come_back()
        await self.until(began + lasts + patience)
        return came


@asynccontextmanager
async def line(world: World, strategy: Strategy) -> AsyncIterator[Line]:
    """A hop set to a strategy, with its sweeps on schedule."""
    world.edges[QUEUE] = strategy.edge
    async with AsyncExitStack() as stack:
        webhook = await stack.enter_async_context(world.run("gcwebhook"))
        splitter = await stack.enter_async_context(world.run("gcsplit"))
        payer = await stack.enter_async_context(world.run("gchostpay"))
        made = Line(world, strategy, webhook, splitter, payer)
        made.sweep_every(60, "/sweep")
        if strategy.fallback:
            made.sweep_every(300, "/fallback")
        yield made


async def ends(sql: Any, payments: list[str]) -> Counter[str]:
    """How many of these payments are paid, dead or neither."""
    rows = await sql.fetch(
        """
        SELECT que.unique_id, que.status, bool_or(h.status = 'completed') AS paid FROM split_payout_que AS que
        LEFT JOIN split_payout_hostpay AS h USING (unique_id) WHERE que.unique_id = ANY($1) GROUP BY 1, 2
        """,
        payments,
    )
    return Counter("paid" if row["paid"] else "dead" if row["status"] == "dead" else "waiting" for row in rows)


FALLBACK = Strategy(fallback=True)
DELIVERY = Strategy(policy=A_DAY, at_delivery=True)
BREAKS = Strategy(breaker=True)
DAY = 86400


def set_to(world: World, strategy: Strategy) -> None:
    """Have the edge follow a strategy."""
    world.edges[QUEUE] = strategy.edge


def generation(task: Task) -> int:
    """Of which generation a host payment's task is."""
    return tokens().read(task.json()["token"]).generation
