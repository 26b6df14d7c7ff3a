"""One stack as those see it who operate it: where its APIs answer, its clock, its doors, and who asks.

    here = place.of("prod")
    here.call("tasks", "GET", f"{here.parent}/queues")          # below the API's version, here /v2/
    here.call("storage", "POST", "/upload/storage/v1/b/...")    # from the host's root

Both kinds take Google's REST paths and Google's own clients, so that a verb is written once: on this machine all goes
to the local cloud's owner's door, elsewhere to Google with the caller's own credentials. Leaves alone how doors are
asked (`afar`, `operator`), which stand beside it.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Literal, overload
from urllib.parse import urlencode

import spec
from ops import entries, rest, specs
from ops.afar import Afar, Doors
from ops.cloud import Cloud, LocalCloud
from ops.errors import CallFailed
from ops.google import Login
from ops.home import Home
from ops.operator import Operator
from spec.stack import LOCAL

if TYPE_CHECKING:
    from google.cloud import monitoring_v3, run_v2

#: API -> its host at Google, and what its paths begin with.
APIS: Final[Mapping[str, tuple[str, str]]] = {
    "storage": ("storage", "/storage/v1/"),
    "run": ("run", "/v2/"),
    "tasks": ("cloudtasks", "/v2/"),
    "pubsub": ("pubsub", "/v1/"),
    "logging": ("logging", "/v2/"),
    "monitoring": ("monitoring", "/v3/"),
    "secretmanager": ("secretmanager", "/v1/"),
}
#: The log of what operators did, and of what was done for them.
AUDIT_LOG = "sluice-operations"
#: Where Google says whose a token is.
USERINFO = "https://openidconnect.googleapis.com/v1/userinfo"


@dataclass(frozen=True)
class RunClients:
    """Google's clients of Cloud Run."""

    services: run_v2.ServicesClient
    revisions: run_v2.RevisionsClient


class Place(ABC):
    """One stack. `stack` is the environment's name; `project` and `region` are those of what is deployed."""

    stack: str
    local: bool
    project: str
    region: str

    @property
    def parent(self) -> str:
        """`projects/.../locations/...`, below which queues and services stand."""
        return f"projects/{self.project}/locations/{self.region}"

    @cached_property
    def config(self) -> spec.StackConfig:
        """The stack's config as it is written down now."""
        return specs.config_of(self.stack)

    @property
    @abstractmethod
    def doors(self) -> Doors:
        """The services' operator doors: `call(method, service, path, body)`."""

    @property
    @abstractmethod
    def who(self) -> str:
        """Who asks: an address, or the name of this machine's user."""

    @abstractmethod
    def now(self) -> datetime:
        """The time there, in UTC."""

    @abstractmethod
    def url(self, service: str, tag: str | None = None) -> str:
        """A service's base URL, which is the audience too, or that of a tag."""

    @abstractmethod
    def id_token(self, account: str, audience: str) -> Mapping[str, str]:
        """Headers that show a service an ID token of an account."""

    # Google's clients: at the local cloud without credentials, which its owner's door does not ask for; at Google with
    # application-default credentials. One each, since a new one is a new connection.

    @property
    @abstractmethod
    def _run(self) -> RunClients: ...

    @property
    @abstractmethod
    def _metrics(self) -> monitoring_v3.MetricServiceClient: ...

    def run_clients(self) -> RunClients:
        """Google's clients of Cloud Run."""
        return self._run

    def metrics_client(self) -> monitoring_v3.MetricServiceClient:
        """Google's client of Cloud Monitoring's series."""
        return self._metrics

    @abstractmethod
    def _at(self, api: str, /) -> str:
        """Where an API answers, without a slash at the end."""

    @abstractmethod
    def _headers(self) -> Mapping[str, str]:
        """What shows an API who calls."""

    @overload
    def call(
        self, api: str, method: str, path: str, body: Any = None, *, query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None, raw: Literal[False] = False, timeout: float = 30,
    ) -> Any: ...  # fmt: skip

    @overload
    def call(
        self, api: str, method: str, path: str, body: Any = None, *, query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None, raw: Literal[True], timeout: float = 30,
    ) -> rest.Raw: ...  # fmt: skip

    def call(
        self,
        api: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        raw: bool = False,
        timeout: float = 30,
    ) -> Any:
        """The JSON answer of a call, or with `raw` the answer as it came; a body of bytes goes as it is.

        CallFailed for any answer but 2xx, OpsError where nobody answers.
        """
        url = self._at(api) + (path if path.startswith("/") else APIS[api][1] + path)
        if query:
            url += "?" + urlencode(query, doseq=True)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        found = rest.fetch(method, url, data, headers={**self._headers(), **(headers or {})}, timeout=timeout)
        if raw:
            return found
        return json.loads(found.body) if found.body.strip() else {}

    def logs(self, filter_: str, *, newest_first: bool = False, limit: int = 0) -> Iterator[dict[str, Any]]:
        """Log entries that match a filter of Cloud Logging's language; all of them unless there is a limit."""
        ask = partial(self.call, "logging", "POST", "entries:list")
        return entries.read(ask, self.project, filter_, newest_first=newest_first, limit=limit)

    def audit(self, verb: str, subject: str, *, severity: str = "NOTICE", **detail: Any) -> None:
        """Write down, in the log `sluice-operations`, who did what to what."""
        payload = {
            **{"message": f"{verb} {subject} by {self.who}", "verb": verb, "subject": subject},
            **{"who": self.who, "stack": self.stack, **detail},
        }
        entry = {
            "logName": f"projects/{self.project}/logs/{AUDIT_LOG}",
            "resource": {"type": "global", "labels": {"project_id": self.project}},
            "severity": severity,
            "jsonPayload": payload,
        }
        self.call("logging", "POST", "entries:write", {"entries": [entry]})


class Local(Place):
    """A stack on this machine: the running one of a home, or any local cloud at hand."""

    local = True

    def __init__(self, cloud: Cloud, home: Home | None = None, stack: str = LOCAL) -> None:
        self.cloud, self.home, self.stack = cloud, home, stack
        status = cloud.status()
        self.project, self.region = str(status["project"]), str(status["location"])
        self._number = str(status["project_number"])

    @cached_property
    def doors(self) -> Doors:
        """By the operator's account of the local cloud."""
        return Operator(self.home or Home.find())

    @cached_property
    def who(self) -> str:
        """This machine's user."""
        return user()

    def now(self) -> datetime:
        """The local cloud's clock."""
        return datetime.fromisoformat(self.cloud.admin("GET", "clock")["now"])

    def url(self, service: str, tag: str | None = None) -> str:
        """Where the local cloud serves Cloud Run."""
        label = spec.names.url_label(service, self._number, tag)
        return f"{self.cloud.rest}/run/{label}.{self.region}"

    def id_token(self, account: str, audience: str) -> Mapping[str, str]:
        """Asked of the local cloud."""
        return self.cloud.as_account(account, audience)

    @cached_property
    def _run(self) -> RunClients:
        import grpc
        from google.cloud import run_v2
        from google.cloud.run_v2.services.revisions.transports import RevisionsGrpcTransport
        from google.cloud.run_v2.services.services.transports import ServicesGrpcTransport

        channel = grpc.insecure_channel(self.cloud.grpc)
        return RunClients(
            services=run_v2.ServicesClient(transport=ServicesGrpcTransport(channel=channel)),
            revisions=run_v2.RevisionsClient(transport=RevisionsGrpcTransport(channel=channel)),
        )

    @cached_property
    def _metrics(self) -> monitoring_v3.MetricServiceClient:
        import grpc
        from google.cloud import monitoring_v3
        from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

        channel = grpc.insecure_channel(self.cloud.grpc)
        return monitoring_v3.MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))

    def _at(self, _api: str, /) -> str:
        return self.cloud.rest

    def _headers(self) -> Mapping[str, str]:
        return {}


class Google(Place):
    """A stack on Google Cloud, with the caller's own credentials."""

    local = False

    def __init__(self, stack: str) -> None:
        specs.environment(stack)
        self.stack = stack
        self.project, self.region = self.config.project, self.config.region
        self._login = Login(stack, why="the stack is operated with your own rights")

    @cached_property
    def doors(self) -> Doors:
        """By the operator's account, which the caller impersonates."""
        return Afar(self.stack)

    @cached_property
    def who(self) -> str:
        """The address that the credentials are of; this machine's user where Google does not say it."""
        try:
            return str(rest.call("GET", USERINFO, headers=self._login.headers())["email"])
        except (CallFailed, KeyError):
            return user()

    def now(self) -> datetime:
        """This machine's clock."""
        return datetime.now(UTC)

    def url(self, service: str, tag: str | None = None) -> str:
        """As the stack's config makes it."""
        return self.config.url(service, tag)

    def id_token(self, account: str, audience: str) -> Mapping[str, str]:
        """Of an account that the caller may impersonate."""
        return {"Authorization": f"Bearer {self._login.id_token(account, audience)}"}

    @cached_property
    def _run(self) -> RunClients:
        from google.cloud import run_v2

        return RunClients(services=run_v2.ServicesClient(), revisions=run_v2.RevisionsClient())

    @cached_property
    def _metrics(self) -> monitoring_v3.MetricServiceClient:
        from google.cloud import monitoring_v3

        return monitoring_v3.MetricServiceClient()

    def _at(self, api: str, /) -> str:
        return f"https://{APIS[api][0]}.googleapis.com"

    def _headers(self) -> Mapping[str, str]:
        return self._login.headers()


def of(stack: str) -> Place:
    """The stack of this name: the running one of this home, or one on Google Cloud."""
    specs.known(stack)
    if stack != LOCAL:
        return Google(stack)
    return here(Home.find())


def here(home: Home) -> Local:
    """The running stack of a home."""
    return Local(LocalCloud(home), home)


def option(stack: str) -> str:
    """What a command for this stack says besides: nothing where this machine's is meant."""
    return "" if stack == LOCAL else f" --stack {stack}"


def user() -> str:
    """This machine's user, at this machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no account of this number
        name = str(os.geteuid())
    return f"{name}@{socket.gethostname()}"
