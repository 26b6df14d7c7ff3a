"""Settings of a service: one typed object, read once from the environment and refused as a whole when it is wrong.

The variables are the seam between the Pulumi program (components/run_service) and the services. Endpoint overrides
exist for the local cloud and are refused at start in every other stack; there is no other difference between the two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from service_code.kit import token_policy
from service_code.kit.token_policy import TokenPolicy

STACKS = ("local", "dev", "staging", "prod")
#: Bytes of a request at a public door where the environment says nothing else.
DEFAULT_PUBLIC_MAX_BODY = 65_536
#: The ways of a hop: the sender calls the receiver itself, or makes a task.
DIRECT, QUEUED = "direct", "queue"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")


class SettingsError(RuntimeError):
    """The service cannot start with this environment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoints:
    """Where the outside world is: Google's and the partners' own addresses unless the local stack overrides them."""

    cloud_tasks: str = "https://cloudtasks.googleapis.com"
    cloud_tasks_grpc: str = "cloudtasks.googleapis.com:443"
    pubsub: str = "https://pubsub.googleapis.com"
    storage: str = "https://storage.googleapis.com"
    oidc_certs: str = "https://www.googleapis.com/oauth2/v3/certs"
    clock: str | None = None
    changenow: str = "https://api.changenow.io"
    telegram: str = "https://api.telegram.org"


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueEdge:
    """A queue that this service may enqueue to."""

    name: str
    path: str
    url: str
    audience: str
    invoker: str
    dispatch_deadline: str
    token_window: timedelta | None
    token: TokenPolicy
    #: Where the revision of the receiver is that is being tried; None in an environment of an older release.
    canary_url: str | None = None
    receiver: str | None = None
    #: Whom a message meets by this queue, and the queues into each: the receiver, and whom it sends on to without
    #: looking anything up.
    meets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteEdge:
    """A route on which this service chooses; of a hop also its queue, and how long a direct call may take."""

    name: str
    old: str
    new: str
    percent: int
    salt: str
    queue: str | None
    timeout: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicEdge:
    """A topic that this service may publish to."""

    name: str
    path: str
    ordered: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything a service knows of its surroundings."""

    service: str
    stack: str
    project: str
    project_number: str
    location: str
    url: str
    revision: str
    port: int
    database_url: str
    queues: Mapping[str, QueueEdge]
    topics: Mapping[str, TopicEdge]
    routes: Mapping[str, RouteEdge]
    callers: Mapping[str, frozenset[str]]
    #: Bytes of a request at a public door.
    public_max_body: int
    #: Where the rollout's record is; without it the routes' own shares count and no release is tried.
    rollout_bucket: str | None
    endpoints: Endpoints
    environ: Mapping[str, str] = field(repr=False)

    def secret(self, name: str) -> str:
        """Return a secret, which `read` has already found present and long enough."""
        return self.environ[name]

    def config(self, name: str, default: str) -> str:
        """Return a configured value."""
        return self.environ.get(name) or default

    def number(self, name: str, default: int) -> int:
        """Return a configured whole number; a service reads all of its numbers while it is built, so at start."""
        text = self.config(name, str(default))
        if not re.fullmatch(r"\d{1,12}", text):
            raise SettingsError(f"{name} is {text!r}: it must be a whole number; set it in the service's config")
        return int(text)


def read(service: str, environ: Mapping[str, str], secrets: Mapping[str, int], *, stateless: bool = False) -> Settings:
    """Read the environment, or raise one error that names every variable that is wrong.

    A `stateless` service has no database, and no DATABASE_URL.
    """
    wrong: list[str] = []

    def text(name: str, default: str | None = None) -> str:
        value = environ.get(name) or default
        if value is None:
            wrong.append(f"{name} is not set")
        return value or ""

    def parsed(name: str, default: str) -> dict[str, Any]:
        try:
            value = json.loads(environ.get(name) or default)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            wrong.append(f"{name} is not a JSON object")
            return {}
        return value

    def port() -> int:
        value = text("PORT", "8080")
        if value.isascii() and value.isdigit() and int(value[:6]) < 65536:
            return int(value)
        wrong.append(f"PORT is {value!r}, it must be a port number")
        return 0

    def number(name: str, default: int) -> int:
        value = environ.get(name) or str(default)
        if re.fullmatch(r"[1-9]\d{0,8}", value, re.ASCII):
            return int(value)
        wrong.append(f"{name} is {value!r}, it must be a whole number")
        return default

    for name, length in secrets.items():
        size = len((environ.get(name) or "").strip())
        if size == 0:
            wrong.append(f"secret {name} is not set")
        elif size < length:
            wrong.append(f"secret {name} has {size} characters, it needs at least {length}")

    stack = text("SLUICE_STACK")
    if stack and stack not in STACKS:
        wrong.append(f"SLUICE_STACK is {stack!r}, it must be one of {', '.join(STACKS)}")
    overrides = parsed("ENDPOINTS", "{}")
    if overrides and stack != "local":
        wrong.append(f"ENDPOINTS overrides {', '.join(sorted(overrides))}, which only the local stack may do")
    unknown = sorted(set(overrides) - set(Endpoints.__dataclass_fields__))
    if unknown:
        wrong.append(f"ENDPOINTS has unknown keys {', '.join(unknown)}")
    queues = {name: _edge(name, value, wrong) for name, value in parsed("QUEUES", "{}").items()}
    topics = {name: _topic(name, value, wrong) for name, value in parsed("TOPICS", "{}").items()}
    routes = {name: _route(name, value, wrong) for name, value in parsed("ROUTES", "{}").items()}
    callers = {
        path: frozenset(str(one) for one in emails)
        for path, emails in parsed("CALLERS", "{}").items()
        if isinstance(emails, list)
    }
    settings = Settings(
        service=service,
        stack=stack,
        project=text("GCP_PROJECT_ID"),
        project_number=text("GCP_PROJECT_NUMBER"),
        location=text("GCP_LOCATION"),
        url=text("SERVICE_URL"),
        revision=text("K_REVISION", "none"),
        port=port(),
        database_url="" if stateless else text("DATABASE_URL"),
        queues=MappingProxyType({name: edge for name, edge in queues.items() if edge}),
        topics=MappingProxyType({name: edge for name, edge in topics.items() if edge}),
        routes=MappingProxyType({name: route for name, route in routes.items() if route}),
        callers=MappingProxyType(callers),
        public_max_body=number("PUBLIC_MAX_BODY", DEFAULT_PUBLIC_MAX_BODY),
        rollout_bucket=environ.get("ROLLOUT_BUCKET") or None,
        endpoints=Endpoints(**{key: value for key, value in overrides.items() if key not in unknown and value}),
        environ=MappingProxyType(dict(environ)),
    )
    if wrong:
        raise SettingsError(f"{service} cannot start: " + "; ".join(wrong))
    return settings


def _edge(name: str, value: Any, wrong: list[str]) -> QueueEdge | None:
    try:
        window = value.get("token_window")
        deadline = str(value.get("dispatch_deadline") or "600s")
        if not _DURATION.fullmatch(deadline):
            raise ValueError("dispatch_deadline")
        return QueueEdge(
            name=name,
            path=str(value["path"]),
            url=str(value["url"]),
            audience=str(value["audience"]),
            invoker=str(value["invoker"]),
            dispatch_deadline=deadline,
            token_window=timedelta(seconds=float(window)) if window is not None else None,
            token=token_policy.read(value.get("token")),
            canary_url=_optional(value.get("canary_url")),
            receiver=_optional(value.get("receiver")),
            meets={str(one): tuple(map(str, queues)) for one, queues in (value.get("meets") or {}).items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        wrong.append(f"QUEUES has no proper {error} for {name}")
        return None


def _optional(value: Any) -> str | None:
    return None if value is None else str(value)


def _topic(name: str, value: Any, wrong: list[str]) -> TopicEdge | None:
    try:
        return TopicEdge(name=name, path=str(value["path"]), ordered=bool(value["ordered"]))
    except (KeyError, TypeError) as error:
        wrong.append(f"TOPICS has no proper {error} for {name}")
        return None


def _route(name: str, value: Any, wrong: list[str]) -> RouteEdge | None:
    try:
        percent, queue = value["percent"], value.get("queue")
        if type(percent) is not int or not 0 <= percent <= 100:
            raise ValueError("percent")
        return RouteEdge(
            name=name,
            old=str(value["old"]),
            new=str(value["new"]),
            percent=percent,
            salt=str(value["salt"]),
            queue=_optional(queue),
            timeout=0.0 if queue is None else float(value["timeout"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        wrong.append(f"ROUTES has no proper {error} for {name}")
        return None
