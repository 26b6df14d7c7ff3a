"""What is not ours, as services call it: Cloud Tasks, Cloud Storage's record of the rollout, Google keys, ChangeNow,
the Bot API, the door of a node."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from eth_account import Account

#: What a stand-in remembers of an order and does not tell.
KEPT = ("exact", "client")


@dataclass
class Task:
    """A task as a queue got it."""

    queue: str
    name: str
    url: str
    body: bytes
    headers: dict[str, str]
    audience: str
    invoker: str
    scheduled: float | None = None

    @property
    def service(self) -> str:
        return self.host.rpartition("---")[2].partition("-")[0]

    @property
    def tag(self) -> str:
        """The tag by which it goes to one revision; nothing where the service's traffic decides."""
        return self.host.rpartition("---")[0]

    @property
    def host(self) -> str:
        return self.url.removeprefix("https://").partition("/")[0]

    @property
    def path(self) -> str:
        return "/" + self.url.removeprefix("https://").partition("/")[2]

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


@dataclass
class Pushed:
    """A message as a topic got it."""

    topic: str
    data: bytes
    ordering_key: str
    attributes: dict[str, str]
    message_id: str

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.data))

    def envelope(self, attempt: int = 1) -> dict[str, Any]:
        message = {
            "data": base64.b64encode(self.data).decode(),
            "attributes": self.attributes,
            "messageId": self.message_id,
            "orderingKey": self.ordering_key,
        }
        return {"message": message, "subscription": f"{self.topic}-sub", "deliveryAttempt": attempt}


@dataclass
class Outer:
    """Cloud Tasks, Google's keys, ChangeNow and the Bot API, as far as the services call them."""

    port: int = 0
    tasks: list[Task] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    tasks_status: int = 200
    #: The object record.json as it stands, how it is answered, and what happens before; and how often it was read.
    record: bytes = b""
    record_status: int = 200
    during_record: Callable[[], Awaitable[Any]] | None = None
    record_reads: int = 0
    published: list[Pushed] = field(default_factory=list)
    #: Answers of the next publications, then 200; "lost" publishes and answers 500.
    publish_faults: list[int | str] = field(default_factory=list)
    during_publish: Callable[[], Awaitable[Any]] | None = None
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    changenow_status: int | None = None
    #: What a coin is worth in estimates, and the least that is estimated; without a price every estimate is 42.5.
    price: Decimal | None = None
    smallest: Decimal = Decimal(0)
    estimates: list[str] = field(default_factory=list)
    changenow_refusal: str | None = None
    telegram: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    telegram_status: int = 200
    slack: list[dict[str, Any]] = field(default_factory=list)
    slack_status: int = 200
    valid_until: str | None = None
    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, queue: str) -> list[Task]:
        """Remove and return the tasks of a queue."""
        taken = [task for task in self.tasks if task.queue == queue]
        self.tasks = [task for task in self.tasks if task.queue != queue]
        return taken

    def app(self) -> web.Application:
        app = web.Application(client_max_size=4_000_000)
        app.add_routes(
            [
                web.post("/v2/projects/{p}/locations/{l}/queues/{queue}/tasks", self._create_task),
                web.post("/v2/projects/{p}/locations/{l}/queues/{queue}/tasks:batchCreate", self._create_tasks),
                web.post("/v1/projects/{p}/topics/{topic:[^:]+}:publish", self._publish),
                web.get("/storage/v1/b/{bucket}/o/record.json", self._record),
                web.get("/certs", self._certs),
                web.get("/changenow/v2/exchange/estimated-amount", self._estimate),
                web.post("/changenow/v2/exchange", self._order),
                web.get("/changenow/v2/exchange/by-id", self._by_id),
                web.post("/telegram/{bot}/{method}", self._telegram),
                web.post("/slack", self._slack),
            ]
        )
        return app

    async def _create_task(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer access-token"
        if self.tasks_status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.tasks_status)
        task = (await request.json())["task"]
        if not self._take_task(request.match_info["queue"], task):
            return web.json_response({"error": {"status": "ALREADY_EXISTS"}}, status=409)
        return web.json_response(task)

    async def _create_tasks(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer access-token"
        if self.tasks_status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.tasks_status)
        given = [one["task"] for one in (await request.json())["requests"]]
        taken = [self._take_task(request.match_info["queue"], task) for task in given]
        failed = {str(index): {"code": 6, "message": "taken"} for index, made in enumerate(taken) if not made}
        return web.json_response({"name": "operations/1", "done": True, "metadata": {"failedRequests": failed}})

    def _take_task(self, queue: str, task: dict[str, Any]) -> bool:
        if task["name"] in self.names:
            return False
        self.names.add(task["name"])
        call = task["httpRequest"]
        self.tasks.append(
            Task(
                queue=queue,
                name=task["name"].rpartition("/")[2],
                url=call["url"],
                body=base64.b64decode(call["body"]),
                headers=call["headers"],
                audience=call["oidcToken"]["audience"],
                invoker=call["oidcToken"]["serviceAccountEmail"],
                scheduled=datetime.fromisoformat(task["scheduleTime"]).timestamp() if "scheduleTime" in task else None,
            )
        )
        return True

    async def _publish(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer access-token"
        if self.during_publish:
            during, self.during_publish = self.during_publish, None
            await during()
        fault = self.publish_faults.pop(0) if self.publish_faults else 200
        if fault not in (200, "lost"):
            return web.json_response({"error": {"message": "no"}}, status=int(fault))
        for message in (await request.json())["messages"]:
            self.published.append(
                Pushed(
                    topic=request.match_info["topic"],
                    data=base64.b64decode(message["data"]),
                    ordering_key=message.get("orderingKey", ""),
                    attributes=message.get("attributes", {}),
                    message_id=str(len(self.published) + 1),
                )
            )
        return web.json_response({"messageIds": []}, status=500 if fault == "lost" else 200)

    async def _record(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer access-token"
        assert request.query == {"alt": "media"}
        self.record_reads += 1
        if self.during_record:
            await self.during_record()
        return web.Response(body=self.record, status=self.record_status)

    async def _slack(self, request: web.Request) -> web.Response:
        if self.slack_status == 200:
            self.slack.append(await request.json())
        return web.Response(text="ok", status=self.slack_status)

    async def _certs(self, _: web.Request) -> web.Response:
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return web.json_response({"keys": [{**key, "kid": "one", "alg": "RS256", "use": "sig"}]})

    def _exchange_down(self) -> web.Response | None:
        if self.changenow_status is not None:
            return web.json_response({"error": self.changenow_refusal or "down"}, status=self.changenow_status)
        return None

    async def _estimate(self, request: web.Request) -> web.Response:
        amount = request.query["fromAmount"]
        self.estimates.append(amount)
        if Decimal(amount) < self.smallest and self.changenow_status is None:
            return web.json_response({"error": "deposit_too_small", "message": "Out of min amount"}, status=400)
        worth = 42.5 if self.price is None else float(Decimal(amount) * self.price)
        body = {"rateId": "rate", "validUntil": self.valid_until, "fromAmount": float(amount), "toAmount": worth}
        return self._exchange_down() or web.json_response(body)

    async def _order(self, request: web.Request) -> web.Response:
        if down := self._exchange_down():
            return down
        wish = await request.json()
        order_id = f"cn{len(self.orders):012d}"
        order = {
            "id": order_id,
            "status": "waiting",
            "payinAddress": Account.from_key("0x" + f"{len(self.orders) + 7:064x}").address,
            "fromAmount": float(wish["fromAmount"]),
            "expectedAmountFrom": float(wish["fromAmount"]),
            "exact": Decimal(wish["fromAmount"]),
            "client": wish["address"],
            "toAmount": 42.5,
            "flow": wish["flow"],
            "validUntil": self.valid_until,
        }
        self.orders[order_id] = order
        return web.json_response({key: value for key, value in order.items() if key not in KEPT})

    async def _by_id(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.query["id"])
        if order is None:
            return web.json_response({"error": "not_found", "message": "no"}, status=404)
        answer = {key: value for key, value in order.items() if key not in KEPT}
        return self._exchange_down() or web.json_response(answer)

    async def _telegram(self, request: web.Request) -> web.Response:
        if self.telegram_status != 200:
            body = {"ok": False, "description": "chat not found"}
            return web.json_response(body, status=self.telegram_status)
        self.telegram.append((request.match_info["method"], await request.json()))
        return web.json_response({"ok": True, "result": {"invite_link": f"https://t.me/+{len(self.telegram)}"}})


def record(routes: Mapping[str, int], releases: Mapping[str, tuple[int, str]]) -> bytes:
    """The rollout's record, as the program declares it."""
    said = {
        "version": 1,
        "routes": {name: {"percent": percent, "salt": name} for name, percent in routes.items()},
        "releases": {
            name: {"percent": percent, "salt": canary, "canary": canary} for name, (percent, canary) in releases.items()
        },
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@asynccontextmanager
async def serve(app: web.Application) -> AsyncIterator[int]:
    """Serve an application on a free port of loopback."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


class Rpc:
    """A door in front of the node: it counts calls, loses answers, refuses, or is away, by method."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        self.calls: list[str] = []
        self.requests = 0
        #: method -> what happens before the node is asked
        self.before: dict[str, Callable[[], Awaitable[Any]]] = {}
        #: method -> what becomes of its parameters and true result
        self.changes: dict[str, Callable[[list[Any], Any], Any]] = {}
        #: method -> what happens when the node has answered
        self.after: dict[str, Callable[[], Awaitable[Any]]] = {}
        #: method -> "lost" (done, but answered with a failure), "away" (not done) or an error's message
        self.harm: dict[str, str] = {}

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        calls = body if isinstance(body, list) else [body]
        self.requests += 1
        self.calls += [call["method"] for call in calls]
        harms = {call["id"]: self.harm.get(call["method"]) for call in calls}
        if "away" in harms.values():
            return web.Response(status=502)
        replies = [await self._reply(call, harms[call["id"]]) for call in calls]
        if "lost" in harms.values():
            return web.Response(status=502)
        return web.json_response(replies[::-1] if isinstance(body, list) else replies[0])  # a batch in any order

    async def _reply(self, call: dict[str, Any], harm: str | None) -> dict[str, Any]:
        if harm is not None and harm != "lost":
            return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32000, "message": harm}}
        if call["method"] in self.before:
            await self.before[call["method"]]()
        async with self._session.post(self._url, json=call) as response:
            answer = await response.json()
        if call["method"] in self.after:
            await self.after[call["method"]]()
        if call["method"] in self.changes:
            answer["result"] = self.changes[call["method"]](call["params"], answer["result"])
        return dict(answer)

    async def close(self) -> None:
        await self._session.close()
