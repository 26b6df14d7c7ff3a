"""A local cloud on which the real metrics, objectives, channels and policies stand, and the hands that make them fire.

Everything of dashboards/ is deployed by the program, through the local engine. What happens then comes the way it
does in life: lines as Cloud Run logs them, tasks in queues that are delivered or not, messages in topics. Only time is
moved.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import requests

import local_engine
from components.site import Site
from components.watching import Watching, WatchingConfig
from local_cloud.cloud import Cloud
from local_cloud.logs.entries import Entries
from local_cloud.logs.lines import entry_of_line
from local_cloud.metrics.series import key
from local_engine import Ports
from service_code.kit.logs import FIELDS
from spec import load
from tests.components.conftest import DIGEST
from tests.dashboards.page import ROOT
from tests.local_cloud.cloud_places import LOCATION, PROJECT, Place, inside
from tests.local_cloud.cloud_tasks.tasks_target import Target, listening
from tests.local_engine.local_cloud import DOORS

PARENT = f"/v2/projects/{PROJECT}/locations/{LOCATION}/queues"
PUBSUB = f"/v1/projects/{PROJECT}"
#: A channel that is a webhook, by the path of its address.
HOOKS = ("slack", "pager")
Incident = dict[str, Any]


class Stage:
    """The cloud, and what can be done on it."""

    def __init__(self, place: Place, target: Target, hooks: Target, mail: Path) -> None:
        self.place = place
        self.target = target
        self._hooks = hooks
        self._mail = mail
        self._names = count(1)
        self._queues: set[str] = set()
        self._door = requests.Session()
        assert place.cloud is not None
        count_of, took = (f"run.googleapis.com/{name}" for name in ("request_count", "request_latencies"))
        self._requests = place.cloud.meter.counter(count_of, partial(_request, count_of))
        self._latencies = place.cloud.meter.distribution(took, partial(_request, took))
        self.channels = {channel.name: channel.takes for channel in load(ROOT).channels.values()}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A call at the owner's door."""
        answer = self._door.request(method, f"{self.place.rest}{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    # What happens.

    def line(self, event: str, service: str = "gcsplit", times: int = 1, **fields: Any) -> None:
        """A service logs something, so many times."""
        line = {**dict.fromkeys(FIELDS), "severity": "INFO", "message": event, "event": event, **fields}
        entry = entry_of_line(json.dumps({**line, "service_name": service}), "stdout", PROJECT)
        labels = {"project_id": PROJECT, "location": LOCATION, "service_name": service, "revision_name": f"{service}-1"}
        entry["resource"] = {"type": "cloud_run_revision", "labels": labels | {"configuration_name": service}}

        async def write(cloud: Cloud) -> None:
            for _ in range(times):
                cloud.use(Entries).write(dict(entry))

        self.place.do(write)

    def handled(self, queue: str, times: int = 1, *, service: str = "gcsplit", **fields: Any) -> None:
        """A service is through with messages of a queue."""
        usual = {"queue": queue, "status": "next", "http_status": 200, "attempt_number": 1}
        self.line("handled", service, times, **{**usual, **fields})

    def queue(self, kind: str, *, paused: bool = True, alone: bool = True) -> str:
        """A queue that tries each task once, with a number of its own in its name where it is to be alone; its name."""
        name = f"{kind}-{next(self._names)}" if alone else kind
        if name in self._queues:
            return name
        self._queues.add(name)
        path = f"projects/{PROJECT}/locations/{LOCATION}/queues/{name}"
        self.call("POST", PARENT, {"name": path, "retryConfig": {"maxAttempts": 1}})
        if paused:
            self.call("POST", f"{PARENT}/{name}:pause", {})
        return name

    def tasks(self, queue: str, count: int, *answers: int) -> None:
        """Tasks come in; the receiver gives these answers to the first of them, and 200 to all others."""
        self.target.script[:] = answers
        path = f"projects/{PROJECT}/locations/{LOCATION}/queues/{queue}"
        task = {"httpRequest": {"url": f"{self.target.url}/task"}}
        for start in range(0, count, 100):
            wishes = [{"parent": path, "task": task}] * min(100, count - start)
            self.call("POST", f"{PARENT}/{queue}/tasks:batchCreate", {"requests": wishes})

    def purge(self, queue: str) -> None:
        """The queue's tasks are gone."""
        self.call("POST", f"{PARENT}/{queue}:purge", {})

    def subscription(self, name: str) -> None:
        """A topic and a subscription that nobody takes from."""
        self.call("PUT", f"{PUBSUB}/topics/{name}-topic", {})
        wish = {"topic": f"projects/{PROJECT}/topics/{name}-topic", "ackDeadlineSeconds": 600}
        self.call("PUT", f"{PUBSUB}/subscriptions/{name}", wish)

    def published(self, subscription: str, count: int) -> None:
        """Messages come in."""
        wish = {"messages": [{"data": "eA=="}] * count}
        self.call("POST", f"{PUBSUB}/topics/{subscription}-topic:publish", wish)

    def taken(self, subscription: str) -> None:
        """Whoever takes messages takes all of them."""
        path = f"{PUBSUB}/subscriptions/{subscription}"
        while got := self.call("POST", f"{path}:pull", {"maxMessages": 1000, "returnImmediately": True}).get(
            "receivedMessages"
        ):
            self.call("POST", f"{path}:acknowledge", {"ackIds": [one["ackId"] for one in got]})

    def requested(self, service: str, status: int, count: int) -> None:
        """Cloud Run has answered calls."""

        async def count_them(_cloud: Cloud) -> None:
            self._requests[service, status] += count
            self._latencies[service, status].add(20.0)

        self.place.do(count_them)

    # Time, and what has become of it.

    def passes(self, minutes: float) -> None:
        """Time passes."""
        self.place.do(lambda cloud: cloud.clock.advance(60 * minutes))

    def minute_begins(self) -> None:
        """The next whole minute: counts of minutes are then those of the test."""
        assert self.place.cloud is not None
        self.passes((61 - self.place.cloud.now() % 60) / 60)

    def incidents(self, alert: str, state: str = "") -> list[Incident]:
        """The incidents of a policy."""
        found = self.call("GET", f"/_sluice/incidents?state={state}")["incidents"]
        return [one for one in found if one["policy"] == alert]

    def told(self, incident: Incident) -> set[str]:
        """The channels that have heard of an incident."""
        heard = {path[1:] for path, _, body in self._hooks.seen if incident["id"].encode() in body}
        return heard | ({"email"} if list(self._mail.glob(f"*-{incident['id']}-open.eml")) else set())

    def first(self, incident: Incident) -> str:
        """The command that was told with an incident, as the channels got it."""
        told = next(body for _, _, body in self._hooks.seen if incident["id"].encode() in body)
        said = json.loads(told)["incident"]["documentation"]["content"]
        return str(said).partition("First: `")[2].partition("`")[0]

    def shown(self, command: str) -> list[Any]:
        """What `sluice logs` shows, where the command is that."""
        said = shlex.split(command)[2:]
        words = dict(zip(said[::2], said[1::2], strict=True))
        wanted = [
            f'resource.labels.service_name="{words["--service"]}"' if "--service" in words else "",
            f"severity>={words['--severity']}" if "--severity" in words else "",
            f'jsonPayload.unique_id="{words["--payment"]}"' if "--payment" in words else "",
            f"({words['--filter']})" if "--filter" in words else "",
        ]
        body = {"resourceNames": [f"projects/{PROJECT}"], "filter": " AND ".join(filter(None, wanted))}
        return list(self.call("POST", "/v2/entries:list", body).get("entries", []))


def _request(metric: str, counted: tuple[str, int]) -> Any:
    service, status = counted
    labels = {"project_id": PROJECT, "location": LOCATION, "service_name": service, "revision_name": f"{service}-1"}
    said = {"response_code": str(status), "response_code_class": f"{status // 100}xx"}
    return key(metric, "cloud_run_revision", labels | {"configuration_name": service}, said)


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """A stage with everything of dashboards/ on it."""
    with inside(folder / "cloud") as place, listening() as target, listening() as hooks:
        ports = Ports(**{name: place.ports[name] for name in DOORS})
        channels = {name: {"webhook": f"{hooks.url}/{name}"} for name in HOOKS}
        watched = {"channels": {"email": {"email": "payments@example.com"}, **channels}}
        given = {"sluice:imageDigest": DIGEST, "sluice:watching": watched}
        values = local_engine.stack_config(ROOT, "local", given, ports)

        def program() -> None:
            specs = load(ROOT, "local", values)
            assert specs.stack is not None
            site = Site.of(specs.stack)
            Watching("watching", WatchingConfig(site=site, system=specs, stack=specs.stack, after=()))

        result = local_engine.run(
            "local", root=ROOT, mode="up", state_dir=folder / "engine", overrides=given, ports=ports, program=program
        )
        assert result.ok, "\n".join(map(str, result.problems))
        yield Stage(place, target, hooks, folder / "cloud" / "mail")
