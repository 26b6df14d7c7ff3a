"""The scheduler: what happens next, by the dice of one seed, until all payments are in; then healing until it is quiet.

Several things happen at once in each step, so that deliveries of one payment, sweeps and operators meet at its rows.
Deliveries come late, in any order and again; the clock jumps by seconds, minutes or hours; processes die.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.engines.backoff import RetryPolicy
from service_code.kit.money import Amount
from service_code.kit.order_token import Order
from service_code.kit.outside import UnreachableError
from spec import loader
from tests.service_code import paynow
from tests.service_code.conftest import Chain
from tests.service_code.crashing import DiedError, Mortal, mortal
from tests.service_code.notices import ipn, order, sign
from tests.service_code.simulation import hands, nature
from tests.service_code.simulation.outside import Weather
from tests.service_code.simulation.queues import Held, Message, Queues
from tests.service_code.world import BASE, INVOKER, Answer, Told, World, routes

ROOT = Path(__file__).parents[3]
#: Channels paid by threshold, and their thresholds in USDT; any other channel is split at once.
THRESHOLDS = {"-1001": "60", "-1002": "250"}
CHANNELS = (-100123, -100123, -100124, -1001, -1002)
PRODUCTS = ("points-100", "points-1000", "monthly", "points-100", "hat")
USERS = 4
#: How many things happen at once at most, and how often a process dies in such a step.
WIDTH, CRASH = 6, 0.8
#: How often some party's weather turns, in a step.
TURN = 0.3
#: How often a call fails at first, with everybody outside.
UNEASY = 0.2
#: Instances of each service.
INSTANCES = 2
#: The share of payments in USDT, and how often a notice is sent.
TOKENS, COPIES = 0.2, (1, 1, 1, 2, 3)
#: Seconds between two looks while all heals: first as a queue retries within a token's minute, then for a day and more.
PATIENCE = (*[10] * 6, *[61] * 4, *[600] * 8, *[3600] * 30)
#: Ends this share of the services' connections.
CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < $1
    """
#: Suspensions of a door that nobody has measured yet.
USUAL = 30


@dataclass(eq=False)
class Notice:
    """What a processor, or PayNow, has to tell until it is taken."""

    what: Any
    copies: int


@dataclass
class Figures:
    """What a run was made of."""

    steps: int = 0
    crashes: int = 0
    cuts: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    #: Messages that operators had sent once more, by queue.
    resent: Counter[str] = field(default_factory=Counter)


def laws() -> tuple[dict[str, RetryPolicy], int, list[tuple[str, str]]]:
    """The retry laws of all queues, the deliveries of the topic, and the scheduled doors: from the specs."""
    system = loader.load(ROOT)
    policies = {name: queue.retry.policy for name, queue in system.queues.items()}
    topic = system.topic("paynow-events")
    return policies, topic.max_delivery_attempts, [(call.service, call.path) for call in system.schedules()]


class Way:
    """How services call one another directly: some instance answers, or nobody does any more."""

    def __init__(self, simulation: Simulation, service: str) -> None:
        self._simulation = simulation
        self._service = service

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Bring a call to an instance."""
        answer = await self._simulation.call(self._service, path, lambda to: to.request(method, path, body, **headers))
        if not answer.status:
            raise UnreachableError("it died before it answered")
        return answer


class Simulation:
    """One run."""

    def __init__(self, world: World, chain: Chain, sql: Any, weather: Weather, dice: random.Random) -> None:
        self.world = world
        self.sql = sql
        self.chain = chain
        self.weather = weather
        self.dice = dice
        policies, deliveries, self.schedules = laws()
        self.queues = Queues(policies, deliveries)
        self.instances: dict[str, list[Mortal]] = {}
        self.payments: list[Notice] = []
        self.events: list[Notice] = []
        self.figures = Figures()
        self.first_block = 0
        self.calm = False
        self.seen_block = 0
        self._stack = AsyncExitStack()
        self._doom: int | None = None
        self._knife = asyncio.Lock()
        self._usual: dict[tuple[str, str], float] = defaultdict(lambda: USUAL)
        self._tokens: dict[tuple[str, str, int], str] = {}
        self._token = world.token
        world.token = self.token  # type: ignore[method-assign]

    def token(self, service: str, email: str, *, audience: str | None = None, **claims: Any) -> str:
        """Sign once an hour: signing takes longer than most of what it is for."""
        key = (audience or service, email, int(self.world.clock.at // 1800))
        if key not in self._tokens:
            self._tokens[key] = self._token(service, email, audience=audience, **claims)
        return self._tokens[key]

    # Processes

    async def open(self) -> None:
        """Start everybody; the users of PayNow are known from the beginning."""
        self.first_block = self.seen_block = await self.head()
        for service in sorted({service for service, _ in self.schedules} | {"gchostpay2"}):
            self.instances[service] = [await self.start(service) for _ in range(INSTANCES)]
            self.world.doors.open(BASE.format(service), Way(self, service))
        for number in range(USERS):
            await paynow.register(self.to("paynowwebhook"), f"u{number}", f"c{number}")

    async def start(self, service: str) -> Mortal:
        settings = {
            "ROUTES": routes(split_hop=80, hostpay_hop=80, payout=50, paynow=80, estimate=50),
            "THRESHOLD_BY_CHANNEL": json.dumps(THRESHOLDS),
            "ETHEREUM_RPC_URL": f"{self.world.outer.url}/rpc",
        }
        return await self._stack.enter_async_context(mortal(self.world, service, None, **settings))

    async def close(self) -> None:
        await self._stack.aclose()

    async def funeral(self) -> None:
        """Start anew what has died, and let the others live on."""
        for service, instances in self.instances.items():
            for place, instance in enumerate(instances):
                instance.life.die_at(None)
                if instance.life.dead:
                    self.figures.crashes += 1
                    instances[place] = await self.start(service)

    # What may happen

    async def deliver(self, held: Held) -> None:
        held.flying = True
        answer = await self.call(held.task.service, held.task.path, lambda to: to.deliver(held.task))
        self.queues.answered(held, answer.status, self.world.clock.at)

    async def push(self, message: Message) -> None:
        message.flying = True
        attempt = message.attempts + 1
        answer = await self.call("paynowworker", "push", lambda to: to.push(message.pushed, attempt))
        self.queues.acknowledged(message, answer.status, self.world.clock.at, self.dice)

    async def again(self, _: None) -> None:
        """Deliver once more what was acknowledged."""
        if self.queues.pushed and self.dice.random() < 0.2:
            pushed = self.dice.choice(self.queues.pushed)
            await self.call("paynowworker", "push", lambda to: to.push(pushed))
        elif self.queues.done:
            task = self.dice.choice(self.queues.done)
            await self.call(task.service, task.path, lambda to: to.deliver(task))

    async def tell(self, notice: Notice) -> None:
        """A processor, or PayNow, tells of something, until all its copies are taken."""
        if isinstance(notice.what, Order):
            service, body = "gcwebhook", ipn(self.world, notice.what)
            headers = {"x-nowpayments-sig": sign(body)}
            answer = await self.call(service, "/", lambda to: to.post("/", body, **headers))
        else:
            service, body = "paynowwebhook", json.dumps(notice.what).encode()
            headers = paynow.signed(self.world, body)
            answer = await self.call(service, "/", lambda to: to.post(paynow.WEBHOOK, body, **headers))
        self.world.told.append(Told(service, headers, body, answer.status))
        notice.copies -= answer.status == 200

    async def sweep(self, door: tuple[str, str]) -> None:
        service, path = door
        headers = {"Authorization": f"Bearer {self.world.token(service, INVOKER)}"}
        await self.call(service, path, lambda to: to.request("POST", path, b"", **headers))

    async def cut(self, _: None) -> None:
        """The database ends connections, whatever is under way on them: a commit may stand and nobody hear of it."""
        share = self.dice.choice((0.2, 1.0))
        async with self._knife:
            self.figures.cuts += await self.sql.fetchval(CUT, share)

    async def rows(self, query: str, *values: Any) -> list[Any]:
        """Look into the database while other things happen."""
        async with self._knife:
            return list(await self.sql.fetch(query, *values))

    async def operator(self, _: None) -> None:
        await hands.something(self)

    async def operate(self, service: str, method: str, path: str, body: Any = None) -> Answer:
        """Call as an operator."""
        return await self.call(service, path.rpartition("/")[2], lambda to: to.operate(method, path, body))

    def to(self, service: str) -> Mortal:
        """Some instance of a service."""
        return self.dice.choice(self.instances[service])

    async def call(self, service: str, door: str, ask: Callable[[Mortal], Awaitable[Answer]]) -> Answer:
        """Call a door; status 0 is no answer, since nobody is there any more."""
        instance = self.to(service)
        life, key = instance.life, (service, door)
        before = life.steps
        if self._doom is not None:
            self._doom -= 1
            if self._doom < 0:
                self._doom = None
                life.die_at(self.dice.randint(1, max(2, round(self._usual[key]))))
        try:
            answer = await ask(instance)
            self._usual[key] += (life.steps - before - self._usual[key]) * 0.1
        except DiedError:
            answer = Answer(0, "")
        self.figures.answers[f"{service} {door} {answer.status}"] += 1
        return answer

    # Choosing

    async def live(self, payments: int, events: int) -> None:
        """Let things happen until all payments and events are in and some time has passed."""
        self.weather.chance = dict.fromkeys(self.weather.chance, UNEASY)
        while len(self.payments) < payments or len(self.events) < events or self.dice.random() < 0.98:
            await self.step(payments, events)

    async def step(self, payments: int, events: int) -> None:
        self.figures.steps += 1
        dice = self.dice
        if dice.random() < 0.15:
            if len(self.payments) < payments:
                self.payments.append(self.new_payment())
            if len(self.events) < events:
                self.events.append(self.new_event())
        if dice.random() < TURN:
            self.weather.change()
        await nature.passes(self)
        self._doom = dice.randrange(WIDTH) if dice.random() < CRASH else None
        chosen = [self.choose() for _ in range(dice.randint(1, WIDTH))]
        await asyncio.gather(*(one for one in chosen if one is not None))
        await self.funeral()
        self.queues.take_in(self.world.outer, self.world.clock.at)

    def choose(self) -> Coroutine[Any, Any, Any] | None:
        """One thing that may happen now, and begins to be under way."""
        dice, now = self.dice, self.world.clock.at
        due, messages = self.queues.due(now), self.queues.due_messages(now)
        untold = [one for one in (*self.payments, *self.events) if one.copies > 0]
        chances: list[tuple[float, list[Any], Callable[[Any], Coroutine[Any, Any, Any]]]] = [
            (0.53, due, self.deliver),
            (0.10, messages, self.push),
            (0.15, untold, self.tell),
            (0.05, [None], self.again),
            (0.10, self.schedules, self.sweep),
            (0.06, [None], self.operator),
            (0.01, [None], self.cut),
        ]
        lot = dice.random()
        for chance, things, way in chances:
            if lot < chance:
                thing = dice.choice(things) if things else None
                if isinstance(thing, Held | Message):
                    thing.flying = True
                return way(thing) if things else None
            lot -= chance
        return None

    def new_payment(self) -> Notice:
        """A payment of any flow; some are too small to be exchanged alone."""
        dice = self.dice
        ether = dice.choice((dice.randint(10**14, 10**16), *[dice.randint(10**16, 10**17)] * 5))
        paid, channel = Amount(currency="eth", units=ether), dice.choice(CHANNELS)
        if dice.random() < TOKENS:
            paid, channel = Amount(currency="usdt", units=dice.randint(10**6, 10**8)), CHANNELS[0]
        wallet = "0x" + dice.choice("abc") * 40
        return Notice(order(self.world, amount=paid, channel_id=channel, client_wallet=wallet), dice.choice(COPIES))

    def new_event(self) -> Notice:
        """An event of PayNow's; hats are not sold here."""
        dice, number = self.dice, len(self.events)
        event = paynow.order(number, dice.choice(PRODUCTS), customer={"id": f"c{dice.randrange(USERS)}"})
        return Notice(event, dice.choice(COPIES))

    # Healing

    async def heal(self, finished: Any) -> None:
        """Heal everybody, deliver and sweep and move the clock until `finished` says that nothing more will happen."""
        self.weather.clear()
        self.chain.door.harm = {}
        self.chain.automine = True
        await self.chain.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        for made in self.world.outer.orders.values():
            made["status"] = "waiting" if made["status"] == "new" else made["status"]
        for step in PATIENCE:
            await self.settle()
            if await finished():
                return
            self.world.clock.at += step

    async def head(self) -> int:
        return int(await self.chain.ask("eth_blockNumber"), 16)

    async def settle(self) -> None:
        """Deliver all that is due and all that follows; then a minute's sweeps."""
        for _ in range(3):
            await self.chain.mine()
            for notice in (*self.payments, *self.events):
                while notice.copies > 0:
                    await self.tell(notice)
            await asyncio.gather(*map(self.sweep, self.schedules))
            self.queues.take_in(self.world.outer, self.world.clock.at)
            while True:
                now = self.world.clock.at
                due = [self.deliver(held) for held in self.queues.due(now)[:WIDTH]]
                due += [self.push(message) for message in self.queues.due_messages(now)]
                if not due:
                    break
                await asyncio.gather(*due)
                self.queues.take_in(self.world.outer, now)
            self.world.clock.at += 2
        await self.chain.mine(70)
        await nature.watch(self)
