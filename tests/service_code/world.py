"""The surroundings of a service under test: real Postgres, real chain, and small stand-ins for what is not ours.

A service runs in the test's own event loop, behind its real HTTP application; Cloud Tasks is a receiver of the REST
call that keeps what was created, and a test delivers it by hand, so that every order and crash can be arranged.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jwt
import yaml
from eth_account import Account

from service_code.kit import settings as settings_module
from service_code.kit.app import build
from service_code.kit.runtime import Kit
from spec.service import RESERVED_ENV
from tests.service_code.doors import Doors, Wire
from tests.service_code.outer import Outer, Pushed, Task, record

BASE = "https://{}-1.us-central1.run.app"
CANARY = "https://canary---{}-1.us-central1.run.app"
INVOKER = "invoker@p.iam.gserviceaccount.com"
ACCOUNT = "{}@p.iam.gserviceaccount.com"
OPERATOR = "operator@p.iam.gserviceaccount.com"
QUEUES = {
    "split-payment-queue": ("gcsplit", "/process_split", None),
    "channel-access-queue": ("gcwebhook", "/grant-access", None),
    "hostpay-execution-queue": ("gchostpay", "/hostpay_webhook", 60),
    "hostpay-confirm-queue": ("gchostpay", "/confirm", None),
    "gcsplit-hostpay-trigger-queue": ("gchostpay1", "/", 86400),
    "gchostpay-status-check-queue": ("gchostpay2", "/", 86400),
    "gchostpay-status-response-queue": ("gchostpay1", "/status-verified", 86400),
    "gchostpay-payment-execute-queue": ("gchostpay3", "/", 86400),
    "gchostpay-payment-response-queue": ("gchostpay1", "/payment-completed", 86400),
    "gchostpay3-retry-queue": ("gchostpay3", "/", 86400),
    "gchostpay-payment-failed-queue": ("gchostpay1", "/payment-failed", None),
    "gchostpay4-news-queue": ("gchostpay", "/look", None),
    "gchostpay3-confirm-queue": ("gchostpay3", "/confirm", None),
    "gcaccumulator-queue": ("gcaccumulator", "/accumulate", None),
    "gcsplit2-queue": ("gcsplit2", "/estimate-and-update", None),
    "gcsplit-estimate-queue": ("gcsplit2", "/estimate", None),
    "gcsplit-estimate-response-queue": ("gcsplit", "/eth-client-swap", None),
    "gcbatchprocessor-queue": ("gcbatchprocessor", "/process", None),
    "registration-processing-queue": ("gcregister", "/process_registration", None),
    "gcmicrobatchprocessor-failed-queue": ("gcmicrobatchprocessor", "/batch-payment-failed", None),
}
#: Who has no database, and whom it sends on to.
HANDS_ON = {"gchostpay2": ("gchostpay1",)}
#: route -> its old way, its new one, the queue of a hop, and the share of the new way.
ROUTES = {
    "split-hop": ("direct", "queue", "split-payment-queue", 100),
    "hostpay-hop": ("direct", "queue", "hostpay-execution-queue", 100),
    "payout": ("single", "staged", None, 0),
    "paynow": ("sync", "queue", None, 100),
    "registration": ("sync", "queue", None, 0),
    "estimate": ("inline", "queue", None, 0),
}
TOPICS = {
    name: {"path": f"projects/p/topics/{name}", "ordered": ordered}
    for name, ordered in (("paynow-events", True), ("paynow-events-dlq", False))
}
PRODUCTS = {"points-100": 100, "points-1000": 1000, "monthly": 500}
PUSHES = ("/api/tasks/paynow/process",)
SECRETS = {
    "PROCESSOR_IPN_KEY": "ipn-key-for-tests-0123456789abcdef",
    "SUCCESS_URL_SIGNING_KEY": "success-url-key-for-tests-0123456789abcdef",
    "TELEGRAM_BOT_TOKEN": "123456:bot-token-for-tests",
    "TPS_HOSTPAY_SIGNING_KEY": "hostpay-key-for-tests-0123456789abcdef-0123456789abcdef",
    "HOSTPAY_INTERNAL_SIGNING_KEY": "internal-key-for-tests-" + "0123456789abcdef" * 4,
    "CHANGENOW_API_KEY": "changenow-key-for-tests",
    "ALCHEMY_WEBHOOK_SIGNING_KEY": "whsec_of_tests_0123456789\nwhsec_old_of_tests_012345",
    "REGISTRATION_KEY": "registration-key-for-tests-" + "0123456789abcdef" * 3,
    "PAYNOW_WEBHOOK_SECRET": "pn-secret-for-tests-0123456789abcdef",
}


#: Where processors tell of payments.
ENTRIES = (("gcwebhook", "/"), ("paynowwebhook", "/api/paynow/webhook"))


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    text: str

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.text))


@dataclass(frozen=True)
class Told:
    """A notice as it was sent to a service, and how it was answered."""

    service: str
    headers: dict[str, str]
    body: bytes
    status: int


class Clock:
    """A clock that a test moves."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.at = start

    def seconds(self) -> float:
        return self.at


def routes(**percents: int) -> str:
    """ROUTES of an environment, with other shares than the usual ones; a route's - is written _."""
    shares = {name.replace("_", "-"): percent for name, percent in percents.items()}
    assert shares.keys() <= ROUTES.keys()
    return json.dumps(
        {
            name: {"old": old, "new": new, "queue": queue, "percent": shares.get(name, percent), "salt": name,
                   "timeout": 30 if queue else None}
            for name, (old, new, queue, percent) in ROUTES.items()
        }
    )  # fmt: skip


@functools.cache
def queues_into(service: str) -> list[str]:
    """The queues whose tasks a service receives, and those of whom hands on to it."""
    return [name for name, (to, _, _) in QUEUES.items() if service in (to, *HANDS_ON.get(to, ()))]


@functools.cache
def declared() -> frozenset[str]:
    """Settings that some service reads, by the services' specs."""
    specs = (Path(__file__).parents[2] / "service_code").glob("*/service.yaml")
    return frozenset(name for spec in specs for name in yaml.safe_load(spec.read_text()).get("config", {}))


class StaticAccess:
    """Tokens without a metadata server."""

    def __init__(self, id_token: Callable[[str], str] | None = None) -> None:
        self._id_token = id_token

    async def token(self) -> str:
        return "access-token"

    async def id_token(self, audience: str) -> str:
        assert self._id_token is not None, "this service calls no other"
        return self._id_token(audience)

    def forget(self) -> None:
        return None


async def ask(app: Any, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
    """Make one request to an ASGI application, its body in two pieces."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(key.lower().encode(), value.encode()) for key, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("service", 80),
    }
    half = len(body) // 2
    pieces = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:], "more_body": False},
    ]
    status, text = 0, b""

    async def receive() -> dict[str, Any]:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        nonlocal status, text
        status = event.get("status", status)
        text += event.get("body", b"")

    await app(scope, receive, send)
    return Answer(status, text.decode())


class Running:
    """One instance of a service."""

    def __init__(self, world: World, kit: Kit, app: Any) -> None:
        self.world = world
        self.kit = kit
        self.app = app

    async def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """Call without any identity."""
        return await self.request("POST", path, body, **headers)

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Call with these headers alone."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        # Each request has a context of its own, as behind a server.
        answer = await asyncio.create_task(ask(self.app, method, path, named, body))
        if method == "POST" and (self.kit.settings.service, path) in ENTRIES:
            self.world.told.append(Told(self.kit.settings.service, named, body, answer.status))
        return answer

    async def deliver(self, task: Task, retry: int = 0) -> Answer:
        """Deliver a task as its queue would."""
        token = self.world.token(self.kit.settings.service, task.invoker, audience=task.audience)
        headers = {
            **task.headers,
            "Authorization": f"Bearer {token}",
            "X-CloudTasks-TaskName": task.name,
            "X-CloudTasks-QueueName": task.queue,
            "X-CloudTasks-TaskRetryCount": str(retry),
        }
        return await self.request("POST", task.path, task.body, **headers)

    async def push(self, message: Pushed, attempt: int = 1) -> Answer:
        """Push a message as its subscription would."""
        token = self.world.token(self.kit.settings.service, INVOKER)
        body = json.dumps(message.envelope(attempt)).encode()
        return await self.request("POST", PUSHES[0], body, Authorization=f"Bearer {token}")

    async def sweep(self, path: str = "/sweep") -> dict[str, Any]:
        """Call the sweeper, or another door of the scheduler's, as the scheduler does."""
        token = self.world.token(self.kit.settings.service, INVOKER)
        answer = await self.request("POST", path, Authorization=f"Bearer {token}")
        assert answer.status == 200, answer.text
        return answer.json()

    async def operate(self, method: str, path: str, body: Any = None) -> Answer:
        """Call as an operator."""
        token = self.world.token(self.kit.settings.service, OPERATOR)
        raw = b"" if body is None else json.dumps(body).encode()
        return await self.request(method, path, raw, Authorization=f"Bearer {token}")


class World:
    """Everything around the services of one test."""

    def __init__(self, outer: Outer, database: str, rpc: str, clock: Clock) -> None:
        self.outer = outer
        self.database = database
        self.rpc = rpc
        self.clock = clock
        self.wallet = Account.create()
        #: Every notice, for the judge, and where the chain stood when the test began; nothing where there is none.
        self.told: list[Told] = []
        self.began: tuple[str, int] | None = None
        self.chain_id = 31337
        #: The token's contract, once a test has issued one.
        self.usdt = ""
        self._ids = itertools.count(1)
        self.doors = Doors()
        #: Where services find the rollout's record; without a bucket there is none (`rollout`).
        self.bucket = ""
        #: queue -> what its edge says otherwise, such as its `token`.
        self.edges: dict[str, dict[str, Any]] = {}

    def environ(self, service: str, **more: str) -> dict[str, str]:
        queues = {
            name: {
                "path": f"projects/p/locations/us-central1/queues/{name}",
                "url": BASE.format(to) + path,
                "canary_url": CANARY.format(to) + path,
                "receiver": to,
                "meets": {one: queues_into(one) for one in (to, *HANDS_ON.get(to, ()))},
                "audience": BASE.format(to),
                "invoker": INVOKER,
                "dispatch_deadline": "45s",
                "token_window": window,
                **self.edges.get(name, {}),
            }
            for name, (to, path, window) in QUEUES.items()
        }
        operator = [
            "/payments/{unique_id}",
            "/dead",
            "/dead/{unique_id}/replay",
            "/dead-letters",
            "/ways/{unique_id}",
            "/failed-transactions",
            "/failed-transactions/{unique_id}/retry",
            "/failed-transactions/{unique_id}/status",
            "/failed-transactions/{unique_id}/recovered",
            "/thresholds",
            "/conversions",
            "/conversions/{unique_id}/retry",
            "/batches",
            "/batches/{batch_id}/retry",
            "/batches/{batch_id}/settle",
            "/conversions/{unique_id}/settle",
            "/wallet",
            "/wallet/resume",
            *("/reconcile/payments", "/reconcile/ledger", "/reconcile/orders", "/reconcile/wallet"),
            *("/reconcile/payouts", "/reconcile/events", "/reconcile/points"),
        ]
        operator += ["/dead/{event_id}/replay", "/events/{event_id}", "/users/{user_id}", "/operator-actions"]
        operator += ["/dead/{unique_id}", *(f"/dead/{{event_id}}/{verb}" for verb in ("archive", "restore"))]
        operator += ["/dead-letters/{number}", *(f"/dead-letters/{{number}}/{v}" for v in ("archive", "restore"))]
        operator += [f"/dead-messages/{verb}" for verb in ("known", "replay", "archive")]
        operator += ["/refused", "/refused/{unique_id}", "/payments/{unique_id}/grant"]
        operator += ["/invitations", "/clients", "/clients/{channel_id}", "/payments/{unique_id}/resend"]
        callers = {path: [INVOKER] for _, path, _ in QUEUES.values()}
        callers["/process_split"].append(ACCOUNT.format("gcwebhook"))
        callers["/hostpay_webhook"].append(ACCOUNT.format("gcsplit"))
        callers |= {"/sweep": [INVOKER], "/fallback": [INVOKER], "/convert-pending": [INVOKER]}
        callers |= {path: [INVOKER] for path in PUSHES}
        callers |= {path: [OPERATOR] for path in (*operator, "/payouts/{unique_id}/abandon")}
        endpoints = {
            "cloud_tasks": self.outer.url,
            "pubsub": self.outer.url,
            "storage": self.outer.url,
            "oidc_certs": f"{self.outer.url}/certs",
            "changenow": f"{self.outer.url}/changenow",
            "telegram": f"{self.outer.url}/telegram",
        }
        usual = {
            "SLUICE_STACK": "local",
            "GCP_PROJECT_ID": "p",
            "GCP_PROJECT_NUMBER": "1",
            "GCP_LOCATION": "us-central1",
            "SERVICE_URL": BASE.format(service),
            "DATABASE_URL": self.database.format(user=service),
            "QUEUES": json.dumps(queues),
            "TOPICS": json.dumps(TOPICS),
            "ROUTES": routes(),
            "ROLLOUT_BUCKET": self.bucket,
            "PAYNOW_PRODUCTS": json.dumps(PRODUCTS),
            "CALLERS": json.dumps(callers),
            "ENDPOINTS": json.dumps(endpoints),
            "CHAIN_ID": str(self.chain_id),
            "USDT_CONTRACT": self.usdt,
            "ETHEREUM_RPC_URL": self.rpc,
            "HOST_WALLET_PRIVATE_KEY": self.wallet.key.hex(),
            "SLACK_ALERT_WEBHOOK": f"{self.outer.url}/slack",
            **SECRETS,
        }
        unknown = more.keys() - usual.keys() - declared() - RESERVED_ENV
        assert not unknown, f"no service.yaml declares {unknown}: nobody would read it"
        return usual | more

    def rollout(
        self, routes: Mapping[str, int] | None = None, releases: Mapping[str, tuple[int, str]] | None = None
    ) -> None:
        """Write the rollout's record: routes' shares, and the share and revision of each release that is tried."""
        self.bucket = "p-sluice-rollout"
        self.outer.record = record(routes or {}, releases or {})

    def token(self, service: str, email: str, *, audience: str | None = None, **claims: Any) -> str:
        now = int(self.clock.seconds())
        body = {
            "iss": "https://accounts.google.com",
            "aud": audience or BASE.format(service),
            "email": email,
            "email_verified": True,
            "iat": now,
            "exp": now + 3600,
            **claims,
        }
        return jwt.encode(body, self.outer.key, algorithm="RS256", headers={"kid": "one"})

    @asynccontextmanager
    async def run(self, service: str, *, door: str = BASE, **more: str) -> AsyncIterator[Running]:
        """Run an instance of a service; more than one of the same may run, and one behind a tag (`CANARY`)."""
        module = importlib.import_module(f"service_code.{service}.app")
        stateless = getattr(module, "STATELESS", False)
        settings = settings_module.read(service, self.environ(service, **more), module.SECRETS, stateless=stateless)
        access = StaticAccess(lambda audience: self.token(service, ACCOUNT.format(service), audience=audience))
        kit = Kit(settings, clock=self.clock, access=access, outside=Wire(self.doors))
        app = build(kit, module.service(kit))
        async with app.router.lifespan_context(app):
            running = Running(self, kit, app)
            self.doors.open(door.format(service), running)
            try:
                yield running
            finally:
                self.doors.close(door.format(service), running)

    def unique_id(self) -> str:
        return f"pay{next(self._ids):013d}"
