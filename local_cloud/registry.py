"""How an emulated API declares itself. A new API is one module in `local_cloud/apis/`; nothing else names it.

A module has an `API` (found by listing the folder; modules without one are helpers of their neighbours):

    from local_cloud.cloud import Cloud
    from local_cloud.descriptors import Message, message
    from local_cloud.errors import not_found
    from local_cloud.registry import Api, Call

    API = Api("cloudtasks", services=["google.cloud.tasks.v2.CloudTasks"])
    Queue = message("google.cloud.tasks.v2.Queue")

    class State:                                  # what the API keeps, made at start
        def __init__(self, cloud: Cloud) -> None:
            self.queues = cloud.store.messages("cloudtasks.queues", "google.cloud.tasks.v2.Queue")

    @API.on_start
    async def start(cloud: Cloud) -> None:        # all state is loaded; timers may be set
        cloud.provide(State(cloud))

    @API.rpc("GetQueue", permission="cloudtasks.queues.get")
    async def get_queue(cloud: Cloud, call: Call, request: Message) -> Message:
        queue = cloud.use(State).queues.get(request.name)
        if queue is None:
            raise not_found("Queue does not exist.")
        return queue

One `rpc` serves gRPC and REST. The server, not the handler, asks for credentials, checks `permission` on
`resource` (default: the field that stands in the method's URL template, such as request.parent), maps the project's
number to its id, and answers only when all that was changed until then is on disk. More permissions than one:
`cloud.iam.require(call.principal, "iam.serviceAccounts.actAs", account_name)` in the handler.
In `"Service.Method"` the short service name picks one of several services. A method that streams gets an async
iterator, or returns one, as its proto says. The three IAM methods are one line:

    API.iam_policies("projects/*/locations/*/queues/*", permission="cloudtasks.queues", exists=...)

Surfaces without protos: `@API.route("POST", "/v1/projects/{project}:getIamPolicy", permission=..., resource=...)`
with handlers `(cloud, call, request: HttpRequest) -> JSON value | HttpResponse`. A whole path prefix that
speaks raw ASGI (streams, other people's bodies): `@API.mount("/run/")`. Routes under `/_sluice/` are `owner_only=True`.
"""

import importlib
import math
import pkgutil
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from local_cloud.descriptors import HttpRule, Message, Method, methods

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)
Hook = Callable[["Cloud"], Awaitable[None]]
ResourceOf = Callable[[Any], str]
Observer = Callable[["Cloud", "Binding", Any, str], None]
Claim = Callable[[Mapping[str, Any]], bool]


class Door(Enum):
    """Where a call came in."""

    OWNER = "owner"  # people and tools on loopback: without credentials it is the project's owner's
    SERVICE = "service"  # what services are given: credentials are asked for, as Google does


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `member` is its name in policies: "serviceAccount:x@...", "user:...", "" for nobody."""

    member: str
    owner: bool = False
    #: What else policies may call the caller: the principal sets of a federated identity.
    sets: tuple[str, ...] = ()

    @property
    def email(self) -> str:
        """The part after the member's kind."""
        return self.member.partition(":")[2]


#: A caller without credentials where those are not asked for: only allUsers fits.
ANONYMOUS = Principal("")


@dataclass(frozen=True, slots=True)
class Call:
    """The circumstances of one call. `metadata` has lower-case names (HTTP headers or gRPC metadata)."""

    principal: Principal
    door: Door
    method: str
    metadata: Mapping[str, str]
    now: float


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a route's handler gets: path variables, query (last value wins in `arg`), headers and body."""

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    json: Any = None
    """The parsed body, None when it is empty; a body that is no JSON is refused before, where the route wants JSON."""

    def arg(self, name: str, default: str = "") -> str:
        """A query parameter."""
        values = self.query.get(name)
        return values[-1] if values else default


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer that is not plain JSON with 200."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to reach a handler, with what it asks of the caller."""

    api: "Api"
    handler: Handler | None
    permission: str | None
    resource: ResourceOf | None
    method: Method | None = None
    route: HttpRule | None = None
    #: What the resource name must look like; gRPC has no URL that would see to it.
    names: "re.Pattern[str] | None" = None
    public: bool = False
    owner_only: bool = False
    wants_json: bool = True
    #: The handler waits for what others do: a move of the clock must not wait for it in turn.
    waits: bool = False

    @property
    def name(self) -> str:
        """For logs and errors."""
        if self.method:
            return self.method.full_name
        return f"{self.route.verb} {self.route.template}" if self.route else self.api.name


#: How most of Google's APIs word a missing permission.
DENIED = "Permission '{permission}' denied on resource '{resource}' (or it may not exist)."


class Api:
    """One emulated API: its services, handlers, routes and hooks."""

    def __init__(
        self,
        name: str,
        services: Iterable[str] = (),
        *,
        host: str | None = None,
        rest: bool = True,
        refusal: str = DENIED,
        checks_names: bool = True,
        longest_call: float = math.inf,
    ) -> None:
        """`rest=False` leaves out the protos' URL templates; `refusal` is how the API words a missing permission.

        `checks_names=False` is for an API that has words of its own for malformed resource names. gRPC calls whose
        deadline is more than `longest_call` seconds ahead are refused.
        """
        self.longest_call = longest_call
        self._checks_names = checks_names and rest
        self.name = name
        self.rest = rest
        self._refusal = refusal
        self.services = tuple(services)
        self.host = host or f"{name}.googleapis.com"
        self.module = ""
        self.rpcs: dict[str, Binding] = {}
        self.routes: list[Binding] = []
        self.mounts: dict[str, Handler] = {}
        #: Which requests below a mount's prefix are its own, where others' paths lie there too.
        self.claims: dict[str, Claim] = {}
        self.starts: list[Hook] = []
        self.stops: list[Hook] = []
        self.policies: list[Any] = []
        #: Told of every unary call and its code, for the API's own metrics.
        self.observer: Observer | None = None

    def rpc(
        self,
        name: str,
        *,
        permission: str | None = None,
        resource: ResourceOf | None = None,
        public: bool = False,
        waits: bool = False,
        also: Iterable[str] = (),
    ) -> Callable[[H], H]:
        """Declares the handler of an RPC. Without a permission any caller with credentials may call it.

        `waits`: it waits for what others do. `also` are more REST paths than the proto has, such as
        "GET /v1/{name=operations/**}"; those with POST take a body.
        """
        method = self._find(name)

        def declare(handler: H) -> H:
            binding = Binding(
                self,
                handler,
                permission,
                resource or url_resource(method),
                method=method,
                public=public,
                waits=waits,
                names=url_names(method) if self._checks_names and resource is None else None,
            )
            self.rpcs[method.path] = binding
            for path in also:
                verb, _, template = path.partition(" ")
                rule = HttpRule(verb, template, "" if verb in ("GET", "DELETE") else "*")
                self.routes.append(replace(binding, route=rule))
            return handler

        return declare

    def route(
        self,
        verb: str,
        template: str,
        *,
        permission: str | None = None,
        resource: ResourceOf | None = None,
        public: bool = False,
        owner_only: bool = False,
        wants_json: bool = True,
    ) -> Callable[[H], H]:
        """Declares the handler of a REST path that no proto describes."""

        def declare(handler: H) -> H:
            rule = HttpRule(verb, template, "*")
            self.routes.append(
                Binding(
                    self,
                    handler,
                    permission,
                    resource,
                    route=rule,
                    public=public,
                    owner_only=owner_only,
                    wants_json=wants_json,
                )
            )
            return handler

        return declare

    def mount(self, prefix: str, claims: "Claim | None" = None) -> Callable[[H], H]:
        """Declares an ASGI handler `(cloud, scope, receive, send)` for all paths below a prefix, at both doors.

        `claims` says of an ASGI scope whether it is the mount's, where the prefix is not its alone. In the scope,
        "sluice.door" is the Door.
        """

        def declare(handler: H) -> H:
            self.mounts[prefix] = handler
            if claims is not None:
                self.claims[prefix] = claims
            return handler

        return declare

    def on_call(self, observer: "Observer") -> "Observer":
        """Called after every unary call of the API with `(cloud, binding, request, code)`, however it ended."""
        self.observer = observer
        return observer

    def on_start(self, hook: Hook) -> Hook:
        """Called when the state is loaded, before the doors open, in the order of the APIs' module names."""
        self.starts.append(hook)
        return hook

    def on_stop(self, hook: Hook) -> Hook:
        """Called when the doors are shut, in the reverse order."""
        self.stops.append(hook)
        return hook

    def refusal(self, binding: Binding, resource: str) -> str:
        """The API's wording for a missing permission."""
        return self._refusal.format(permission=binding.permission, resource=resource)

    def iam_policies(
        self,
        pattern: str,
        *,
        permission: str,
        exists: Callable[["Cloud", str], None] | None = None,
        service: str | None = None,
        version: str = "v1",
    ) -> None:
        """Declares GetIamPolicy, SetIamPolicy and TestIamPermissions for resources of one pattern.

        `permission` is the stem (`cloudtasks.queues`), `exists` raises the API's own NOT_FOUND. `service` is the short
        name of the service that has the three methods; without it they are google.iam.v1.IAMPolicy's (Pub/Sub), with
        REST paths of that version.
        """
        from local_cloud.iam.methods import declare

        declare(self, pattern, permission=permission, exists=exists, service=service, version=version)

    def _find(self, name: str) -> Method:
        short, _, plain = name.rpartition(".")
        for service in self.services:
            if short and service.rpartition(".")[2] != short:
                continue
            if found := methods(service).get(plain):
                return found
        raise LookupError(f"{self.name}: no method {name!r} in {', '.join(self.services) or 'no services'}.")


def url_resource(method: Method) -> ResourceOf | None:
    """Reads the resource from the field that the method's first URL template names."""
    for rule in method.rules:
        start = rule.template.find("{")
        if start >= 0:
            path = rule.template[start + 1 : rule.template.index("}", start)].partition("=")[0].split(".")

            def resource(request: Message, path: list[str] = path) -> str:
                for part in path:
                    request = getattr(request, part)
                return str(request)

            return resource
    return None


def url_names(method: Method) -> "re.Pattern[str] | None":
    """What the URL templates allow for the field that url_resource reads; None where they do not speak of one field."""
    found = [re.search(r"\{([^}=]+)=?([^}]*)\}", rule.template) for rule in method.rules]
    if not found or len({match and match[1] for match in found}) != 1:
        return None
    patterns = [match[2] or "*" for match in found if match]
    return re.compile("|".join(re.escape(p).replace(r"\*\*", ".+").replace(r"\*", "[^/]+") for p in patterns) or "(?!)")


def discover() -> list[Api]:
    """Every API in `local_cloud/apis/`, by the name of its module."""
    from local_cloud import apis

    found: list[Api] = []
    for module in sorted(pkgutil.iter_modules(apis.__path__), key=lambda m: m.name):
        loaded = importlib.import_module(f"local_cloud.apis.{module.name}")
        api = getattr(loaded, "API", None)
        if isinstance(api, Api):
            api.module = api.module or module.name
            if api not in found:
                found.append(api)
    return found
