"""Who answers the webhook in its benchmark: the deployed service, the same alone, and the documents' Flask way.

All use the same Postgres and the same local cloud, whose queues that follow are paused, so that what is measured is
the webhook. The Flask way has packages of its own (scripts/prepare bench); without them it is left out.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from bench._measure import family
from tests.payments.stack import ROOT, Stack, http, until

PROJECT, LOCATION, SERVICE = "sluice-local", "us-central1", "gcwebhook"
HOME = f"projects/{PROJECT}/locations/{LOCATION}"
ACCOUNT = f"{SERVICE}@{PROJECT}.iam.gserviceaccount.com"
#: The queues that a webhook fills.
QUEUES = ("split-payment-queue", "channel-access-queue")
GUNICORN = ROOT / ".venv" / "bench" / "bin" / "gunicorn"
MISSING = "left out: Flask and gunicorn are not here; fix: scripts/prepare bench"
TABLE = (
    "CREATE TABLE flask_payments (payment_id text PRIMARY KEY, order_id text, currency text, amount numeric, "
    "at timestamptz DEFAULT now())"
)


class Side:
    """One that answers webhooks: where, and by which processes."""

    def __init__(self, name: str, url: str, pids: list[int], most: int = 2500) -> None:
        self.name = name
        self.url = url
        self.pids = pids
        #: Requests a second that it does not reach: so many notices are prepared for it.
        self.most = most

    def cpu(self) -> float:
        """CPU seconds of its processes so far, those that have ended since included."""
        members = [(at, process) for pid in self.pids for at, process in enumerate(family(pid))]
        return sum(sum(process.cpu_times()[: 2 if at else 4]) for at, process in members)


def shared_cpu(stack: Stack) -> dict[str, float]:
    """CPU seconds of what all sides use: the database with its backends, the cloud without its instances."""
    children = stack.record["children"]
    cloud = psutil.Process(children["cloud"]["pid"]).cpu_times()
    database = Side("database", "", [children["postgres"]["pid"]])
    return {"database": database.cpu(), "cloud": cloud.user + cloud.system}


def pause(stack: Stack) -> None:
    """Let tasks be made and not dispatched."""
    for queue in QUEUES:
        http("POST", f"{stack.rest}/v2/{HOME}/queues/{queue}:pause", {})


def purge(stack: Stack) -> None:
    """Take away what was made: all sides begin with empty queues."""
    for queue in QUEUES:
        http("POST", f"{stack.rest}/v2/{HOME}/queues/{queue}:purge", {})


@contextmanager
def deployed(stack: Stack) -> Iterator[Side]:
    """The service as it runs in the local cloud, through the door of Cloud Run."""
    yield Side("deployed", stack.status()["services"][SERVICE] + "/", stack.instances(SERVICE))


@contextmanager
def alone(stack: Stack) -> Iterator[Side]:
    """The same service with the same settings, one process and no Cloud Run before it, as gunicorn stands."""
    metadata = Metadata(stack.rest)
    environment = variables(stack) | {"PORT": str(free_port()), "HOST": "127.0.0.1"}
    environment |= dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"), metadata.address)
    environment |= {"K_SERVICE": SERVICE, "K_REVISION": "alone"}
    command = [sys.executable, "-m", "service_code.kit.main", SERVICE]
    try:
        with started("alone", command, environment, log=stack.home / "alone.log", path="/health") as side:
            yield side
    finally:
        metadata.close()


@contextmanager
def flask(stack: Stack, *, pooled: bool) -> Iterator[Side]:
    """The documents' way: one worker with eight threads, as Google's guide for Cloud Run starts gunicorn."""
    name = "flask_pool" if pooled else "flask"
    environment = {
        "DATABASE_URL": stack.dsn,
        "PROCESSOR_IPN_KEY": variables(stack)["PROCESSOR_IPN_KEY"],
        "QUEUE": f"{HOME}/queues/{QUEUES[0]}",
        "TARGET": stack.status()["services"]["gcsplit"] + "/process_split",
        "INVOKER": f"split-payment-invoker@{PROJECT}.iam.gserviceaccount.com",
        "CLOUD_TASKS": f"127.0.0.1:{stack.ports['grpc']}",
        "POOL": "1" if pooled else "",
        "PORT": str(free_port()),
    }
    command = [str(GUNICORN), "--workers", "1", "--threads", "8", "--timeout", "0", "--keep-alive", "75"]
    command += ["--bind", f"127.0.0.1:{environment['PORT']}", "bench._flask_way:app"]
    most = 1500 if pooled else 150
    with started(name, command, environment, log=stack.home / f"{name}.log", path="/", most=most) as side:
        yield side


@contextmanager
def started(
    name: str, command: list[str], environment: dict[str, str], *, log: Path, path: str, most: int = 2500
) -> Iterator[Side]:
    """A server as a process, from its first answer to its end."""
    url = f"http://127.0.0.1:{environment['PORT']}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, stdout=out, stderr=out
        )
        try:
            until(lambda: answers(url + path), 30, lambda: f"{name} answers: {log.read_text()[-2000:]}")
            yield Side(name, url + "/", [process.pid], most)
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str) -> bool:
    """Whether somebody listens there, whatever is said."""
    try:
        http("GET", url, timeout=2)
    except OSError:
        return False
    return True


def variables(stack: Stack) -> dict[str, str]:
    """The environment that the service is deployed with, secrets read."""
    template = http("GET", f"{stack.rest}/v2/{HOME}/services/{SERVICE}")[1]["template"]
    given = template["containers"][0]["env"]
    return {one["name"]: one.get("value") or secret(stack, one["valueSource"]) for one in given}


def secret(stack: Stack, source: dict[str, Any]) -> str:
    """A secret's value, as the owner may read it."""
    reference = source["secretKeyRef"]
    path = f"/v1/projects/{PROJECT}/secrets/{reference['secret']}/versions/{reference['version']}:access"
    return base64.b64decode(http("GET", stack.rest + path)[1]["payload"]["data"]).decode()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Metadata:
    """The one value of a metadata server that the service asks for: a token of its own account."""

    def __init__(self, rest: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = f"{rest}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
                scope = ["https://www.googleapis.com/auth/cloud-platform"]
                token = http("POST", path, {"scope": scope})[1]["accessToken"]
                told: dict[str, Any] = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
                if not self.path.partition("?")[0].endswith("/token"):
                    told = {"email": ACCOUNT, "scopes": scope, "aliases": ["default"]}
                body = json.dumps(told).encode()
                self.send_response(200)
                for name, value in (("Metadata-Flavor", "Google"), ("Content-Type", "application/json")):
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
