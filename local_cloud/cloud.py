"""The Cloud: one project's store, clock, identity, IAM, operations and APIs, without any door.

It owns the order in which things start and stop. Doors (server/) are opened on a started cloud.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from local_cloud import claims
from local_cloud.clock import Clock
from local_cloud.engines.meter import Meter
from local_cloud.errors import ApiError, error_info, help_link, permission_denied
from local_cloud.iam.engine import Iam
from local_cloud.identity import Identity
from local_cloud.log import Log
from local_cloud.metrics.lag import Lag
from local_cloud.metrics.points import Points
from local_cloud.operations import Operations
from local_cloud.registry import Api, Principal, discover
from local_cloud.settings import Settings
from local_cloud.store import Store

if TYPE_CHECKING:
    from local_cloud.apis.metadata import Metadata

S = TypeVar("S")

#: Other projects that clients have asked for are named in the log once each, so many of them.
MOST_STRANGERS = 20

#: Where it is said how a cloud is started for another project.
HELP = "docs/local-cloud.md"


class Cloud:
    """Everything that handlers may ask for."""

    def __init__(self, settings: Settings, apis: list[Api] | None = None) -> None:
        self.settings = settings
        self._own = f"projects/{settings.project}/"
        self.apis = discover() if apis is None else apis
        self.store = Store(settings.state, self._store_failed)
        self.clock = Clock(settings.state / "clock")
        self.log = Log(self.clock.now)
        self.meter = Meter(self.clock, Points(self.store))
        self.metric_lag = Lag(self.store, settings.metric_lag)
        self.identity = Identity(self.store, self.clock, settings)
        self.iam = Iam(self)
        self.operations = Operations(self)
        #: Set by the metadata API at start: `cloud.metadata.register(account)`.
        self.metadata: Metadata
        #: Ports of the open doors by name: rest, grpc, service_rest, service_grpc. Filled by the server.
        self.ports: dict[str, int] = {}
        #: Parts of /_sluice/status that APIs contribute: name -> function giving JSON.
        self.status: dict[str, Callable[[], Any]] = {}
        #: Called when the cloud cannot go on; the process ends.
        self.on_failure: Callable[[Exception], None] = lambda _: None
        #: Hosts of APIs that are disabled, with what makes the refusal of calls to them. Kept by the Service Usage API.
        self.disabled: dict[str, Callable[[], ApiError]] = {}
        #: Asked of every call with its binding and metadata while somebody has something against some of them.
        self.refuses: Callable[[Any, Mapping[str, str]], None] | None = None
        self._strangers: set[str] = set()
        self._provided: dict[type, Any] = {}
        self._started: list[Api] = []
        self.owner = Principal(f"user:owner@{settings.project}", owner=True)

    @property
    def project(self) -> str:
        """The project's id."""
        return self.settings.project

    @property
    def location(self) -> str:
        """The home region."""
        return self.settings.location

    @property
    def rest_url(self) -> str:
        """The owner's REST door, where /run, the keys and the metadata server are served too."""
        return f"http://{self.settings.host}:{self.ports['rest']}"

    def now(self) -> float:
        """The cloud's time."""
        return self.clock.now()

    def busy(self, what: str) -> AbstractContextManager[None]:
        """Marks work in flight: moves of the clock and idle wait for it."""
        return self.clock.busy(what)

    def provide(self, state: object) -> None:
        """Keeps an API's state under its class."""
        self._provided[type(state)] = state

    def use(self, kind: type[S]) -> S:
        """The state that an API has provided."""
        state: S = self._provided[kind]
        return state

    def canonical(self, name: str) -> str:
        """A resource name with the project's number, or `-`, replaced by its id; other projects are refused."""
        if name.startswith(self._own) or not name.startswith("projects/"):
            return name
        project, slash, rest = name[len("projects/") :].partition("/")
        plain, colon, verb = project.partition(":")
        if plain == self.settings.project:
            return name
        if plain in (self.settings.project_number, "-"):
            return f"projects/{self.settings.project}{colon}{verb}{slash}{rest}"
        fix = f"sluice cloud start --project {plain} --port 0"
        if plain not in self._strangers and len(self._strangers) < MOST_STRANGERS:
            self._strangers.add(plain)
            self.log.event(
                "WARNING",
                f"A client asked for project {plain}, and this cloud is {self.project}'s: give the client that "
                f"project, or start a cloud for {plain} ({fix}).",
            )
        raise permission_denied(
            f"Permission denied on resource project {plain}.",
            error_info("CONSUMER_INVALID", "googleapis.com", {"consumer": f"projects/{plain}"}),
            help_link("Google developers console", "https://console.developers.google.com"),
            help_link(f"This local cloud is project {self.project}'s; for {plain}, start one: {fix}", HELP),
        )

    async def start(self) -> None:
        """Starts the APIs on the loaded state."""
        claims.claim(self.settings)
        self.meter.start()
        for api in self.apis:
            self._started.append(api)
            for hook in api.starts:
                await hook(self)

    async def stop(self) -> None:
        """Stops the APIs, writes what is left, lets go of the state."""
        self.meter.stop()
        for api in reversed(self._started):
            for hook in reversed(api.stops):
                await hook(self)
        self.clock.close()
        await self.store.close()

    def _store_failed(self, error: Exception) -> None:
        self.log.event("CRITICAL", str(error))
        self.on_failure(error)
