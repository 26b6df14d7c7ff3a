"""How a stack's queues are reached: Cloud Tasks and the log, on this machine or on Google Cloud.

On this machine URLs are those of what is deployed, as the local cloud says them; on Google Cloud they follow from the
stack's config. The caller is whoever has logged in, who needs there roles/cloudtasks.admin on the project and, to
probe, roles/iam.serviceAccountUser on the queues' invokers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ops import rest, specs
from ops.cloud import LocalCloud
from ops.errors import OpsError
from ops.google import Login
from ops.home import Home
from spec.stack import LOCAL

TASKS, LOGGING = "https://cloudtasks.googleapis.com/v2/", "https://logging.googleapis.com/v2/"
#: Queues that are listed at once.
PAGE = 1000


class Reach(Protocol):
    """One stack's Cloud Tasks."""

    project: str
    #: `projects/.../locations/...` of its queues.
    location: str
    #: So many rounds of a probe must go well one after the other, and so many seconds lie between two.
    rounds: int
    pause: float
    #: So many seconds a hop rests after its first refusal, its second and so on, and the last of them ever after.
    again: Sequence[float]

    def tasks(self, method: str, path: str, body: Any = None) -> Any:
        """A call of Cloud Tasks; CallFailed for what is not answered 2xx."""

    def url(self, service: str) -> str:
        """The base URL of a service, which is the audience too."""

    def logs(self, filter_: str) -> list[Mapping[str, Any]]:
        """The newest log entries that match."""


class Local:
    """The running stack of a home. Its bindings spread at one moment, and none is taken back: one round is enough."""

    rounds, pause = 1, 0.5
    again: Sequence[float] = (0.5,)

    def __init__(self, home: Home) -> None:
        self._cloud = LocalCloud(home)
        status = self._cloud.status()
        self.project = str(status["project"])
        self.location = f"projects/{self.project}/locations/{status['location']}"
        self._urls = {name: str(service["url"]) for name, service in status["services"].items()}

    def tasks(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the local cloud's Cloud Tasks."""
        return self._cloud.google(method, f"/v2/{path}", body)

    def url(self, service: str) -> str:
        """As the local cloud says it."""
        if service not in self._urls:
            raise OpsError(
                f"the service {service} is not deployed in {self._cloud.home.path}",
                why="the probe's tasks go there",
                fix="./sluice up deploys what the specs say",
            )
        return self._urls[service]

    def logs(self, filter_: str) -> list[Mapping[str, Any]]:
        """Of the local cloud's Cloud Logging."""
        return list(self._cloud.logs(self.project, filter_, newest_first=True, limit=50))


class Google:
    """A stack on Google Cloud. Its bindings take minutes to spread, and not at one moment for every server."""

    rounds, pause = 5, 15.0
    #: At most five refusals within ten minutes, which alerts leave aside, however they and good tries take turns.
    again: Sequence[float] = (30.0, 60.0, 120.0, 240.0)

    def __init__(self, stack: str) -> None:
        self._config = specs.config_of(stack)
        self._login = Login(stack, why="queues are looked at and started with your own rights")
        self.project = self._config.project
        self.location = f"projects/{self.project}/locations/{self._config.region}"

    def tasks(self, method: str, path: str, body: Any = None) -> Any:
        """A call of Cloud Tasks."""
        return rest.call(method, TASKS + path, body, headers=self._login.headers())

    def url(self, service: str) -> str:
        """As the stack's config makes it."""
        return self._config.url(service)

    def logs(self, filter_: str) -> list[Mapping[str, Any]]:
        """Of Cloud Logging."""
        body = {
            "resourceNames": [f"projects/{self.project}"],
            "filter": filter_,
            "orderBy": "timestamp desc",
            "pageSize": 50,
        }
        answer = rest.call("POST", f"{LOGGING}entries:list", body, headers=self._login.headers())
        return list(answer.get("entries", ()))


def of_stack(stack: str) -> Reach:
    """The stack of this name."""
    return Local(Home.find()) if stack == LOCAL else Google(stack)


def states(reach: Reach) -> dict[str, str]:
    """The state of every queue that is there, by name: RUNNING, PAUSED or DISABLED."""
    found: dict[str, str] = {}
    token = ""
    while True:
        query = f"?pageSize={PAGE}" + (f"&pageToken={token}" if token else "")
        answer = reach.tasks("GET", f"{reach.location}/queues{query}")
        for queue in answer.get("queues", ()):
            found[str(queue["name"]).rpartition("/")[2]] = str(queue.get("state", "RUNNING"))
        token = answer.get("nextPageToken", "")
        if not token:
            return dict(sorted(found.items()))


def steer(reach: Reach, verb: str, queue: str) -> None:
    """Pause or resume one queue; what is so already stays so."""
    reach.tasks("POST", f"{reach.location}/queues/{queue}:{verb}", {})
