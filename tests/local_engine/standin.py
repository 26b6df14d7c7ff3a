"""A small stand-in for Google's REST surface: keeps what is posted, records every call, fails on demand.

It knows paths, not products: a POST to a collection makes a thing, its path reads, patches and deletes it, IAM
policies have etags. Enough to test the engine by itself; the local cloud proves the rest.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

ENDPOINTS = {
    "iamBeta": "/v1/",
    "cloudTasks": "/v2/",
    "secretManager": "/v1/",
    "cloudRunV2": "/v2/",
    "cloudResourceManager": "/v1/",
    "serviceUsage": "/v1/",
    "sql": "/sql/v1beta4/",
    "artifactRegistry": "/v1/",
    "cloudScheduler": "/v1/",
    "logging": "/v2/",
    "monitoring": "/",
    "pubsub": "/v1/",
}
_NAMED_BY = ("serviceId", "jobId", "secretId", "repository_id")


@dataclass
class Call:
    """One request that arrived."""

    endpoint: str
    method: str
    path: str
    query: dict[str, str]
    body: Any

    @property
    def line(self) -> str:
        """As the recordings write it."""
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        return self.method != "GET" and not self.path.endswith(":getIamPolicy")


@dataclass
class StandIn:
    """The state of the stand-in, shared by its threads."""

    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    enabled: set[str] = field(default_factory=set)
    #: The names that the cloud chooses, by collection.
    chosen: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    #: Asked before each call: an answer instead of the usual one, or None.
    intercept: Callable[[Call], tuple[int, dict[str, Any]] | None] = lambda call: None
    lock: Any = field(default_factory=threading.RLock)
    base: str = ""

    def config(self) -> dict[str, str]:
        """The provider settings that lead here."""
        at = {f"gcp:{key}CustomEndpoint": f"{self.base}/{key}{path}" for key, path in ENDPOINTS.items()}
        return {"gcp:project": "rec", "gcp:region": "us-central1"} | at

    def written(self) -> list[str]:
        return [call.line for call in self.calls if call.writes]

    def answer(self, call: Call) -> tuple[int, dict[str, Any]]:
        with self.lock:
            self.calls.append(call)
            instead = self.intercept(call)
            if instead is not None:
                return instead
            return self._answer(call)

    def _answer(self, call: Call) -> tuple[int, dict[str, Any]]:  # noqa: PLR0911 - a table
        path = re.sub(r"^/(sql/)?v\d(beta\d)?/", "", call.path)
        thing, _, verb = path.rpartition(":") if re.search(r":[a-zA-Z]+$", path) else (path, "", "")
        if verb:
            return self._verb(call, thing, verb)
        if call.endpoint == "serviceUsage":
            names = [{"name": f"{path}/{name}"} for name in sorted(self.enabled)]
            return 200, {"services": names}
        if path.endswith("/users"):
            return self._users(call, path)
        if call.method == "GET":
            return self._get(call, path)
        if call.method == "PUT" and call.endpoint == "pubsub":
            self.things[path] = dict(call.body) | {"name": path}
            return 200, self.things[path]
        if call.method in ("PATCH", "PUT"):
            if path not in self.things:
                return _error(404, "NOT_FOUND", path)
            self._patch(call, path)
            return 200, self._operation(call, path)
        if call.method == "DELETE":
            if self.things.pop(path, None) is None:
                return _error(404, "NOT_FOUND", path)
            self.policies.pop(path, None)
            return 200, self._operation(call, path)
        return self._create(call, path)

    def _get(self, call: Call, path: str) -> tuple[int, dict[str, Any]]:
        if "/operations/" in path:
            return 200, {"name": path, "done": True, "status": "DONE"}
        if re.fullmatch(r"projects/[^/]+", path):
            return 200, {"projectId": path.split("/")[1]}
        if path in self.things:
            return 200, self.things[path]
        if path.endswith(("/secrets", "/services")):
            below = [thing for name, thing in self.things.items() if name.rpartition("/")[0] == path]
            return 200, {path.rsplit("/", 1)[1]: below}
        return _error(404, "NOT_FOUND", path)

    def _create(self, call: Call, path: str) -> tuple[int, dict[str, Any]]:
        body = dict(call.body or {})
        project = path.split("/")[1]
        if "serviceAccount" in body:
            name = f"{body['accountId']}@{project}.iam.gserviceaccount.com"
            body = dict(body["serviceAccount"]) | {"email": name, "uniqueId": "1"}
        elif "role" in body:
            name, body = body["roleId"], dict(body["role"])
        else:
            given = next((call.query[key] for key in _NAMED_BY if key in call.query), "")
            name = given or self.chosen.get(path.rpartition("/")[2]) or str(body["name"]).rsplit("/", 1)[-1]
        full = f"{path}/{name}"
        if full in self.things:
            return _error(409, "ALREADY_EXISTS", full)
        bare = path.endswith("/metrics")  # Logging names metrics so
        self.things[full] = body | {"name": name if bare else full}
        if call.endpoint == "cloudTasks":
            self.things[full]["state"] = "RUNNING"
        if call.endpoint == "cloudRunV2":
            self.things[full] |= {"uri": f"http://{name}.example", "generation": "1"}
        return 200, self._operation(call, full)

    def _operation(self, call: Call, path: str) -> dict[str, Any]:
        if call.endpoint in ("cloudRunV2", "artifactRegistry"):
            return {"name": f"{path.rsplit('/', 2)[0]}/operations/1", "done": False}
        if call.endpoint == "sql":
            return {"name": "op-1", "status": "PENDING"}
        return dict(self.things.get(path, {}))

    def _patch(self, call: Call, path: str) -> None:
        body = dict(call.body)
        body = next((body[name] for name in ("serviceAccount", "topic", "subscription") if name in body), body)
        mask = call.query.get("updateMask")
        names = mask.split(",") if mask else list(body)
        for name in names:
            if name in body:
                self.things[path][name] = body[name]
            else:
                self.things[path].pop(name, None)

    def _users(self, call: Call, path: str) -> tuple[int, dict[str, Any]]:
        users = self.things.setdefault(path, {"items": []})
        if call.method == "POST":
            users["items"].append({"host": ""} | call.body)
        elif call.method == "DELETE":
            users["items"] = [user for user in users["items"] if user["name"] != call.query["name"]]
        return 200, users if call.method == "GET" else {"name": "op-2", "status": "DONE"}

    def _verb(self, call: Call, thing: str, verb: str) -> tuple[int, dict[str, Any]]:  # noqa: PLR0911 - a table
        if verb == "getIamPolicy":
            return 200, dict(self.policies.get(thing, {"etag": "e0", "version": 3}))
        if verb == "setIamPolicy":
            kept = self.policies.get(thing, {"etag": "e0"})
            if call.body["policy"].get("etag") != kept["etag"]:
                return _error(409, "ABORTED", "etag")
            self.policies[thing] = call.body["policy"] | {"etag": f"e{int(kept['etag'][1:]) + 1}"}
            return 200, dict(self.policies[thing])
        if verb in ("enable", "disable") and call.endpoint == "serviceUsage":
            name = thing.rsplit("/", 1)[1]
            (self.enabled.add if verb == "enable" else self.enabled.discard)(name)
            return 200, {"name": "operations/noop", "done": True}
        if verb == "addVersion":
            number = 1 + sum(name.startswith(f"{thing}/versions/") for name in self.things)
            name = f"{thing}/versions/{number}"
            self.things[name] = {"name": name, "state": "ENABLED", "data": call.body["payload"]["data"]}
            return 200, {"name": name}
        if verb == "access":
            versions = [name for name in self.things if name.startswith(thing.removesuffix("latest"))]
            if not versions:
                return _error(404, "NOT_FOUND", thing)
            return 200, {"name": versions[-1], "payload": {"data": self.things[versions[-1]]["data"]}}
        states = {"pause": "PAUSED", "resume": "RUNNING", "destroy": "DESTROYED", "enable": "ENABLED"}
        if call.endpoint == "cloudScheduler":
            states["resume"] = "ENABLED"
        self.things[thing]["state"] = states[verb]
        return 200, self.things[thing]


def _error(status: int, reason: str, what: str) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"code": status, "status": reason, "message": f"{what}: {reason}"}}


@contextmanager
def serving() -> Iterator[StandIn]:
    """A stand-in on a free port."""
    cloud = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            endpoint, _, rest = unquote(parts.path).lstrip("/").partition("/")
            status, found = cloud.answer(Call(endpoint, self.command, f"/{rest}", dict(parse_qsl(parts.query)), body))
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    cloud.base = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def duplicates(cloud: StandIn) -> list[str]:
    """Creates that were answered with success more than once."""
    created = [call for call in cloud.calls if call.method == "POST" and ":" not in call.path]
    posts = Counter(call.line + str(call.query) for call in created)
    return [line for line, times in posts.items() if times > 1]
